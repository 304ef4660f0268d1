//! Holds comments, messages, names and documents to the words of CONTRIBUTING.md, as far as a
//! program can: first words of doc comments, words that are not plain, and the length of comments.

mod pieces;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with Rust files and documents, all below the workspace.
const FOLDERS: [&str; 10] = [
    "netns-test/src",
    "netns-test/tests",
    "netns-test-macros/src",
    "tests/src",
    "tests/tests",
    "tests/clients",
    "examples",
    "benches",
    "docs",
    "ci",
];

/// Documents outside of these folders.
const DOCUMENTS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "netns-test/CRATE.md",
    "netns-test/LAB.md",
    "CHANGELOG.md",
];

#[test]
fn prose_is_plain() {
    let violations = violations();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// Returns the broken rules of all files, as `path:line: rule`.
fn violations() -> Vec<String> {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&workspace().join(folder), &mut files));
    files.extend(DOCUMENTS.map(|document| workspace().join(document)));
    assert!(files.len() > 100, "found {} files only", files.len());
    // These rules name what they forbid.
    files.retain(|file| !file.ends_with("tests/tests/prose/rules.rs"));
    files.sort();
    let check = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        let rules = if is_rust { rules::check_rust(&text) } else { rules::check_markdown(&text) };
        let path = file.strip_prefix(workspace()).unwrap().display().to_string();
        rules.into_iter().map(move |rule| format!("{path}:{rule}"))
    };
    files.iter().flat_map(check).collect()
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
