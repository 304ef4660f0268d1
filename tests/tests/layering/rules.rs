//! The rules, and a sample for each that breaks it.

use super::tokens::{Token, tokens};

/// Rooms of the library, and the modules that each may import besides itself. Each part of `lab` is
/// a room. ARCHITECTURE.md has the same table.
pub(crate) const IMPORTS: [(&str, &[&str]); 35] = [
    ("premain", &["harness", "registry", "sys"]),
    ("harness", &HARNESS),
    ("registry", &["isolate", "sys"]),
    ("doctor", &DOCTOR),
    ("lab::observe", &RUNNING),
    ("lab::change", &RUNNING),
    ("lab::run", &RUN),
    ("lab::build", &BUILD),
    ("lab::fabric", &FABRIC),
    ("lab::impair", &["addr", "capture", "error", "lab::plan", "lab::topology", "sys"]),
    ("lab::nat", &["addr", "error", "lab::plan", "lab::topology", "netlink", "sys"]),
    ("lab::port_mapping", &PORT_MAPPING),
    ("lab::dns", &["error", "evidence", "lab::plan", "lab::topology", "sys"]),
    ("lab::plan", &["addr", "error", "lab::topology"]),
    ("lab::topology", &["addr", "error"]),
    ("capture", &["addr", "error"]),
    ("addr", &["error"]),
    ("report", &["env", "error", "evidence", "explain", "sys"]),
    ("explain", &["evidence"]),
    ("examine", &["addr", "error", "evidence", "netlink", "sys"]),
    ("timeline", &["evidence", "sys"]),
    ("note", &["error", "evidence", "isolation", "sys"]),
    ("evidence", &["bytes", "sys"]),
    ("sandbox", &["diagnose", "error", "isolate", "netns", "sys", "userns"]),
    ("probe", &["bytes", "diagnose", "error", "isolate", "sys", "userns"]),
    ("diagnose", &["env", "error", "isolate::NAMESPACES", "sys"]),
    ("isolate", &["error", "sys", "userns"]),
    ("userns", &["error", "sys"]),
    ("netlink", &["addr", "error", "sys"]),
    ("netns", &["diagnose", "error", "sys"]),
    ("runtime", &["diagnose", "harness", "sys"]),
    ("sys", &["error"]),
    ("bytes", &["error", "sys"]),
    ("env", &["error"]),
    ("isolation", &["sys"]),
];

const HARNESS: [&str; 14] = [
    "bytes",
    "diagnose",
    "env",
    "error",
    "evidence",
    "examine",
    "explain",
    "isolate",
    "isolation",
    "probe",
    "registry",
    "report",
    "sys",
    "userns",
];

const DOCTOR: [&str; 10] = [
    "bytes", "diagnose", "env", "error", "isolate", "netlink", "premain", "probe", "sys", "userns",
];

const PORT_MAPPING: [&str; 8] =
    ["addr", "error", "evidence", "lab::nat", "lab::plan", "lab::topology", "netlink", "sys"];

const FABRIC: [&str; 15] = [
    "addr",
    "capture",
    "diagnose",
    "error",
    "evidence",
    "isolation",
    "lab::dns",
    "lab::impair",
    "lab::nat",
    "lab::plan",
    "lab::port_mapping",
    "lab::topology",
    "netlink",
    "runtime",
    "sys",
];

const BUILD: [&str; 11] = [
    "addr",
    "diagnose",
    "error",
    "isolation",
    "lab::fabric",
    "lab::impair",
    "lab::nat",
    "lab::plan",
    "lab::topology",
    "netlink",
    "sys",
];

const RUN: [&str; 17] = [
    "addr",
    "diagnose",
    "env",
    "error",
    "evidence",
    "isolation",
    "lab::build",
    "lab::fabric",
    "lab::impair",
    "lab::nat",
    "lab::plan",
    "lab::topology",
    "netlink",
    "netns",
    "note",
    "runtime",
    "sys",
];

/// Imports of `lab::change` and `lab::observe`: all other parts of the lab, but not each other.
const RUNNING: [&str; 19] = [
    "addr",
    "capture",
    "diagnose",
    "error",
    "evidence",
    "isolation",
    "lab::build",
    "lab::dns",
    "lab::fabric",
    "lab::impair",
    "lab::nat",
    "lab::plan",
    "lab::port_mapping",
    "lab::run",
    "lab::topology",
    "netlink",
    "netns",
    "runtime",
    "sys",
];

/// Words that a file which calls itself pure may not hold: it does no input or output, and does not
/// look at the clock.
const IMPURE: [&str; 7] = ["fs", "env", "process", "thread", "Instant", "SystemTime", "Command"];

/// The most files of a folder.
pub(crate) const MOST_FILES: usize = 12;

/// They know all modules.
const GLUE: [&str; 5] = ["bin", "error", "lib", "rt", "unsupported"];

const LONGEST: usize = 400;

/// An example is read as a whole.
const LONGEST_EXAMPLE: usize = 79;

/// Returns the broken rules of the file at `path`, as `path:line: rule`.
pub(crate) fn check(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let says_why = source.starts_with("//!") || source.starts_with("#![doc = include_str!(");
    // The cases of trybuild are input: the numbers of their lines are part of the expected output.
    if !says_why && !path.starts_with("tests/tests/ui/") {
        found.push((1, "a file opens with `//!` and the reason for which it exists".to_owned()));
    }
    if path.starts_with("examples/examples/") && source.lines().count() > LONGEST_EXAMPLE {
        found.push((LONGEST_EXAMPLE + 1, "an example has less than 80 lines".to_owned()));
    }
    let library = path.strip_prefix("netns-test/src/");
    if library.is_some() || path.starts_with("netns-test-macros/src/") {
        if source.lines().count() > LONGEST {
            found.push((LONGEST + 1, format!("a file has at most {LONGEST} lines")));
        }
        let tokens = tokens(source);
        words(library.unwrap_or(""), &tokens, &mut found);
        purity(source, &tokens, &mut found);
        if let Some(file) = library {
            imports(file, &tokens, &mut found);
        }
    }
    found.into_iter().map(|(line, rule)| format!("{path}:{line}: {rule}")).collect()
}

type Found = Vec<(usize, String)>;

/// Finds words that are allowed in some places only. `file` is empty for the macro crate.
fn words(file: &str, tokens: &[Token], found: &mut Found) {
    let in_sys = file.starts_with("sys/");
    let mut say = |token: &Token, rule: &str| found.push((token.line, rule.to_owned()));
    for (at, token) in tokens.iter().enumerate() {
        let next = |offset: usize| tokens.get(at + offset).map_or("", |token| token.text.as_str());
        match token.text.as_str() {
            "unsafe" if !in_sys && !UNSAFE.contains(&file) => {
                say(token, "`unsafe` is allowed in sys/, premain.rs and registry/sections.rs only");
            }
            "libc" | "nix" if !in_sys => say(token, "`libc` and `nix` are allowed in sys/ only"),
            "Command" if !file.is_empty() && !PREPARERS.contains(&file) => {
                say(token, "the library starts no program");
            }
            "PoisonError" if !file.is_empty() && file != LOCKS => say(token, ONE_LOCK),
            "lab" if file.starts_with("harness/") => say(token, "`harness` knows nothing of `lab`"),
            "vars_os" if READERS.contains(&file) => {}
            "var_os" | "vars" | "vars_os" => say(token, NO_VARIABLE),
            // The module of the crate knows them.
            "env" if at > 1 && tokens[at - 2].text == "crate" => {}
            "env" if next(1) == "::" && matches!(next(2), "var" | "{" | "*") => {
                say(token, NO_VARIABLE);
            }
            _ => {}
        }
    }
}

/// Files outside of sys/ with `unsafe`: the constructor, and the linker's tables.
const UNSAFE: [&str; 2] = ["premain.rs", "registry/sections.rs"];

/// They prepare a program that the user will start.
const PREPARERS: [&str; 8] = [
    "lab/run/programs/command.rs",
    "lab/run/programs/spawner.rs",
    "netns/enter.rs",
    "sandbox/command.rs",
    "sys/launch/mod.rs",
    "sys/launch/replace.rs",
    "sys/ns/ns_set.rs",
    "sys/ns/nsfs.rs",
];

/// The file that ignores poisoning.
const LOCKS: &str = "sys/lock.rs";

const ONE_LOCK: &str = "locks are taken by the functions of sys/lock.rs";

/// Files that read the environment.
const READERS: [&str; 1] = ["env/mod.rs"];

const NO_VARIABLE: &str = "the environment is read in env/mod.rs only, by `std::env::vars_os`";

fn imports(file: &str, tokens: &[Token], found: &mut Found) {
    let room = room(file);
    if GLUE.contains(&room.as_str()) || matches!(room.as_str(), "lab" | "lab::tests") {
        return;
    }
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else {
        found.push((1, format!("`{room}` is not in the table of imports")));
        return;
    };
    // Where `super::` is the root of the crate.
    let is_top = !file.contains('/') || (file.ends_with("/mod.rs") && !room.contains("::"));
    for (at, token) in tokens.iter().enumerate() {
        let follows = |text: &str| at > 0 && tokens[at - 1].text == text;
        let leads_on = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        let to_root = match token.text.as_str() {
            "crate" => !follows("$"),
            "super" => is_top || follows("::"),
            _ => false,
        };
        if !to_root || !leads_on {
            continue;
        }
        for path in paths(&tokens[at + 2..]) {
            let is_in = |entry: &str| path == entry || path.starts_with(&format!("{entry}::"));
            if !is_in(&room) && !allowed.iter().any(|entry| is_in(entry)) {
                found.push((token.line, format!("`{room}` may not import `{path}`")));
            }
        }
    }
}

/// The room of a file: its first folder, and of `lab` the second one, too.
fn room(file: &str) -> String {
    let mut parts = file.trim_end_matches(".rs").split('/');
    let first = parts.next().unwrap_or_default();
    match (first, parts.next()) {
        ("lab", Some(second)) if second != "mod" => format!("lab::{second}"),
        _ => first.to_owned(),
    }
}

/// Holds a file that calls itself pure to it.
fn purity(source: &str, tokens: &[Token], found: &mut Found) {
    let head = source.lines().take_while(|line| line.starts_with("//!"));
    if !head.into_iter().any(|line| line.contains("Pure.") || line.contains("Pure:")) {
        return;
    }
    for (at, token) in tokens.iter().enumerate() {
        let is_std = at > 1 && tokens[at - 1].text == "::" && tokens[at - 2].text == "std";
        let is_word = IMPURE.contains(&token.text.as_str());
        let is_type = token.text.starts_with(char::is_uppercase);
        let is_crate = at > 1 && tokens[at - 1].text == "::" && tokens[at - 2].text == "crate";
        if is_word && (is_std || is_type) || is_crate && token.text == "netlink" {
            found.push((token.line, format!("a file that is pure has no `{}`", token.text)));
        }
    }
}

/// The paths of a use tree, as far as `module::item`.
fn paths(tokens: &[Token]) -> Vec<String> {
    let Some(first) = tokens.first() else { return Vec::new() };
    if first.text == "{" {
        return group(tokens).into_iter().flat_map(paths).collect();
    }
    let is_path = tokens.get(1).is_some_and(|token| token.text == "::");
    if !is_path {
        return vec![first.text.clone()];
    }
    let items = match tokens.get(2) {
        Some(token) if token.text == "{" => group(&tokens[2..]),
        _ => vec![&tokens[2..]],
    };
    let item =
        |tokens: &[Token]| tokens.first().map(|item| format!("{}::{}", first.text, item.text));
    items.into_iter().filter_map(item).collect()
}

/// The parts between the commas of the group that `tokens` begin with.
fn group(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 1);
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(&tokens[start..at]);
            break;
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Checks that `source`, with a first line that is in order, breaks the rule `rule` in line 2.
fn breaks(path: &str, source: &str, rule: &str) {
    let found = check(path, &format!("//! Doc.\n{source}\n"));
    let expected = format!("{path}:2: {rule}");
    assert_eq!(found.len(), 1, "{source}: {found:?}");
    assert!(found[0].starts_with(&expected), "{source}: {found:?}");
}

fn keeps(path: &str, source: &str) {
    assert_eq!(check(path, &format!("//! Doc.\n{source}\n")), Vec::<String>::new(), "{source}");
}

#[test]
fn a_file_without_a_reason_is_found() {
    let found = check("examples/tests/a.rs", "fn main() {}\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("examples/tests/a.rs:1: a file opens with"), "{found:?}");
}

#[test]
fn a_long_file_is_found() {
    let long = format!("//! Doc.\n{}", "\n".repeat(LONGEST));
    for path in ["netns-test/src/rt.rs", "netns-test-macros/src/args.rs"] {
        assert_eq!(check(path, &long), [format!("{path}:401: a file has at most 400 lines")]);
    }
    assert_eq!(check("tests/tests/a.rs", &long), Vec::<String>::new());
    let long = format!("//! Doc.\n{}", "\n".repeat(LONGEST_EXAMPLE));
    let found = check("examples/examples/a.rs", &long);
    assert_eq!(found, ["examples/examples/a.rs:80: an example has less than 80 lines"]);
    assert_eq!(check("examples/tests/a.rs", &long), Vec::<String>::new());
}

#[test]
fn a_lock_that_handles_poisoning_itself_is_found() {
    breaks("netns-test/src/netlink/socket.rs", "use std::sync::PoisonError;", "locks are taken");
    keeps("netns-test/src/sys/lock.rs", "use std::sync::PoisonError;");
}

#[test]
fn words_out_of_place_are_found() {
    let (case, macros) = ("netns-test/src/harness/mod.rs", "netns-test-macros/src/args.rs");
    for path in [case, macros, "netns-test/src/runtime.rs"] {
        breaks(path, "fn f() { unsafe { g() } }", "`unsafe` is allowed");
        breaks(path, "use libc::c_int;", "`libc` and `nix` are allowed");
        breaks(path, "fn f() { nix::unistd::getpid(); }", "`libc` and `nix` are allowed");
        breaks(path, "fn f() { std::env::var(\"A\"); }", "the environment is read");
        breaks(path, "use std::env::{args, var};", "the environment is read");
        breaks(path, "fn f() { std::env::var_os(\"A\"); }", "the environment is read");
        breaks(path, "fn f() { std::env::vars_os(); }", "the environment is read");
    }
    breaks(case, "use std::process::Command;", "the library starts no program");
    breaks(case, "fn f() { lab::report(); }", "`harness` knows nothing of `lab`");
    breaks("netns-test/src/premain.rs", "use libc::c_int;", "`libc` and `nix` are allowed");
    breaks(
        "netns-test/src/sys/fds/mod.rs",
        "fn f() { env::var(\"A\"); }",
        "the environment is read",
    );
}

#[test]
fn words_in_their_place_are_not() {
    keeps("netns-test/src/sys/fds/mod.rs", "fn f() { unsafe { libc::close(3) } }");
    keeps("netns-test/src/premain.rs", "fn f() { unsafe { g() } }");
    keeps("netns-test/src/env/mod.rs", "fn f() { std::env::vars_os(); }");
    keeps("netns-test/src/harness/mod.rs", "use crate::env::{self, Settings};");
    keeps("tests/tests/ui/case.rs", "fn main() {}");
    assert_eq!(check("tests/tests/ui/case.rs", "// 1. A case.\n"), Vec::<String>::new());
    let included = "#![doc = include_str!(\"../CRATE.md\")]\n";
    assert_eq!(check("netns-test/src/lib.rs", included), Vec::<String>::new());
    keeps("netns-test/src/harness/mod.rs", "// unsafe: libc, Command\n#[cfg(test)]\nuse libc::x;");
    keeps(
        "netns-test/src/harness/mod.rs",
        "#[cfg(test)]\nmod tests { use std::process::Command; }",
    );
    keeps("tests/tests/a.rs", "fn f() { unsafe { libc::close(3) } }");
}

#[test]
fn imports_against_the_table_are_found() {
    let samples = [
        (
            "harness/mod.rs",
            "use crate::runtime::Flavor;",
            "`harness` may not import `runtime::Flavor`",
        ),
        ("isolate/mod.rs", "use crate::harness;", "`isolate` may not import `harness`"),
        (
            "isolate/mod.rs",
            "use super::diagnose::explain;",
            "`isolate` may not import `diagnose::explain`",
        ),
        (
            "isolate/network.rs",
            "fn f() { super::super::premain::g() }",
            "`isolate` may not import `premain::g`",
        ),
        (
            "diagnose/mod.rs",
            "use crate::isolate::{NAMESPACES, Identity};",
            "`diagnose` may not import `isolate::Identity`",
        ),
        (
            "userns.rs",
            "use crate::{error::Failure, isolate::{User}};",
            "`userns` may not import `isolate::User`",
        ),
        ("sys/fds/mod.rs", "use crate::userns::Maps;", "`sys` may not import `userns::Maps`"),
        ("lab/build/mod.rs", "use crate::harness;", "`lab::build` may not import `harness`"),
        (
            "lab/build/mod.rs",
            "use crate::lab::observe::snapshot;",
            "`lab::build` may not import `lab::observe`",
        ),
        ("lab/plan/mod.rs", "use crate::sys::errno;", "`lab::plan` may not import `sys::errno`"),
        (
            "lab/observe/wait/limit.rs",
            "use crate::lab::change::power;",
            "`lab::observe` may not import `lab::change`",
        ),
        ("runtime.rs", "use crate::error::Failure;", "`runtime` may not import `error::Failure`"),
    ];
    for (file, source, rule) in samples {
        breaks(&format!("netns-test/src/{file}"), source, rule);
    }
    let unknown = check("netns-test/src/stray/mod.rs", "//! Doc.\n");
    assert_eq!(unknown, ["netns-test/src/stray/mod.rs:1: `stray` is not in the table of imports"]);
    let part = check("netns-test/src/lab/stray.rs", "//! Doc.\n");
    assert_eq!(
        part,
        ["netns-test/src/lab/stray.rs:1: `lab::stray` is not in the table of imports"]
    );
}

#[test]
fn a_file_that_is_pure_does_no_input_or_output() {
    for source in [
        "use std::fs;",
        "fn f() { std::thread::spawn(|| {}); }",
        "use std::time::Instant;",
        "use crate::netlink::Link;",
    ] {
        let path = "netns-test/src/lab/fabric/ends.rs";
        let found = check(path, &format!("//! A file. Pure.\n{source}\n"));
        assert!(found.len() == 1 && found[0].contains("pure has no"), "{source}: {found:?}");
        keeps(path, source);
    }
}

#[test]
fn imports_in_the_table_are_not() {
    keeps(
        "netns-test/src/harness/child/init.rs",
        "use super::body;\nuse crate::{diagnose, registry};",
    );
    keeps("netns-test/src/harness/mod.rs", "pub(crate) use crate::harness::runner::Case;");
    keeps("netns-test/src/diagnose/mod.rs", "use crate::isolate::NAMESPACES;");
    keeps("netns-test/src/lab/build/mod.rs", "use crate::netlink::Link;");
    keeps("netns-test/src/lab/plan/draw/text.rs", "use crate::{error::Failure, lab::plan::Plan};");
    keeps("netns-test/src/premain.rs", "macro_rules! m { () => { $crate::__rt::run() } }");
    keeps("netns-test/src/rt.rs", "pub use crate::runtime::Flavor;");
}
