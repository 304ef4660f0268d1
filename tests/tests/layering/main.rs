//! Holds the sources to what ARCHITECTURE.md says of them: which module imports which, and
//! where `unsafe`, system calls, programs and environment variables may stand.

mod cycles;
mod rules;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates without an import cycle, and where their files are.
const CRATES: [(&str, &str); 3] = [
    ("netns-test", "netns-test/src/"),
    ("netns-test-macros", "netns-test-macros/src/"),
    ("netns-test-benches", "benches/src/"),
];

const PACKAGES: [&str; 5] = ["netns-test", "netns-test-macros", "benches", "examples", "tests"];

#[test]
fn the_sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.len() > 40, "found {} files only", sources.len());
    let violations: Vec<String> =
        sources.iter().flat_map(|(path, source)| rules::check(path, source)).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn a_folder_has_few_files() {
    let mut folders = BTreeMap::new();
    for (path, _) in sources() {
        let is_of_crate = CRATES.iter().any(|(_, root)| path.starts_with(root));
        if let (true, Some((folder, _))) = (is_of_crate, path.rsplit_once('/')) {
            *folders.entry(folder.to_owned()).or_insert(0) += 1;
        }
    }
    folders.retain(|_, count| *count > rules::MOST_FILES);
    assert!(folders.is_empty(), "{folders:?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for (name, root) in CRATES {
        let sources = sources();
        let own = sources
            .iter()
            .filter_map(|(path, source)| Some((path.strip_prefix(root)?, source.as_str())));
        let own: Vec<(&str, &str)> = own.collect();
        assert!(own.len() > 10, "{name}: found {} files only", own.len());
        let cycles = cycles::cycles(&cycles::graph(&own));
        let lines: Vec<String> = cycles.iter().map(|cycle| cycle.join(" · ")).collect();
        assert!(lines.is_empty(), "{name}:\n{}", lines.join("\n"));
    }
}

#[test]
fn architecture_md_has_the_same_table() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let (_, after) = text.split_once("| module | may import |\n| --- | --- |\n").unwrap();
    let names = |cell: &str| -> Vec<String> {
        let all = cell.split(',').map(|name| name.trim().trim_matches('`').to_owned());
        all.filter(|name| !name.is_empty()).collect()
    };
    // A row can be for several modules.
    let rows = after.lines().take_while(|line| line.starts_with('|')).flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let allowed = names(cells[1]);
        names(cells[0]).into_iter().map(move |module| (module, allowed.clone()))
    });
    let written: BTreeMap<String, Vec<String>> = rows.collect();
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let enforced = rules::IMPORTS.map(|(module, allowed)| (module.to_owned(), own(allowed)));
    assert_eq!(written, BTreeMap::from(enforced));
}

#[test]
fn architecture_md_is_short() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 150);
}

/// Every source file of the workspace, as (path from the workspace, content).
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in PACKAGES {
        collect(&workspace().join(package), &mut found);
    }
    let relative = |path: &Path| path.strip_prefix(workspace()).unwrap().display().to_string();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
