//! Holds comments, messages, names and documents to the words of CONTRIBUTING.md, as far as a
//! program can: first words of doc comments, words that are not plain, and the length of comments.

mod pieces;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with Rust files and documents, all below the workspace.
const FOLDERS: [&str; 4] = ["netns-test/src", "netns-test-macros/src", "benches", "docs"];

/// Documents outside of these folders.
const DOCUMENTS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "netns-test/CRATE.md",
    "netns-test/LAB.md",
    "CHANGELOG.md",
];

/// Files that are still to be rewritten, one a line.
const OLD: &str = include_str!("old.txt");

#[test]
fn prose_is_plain() {
    let mut violations = violations();
    violations.retain(|path, _| !OLD.lines().any(|old| old == path));
    let lines: Vec<String> = violations
        .iter()
        .flat_map(|(path, rules)| rules.iter().map(move |rule| format!("{path}:{rule}")))
        .collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// A file that is rewritten leaves the list, so that it stays plain.
#[test]
fn no_plain_file_is_listed_as_old() {
    let violations = violations();
    let plain: Vec<&str> = OLD.lines().filter(|old| !violations.contains_key(*old)).collect();
    assert!(plain.is_empty(), "delete from tests/tests/prose/old.txt:\n{}", plain.join("\n"));
}

/// Returns the broken rules of each file that breaks one.
fn violations() -> BTreeMap<String, Vec<String>> {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&workspace().join(folder), &mut files));
    files.extend(DOCUMENTS.map(|document| workspace().join(document)));
    assert!(files.len() > 100, "found {} files only", files.len());
    let check = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        let rules = if is_rust { rules::check_rust(&text) } else { rules::check_markdown(&text) };
        let path = file.strip_prefix(workspace()).unwrap().display().to_string();
        (!rules.is_empty()).then_some((path, rules))
    };
    files.iter().filter_map(check).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_read =
            path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if is_read {
            files.push(path);
        }
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
