//! The reports as they are expected, without what differs from run to run.

use std::collections::BTreeMap;
use std::path::Path;

use super::Case;
use super::normal::{normal, without_source};

/// Files with reports, in the order of the cases.
const FILES: [&str; 6] = [
    include_str!("texts/servers.txt"),
    include_str!("texts/paths.txt"),
    include_str!("texts/queues.txt"),
    include_str!("texts/ends.txt"),
    include_str!("texts/local.txt"),
    include_str!("texts/times.txt"),
];

/// Case whose cause is found in the source.
const OF_SOURCE: &str = "name_typo_in_source";

/// Expected reports by the names of their cases.
pub(crate) struct Texts {
    texts: BTreeMap<String, String>,
    /// Whether this user may read the source, lines of which are in a report.
    has_source: bool,
}

impl Default for Texts {
    fn default() -> Self {
        let parts = FILES.iter().flat_map(|file| file.split("==== ").skip(1));
        let texts = parts.filter_map(|part| part.split_once('\n'));
        Self {
            texts: texts
                .map(|(name, text)| (name.to_owned(), text.trim_end().to_owned() + "\n"))
                .collect(),
            has_source: std::fs::read(directory().join("main.rs")).is_ok(),
        }
    }
}

impl Texts {
    /// Returns whether the report of a case is as expected.
    pub(crate) fn has(&self, name: &str, report: &str) -> bool {
        let Some(expected) = self.texts.get(name) else { return false };
        match self.has_source {
            true => normal(report) == *expected,
            false => {
                name == OF_SOURCE || without_source(&normal(report)) == without_source(expected)
            }
        }
    }

    /// Returns what is wrong with the reports of a case, the last of which should be as expected.
    /// None may have a certain cause that is not.
    pub(crate) fn misses(&self, name: &str, reports: &[String]) -> Vec<String> {
        let expected = self.texts.get(name).map_or("", String::as_str);
        let certain = |report: &str| -> Vec<String> {
            let lines = normal(report);
            let lines = lines.lines().filter(|line| line.starts_with("Cause (certain)"));
            lines.map(str::to_owned).collect()
        };
        let certain = reports.iter().flat_map(|report| certain(report));
        let wrong = certain.filter(|cause| !expected.lines().any(|line| line == cause));
        let mut misses: Vec<String> = wrong.map(|cause| format!("{name}: {cause}")).collect();
        let last = &reports[reports.len() - 1];
        if !self.has(name, last) {
            let normal = normal(last);
            misses.push(format!("{name}: is\n{normal}\nand not\n{expected}\n--- in\n{last}"));
        }
        misses
    }

    pub(crate) fn set(&mut self, name: &str, text: String) {
        self.texts.insert(name.to_owned(), text);
    }

    /// Writes the files.
    pub(crate) fn write(&self, cases: &[(&str, &[&[Case]])]) {
        for (file, lists) in cases {
            let names = lists.iter().copied().flatten().map(|(name, _)| *name);
            let text = |name| self.texts.get(name).map_or("", String::as_str);
            let parts = names.map(|name| format!("==== {name}\n{}\n", text(name)));
            let path = directory().join(format!("texts/{file}.txt"));
            std::fs::write(path, parts.collect::<String>()).unwrap();
        }
    }
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/causes")
}
