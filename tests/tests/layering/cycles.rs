//! Import cycles between the source files of one crate, found from `use` declarations and paths.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens};

/// Modules by path, `lab::plan`, each with the modules that it imports.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// Builds the graph of the crate whose files, as (path below `src`, content), are `sources`.
///
/// A parent module is a file like any other: a file that uses an item of it depends on it. A `mod`
/// declaration is no import. Neither is a re-export (`pub use`, `pub(crate) use`) of an item of a
/// child: a file that uses such an item depends on the child.
pub(crate) fn graph(sources: &[(&str, &str)]) -> Graph {
    let files: Vec<(String, Vec<Token>)> =
        sources.iter().map(|(path, source)| (module(path), tokens(source))).collect();
    let mut known =
        Known { modules: files.iter().map(|(own, _)| own.clone()).collect(), ..Known::default() };
    for (own, tokens) in &files {
        for path in uses(tokens).filter(|(_, is_re_export)| *is_re_export).map(|(path, _)| path) {
            known.note_re_export(own, path);
        }
    }
    files.iter().map(|(own, tokens)| (own.clone(), targets(own, tokens, &known))).collect()
}

/// Finds the groups of modules that import each other in a circle, each sorted.
pub(crate) fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|from| (from, reachable(graph, from))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for module in graph.keys() {
        if !reach[module].contains(module) || found.iter().flatten().any(|other| other == module) {
            continue;
        }
        let is_in_circle = |other: &&String| {
            *other == module || (reach[module].contains(*other) && reach[*other].contains(module))
        };
        found.push(graph.keys().filter(is_in_circle).cloned().collect());
    }
    found
}

fn reachable<'a>(graph: &'a Graph, from: &String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = graph[from].iter().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&graph[next]);
        }
    }
    found
}

/// The path of the module in the file at `path`; the root of the crate is the empty path.
fn module(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => String::new(),
        path => path.replace('/', "::"),
    }
}

/// All modules, and the items that a module re-exports, each with the module that it comes from.
#[derive(Default)]
struct Known {
    modules: BTreeSet<String>,
    re_exports: BTreeMap<(String, String), String>,
}

impl Known {
    fn note_re_export(&mut self, own: &str, path: Path) {
        let Path { segments, name } = path;
        if let Some((module, _)) = self.locate(own, &segments) {
            self.re_exports.insert((own.to_owned(), name), module);
        }
    }

    /// Resolves the path `segments`, written in module `own`, to a module and an item in it.
    /// Returns `None` for a path into another crate.
    fn locate<'a>(&self, own: &str, segments: &'a [String]) -> Option<(String, Option<&'a str>)> {
        let mut base: Vec<&str> = own.split("::").filter(|segment| !segment.is_empty()).collect();
        let mut rest = segments;
        match segments.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &segments[1..];
            }
            "self" => rest = &segments[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            // A child module by its bare name.
            first => {
                let child: Vec<&str> = base.iter().copied().chain([first]).collect();
                if !self.modules.contains(&child.join("::")) {
                    return None;
                }
            }
        }
        let rest = rest.iter().map(String::as_str).filter(|segment| *segment != "self");
        let full: Vec<&'a str> = rest.collect();
        (0..=full.len()).rev().find_map(|length| {
            let module: Vec<&str> = base.iter().chain(&full[..length]).copied().collect();
            let module = module.join("::");
            self.modules.contains(&module).then(|| (module, full.get(length).copied()))
        })
    }

    /// The same, with re-exports followed to the module that defines the item.
    fn resolve(&self, own: &str, segments: &[String]) -> Option<String> {
        let (mut module, item) = self.locate(own, segments)?;
        let item = item.unwrap_or_default();
        for _ in 0..self.modules.len() {
            match self.re_exports.get(&(module.clone(), item.to_owned())) {
                Some(origin) if *origin != module => module.clone_from(origin),
                _ => break,
            }
        }
        Some(module)
    }
}

/// A path of a use tree, and the name that it has afterwards.
struct Path {
    segments: Vec<String>,
    name: String,
}

/// Every path of the `use` declarations, and whether the declaration re-exports it.
fn uses(tokens: &[Token]) -> impl Iterator<Item = (Path, bool)> {
    let starts = (0..tokens.len()).filter(|&at| tokens[at].text == "use");
    starts.flat_map(|at| {
        let length = tokens[at..].iter().position(|token| token.text == ";").unwrap_or(1);
        let is_re_export = at > 0 && matches!(tokens[at - 1].text.as_str(), "pub" | ")");
        use_tree(&tokens[at + 1..at + length]).into_iter().map(move |path| (path, is_re_export))
    })
}

fn targets(own: &str, tokens: &[Token], known: &Known) -> BTreeSet<String> {
    let imports = uses(tokens).filter(|(_, is_re_export)| !is_re_export);
    let mut found: BTreeSet<String> =
        imports.filter_map(|(path, _)| known.resolve(own, &path.segments)).collect();
    let (mut at, mut in_use) = (0, false);
    while at < tokens.len() {
        in_use = tokens[at].text == "use" || (in_use && tokens[at].text != ";");
        match path_at(tokens, at).filter(|_| !in_use) {
            Some(path) => {
                at += 2 * path.len() - 1;
                found.extend(known.resolve(own, &path));
            }
            None => at += 1,
        }
    }
    found.remove(own);
    found
}

/// The path of two segments or more that begins at `at`.
fn path_at(tokens: &[Token], at: usize) -> Option<Vec<String>> {
    let is_name = |at: usize| {
        let first = tokens.get(at).and_then(|token| token.text.chars().next());
        first.is_some_and(|first| first.is_alphabetic() || first == '_')
    };
    let follows = |text: &str| at > 0 && tokens[at - 1].text == text;
    if !is_name(at) || follows("::") || follows("$") {
        return None;
    }
    let mut path = vec![tokens[at].text.clone()];
    let mut next = at + 1;
    while tokens.get(next).is_some_and(|token| token.text == "::") && is_name(next + 1) {
        path.push(tokens[next + 1].text.clone());
        next += 2;
    }
    (path.len() > 1).then_some(path)
}

/// The paths of a use tree.
fn use_tree(tokens: &[Token]) -> Vec<Path> {
    let mut segments: Vec<String> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "::" => {}
            "as" => {
                let name = tokens.get(at + 1).map_or_else(String::new, |token| token.text.clone());
                return vec![Path { segments, name }];
            }
            "{" => {
                let inner = &tokens[at + 1..tokens.len() - 1];
                let trees = split_at_commas(inner).into_iter().flat_map(use_tree);
                let with_prefix = |Path { segments: rest, name }| Path {
                    segments: segments.iter().cloned().chain(rest).collect(),
                    name,
                };
                return trees.map(with_prefix).collect();
            }
            name => segments.push(name.to_owned()),
        }
    }
    let name = segments.last().cloned().unwrap_or_default();
    vec![Path { segments, name }]
}

fn split_at_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn found_in(sources: &[(&str, &str)]) -> Vec<Vec<String>> {
    cycles(&graph(sources))
}

#[test]
fn a_cycle_of_files_is_found() {
    let sources = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod inner; use crate::b::Item;"),
        ("a/inner.rs", "pub(crate) struct Other;"),
        ("b.rs", "use super::{c, c::{Third as Renamed}};"),
        ("c.rs", "fn f() -> crate::a::inner::Other { let x = super::a::g; x() }"),
    ];
    assert_eq!(found_in(&sources), [["a", "b", "c"]]);
}

#[test]
fn a_cycle_of_parent_and_child_is_found() {
    let sources =
        [("a/mod.rs", "mod inner; fn f() { inner::g() }"), ("a/inner.rs", "use super::f;")];
    assert_eq!(found_in(&sources), [["a", "a::inner"]]);
    let by_use = [("a/mod.rs", "mod inner; use inner::g;"), ("a/inner.rs", "use crate::a::f;")];
    assert_eq!(found_in(&by_use), [["a", "a::inner"]]);
}

#[test]
fn declarations_re_exports_and_tests_are_no_imports() {
    let sources = [
        ("lib.rs", "mod a; pub use a::inner::Item; pub(crate) use a::Other;"),
        ("a/mod.rs", "mod inner; pub(crate) use inner::Item; pub(crate) struct Other;"),
        ("a/inner.rs", "use super::Other; #[cfg(test)] mod tests { use crate::b::f; }"),
        ("b.rs", "use std::collections::BTreeMap; use crate::a::Item; // crate::b"),
    ];
    assert_eq!(found_in(&sources), Vec::<Vec<String>>::new());
}

#[test]
fn a_cycle_through_a_re_export_is_found() {
    let sources = [
        ("a/mod.rs", "mod first; mod second; pub(crate) use first::{self, Item as Renamed};"),
        ("a/first.rs", "use super::second::Other;"),
        ("a/second.rs", "use crate::a::Renamed;"),
    ];
    assert_eq!(found_in(&sources), [["a::first", "a::second"]]);
}
