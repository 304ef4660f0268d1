//! The reports as they are expected, without what differs from run to run.

use std::collections::BTreeMap;
use std::path::Path;

use super::Case;
use super::normal::{normal, without_source};

/// Files with reports, in the order of the cases.
const FILES: [&str; 8] = [
    include_str!("texts/servers.txt"),
    include_str!("texts/paths.txt"),
    include_str!("texts/nats.txt"),
    include_str!("texts/queues.txt"),
    include_str!("texts/links.txt"),
    include_str!("texts/ends.txt"),
    include_str!("texts/local.txt"),
    include_str!("texts/times.txt"),
];

/// Cases whose cause has words of the source.
const OF_SOURCE: [&str; 5] = [
    "name_typo_in_source",
    "name_typo_in_async",
    "plain_no_route",
    "datagram_too_long",
    "near_unix_refused",
];

/// Expected reports by the names of their cases.
pub(crate) struct Texts {
    texts: BTreeMap<String, String>,
    /// Whether this user may read the source, lines of which are in a report.
    pub(crate) has_source: bool,
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
    pub(crate) fn has(&self, case: &Case, report: &str) -> bool {
        let (normal, expected) = (normal(report), self.expected(case));
        match self.has_source {
            true => normal == expected,
            false => {
                OF_SOURCE.contains(&case.0) || without_source(&normal, is_proven(case)) == expected
            }
        }
    }

    /// Returns what is wrong with the reports of a case, the last of which should be as expected.
    /// None may have a certain cause that is not.
    pub(crate) fn misses(&self, case: &Case, reports: &[String]) -> Vec<String> {
        let (name, expected) = (case.0, self.expected(case));
        if !self.has_source && OF_SOURCE.contains(&name) {
            return Vec::new();
        }
        let certain = |report: &str| -> Vec<String> {
            let lines = normal(report);
            let lines = lines.lines().filter(|line| line.starts_with("Cause (certain)"));
            lines.map(str::to_owned).collect()
        };
        let certain = reports.iter().flat_map(|report| certain(report));
        let wrong = certain.filter(|cause| !expected.lines().any(|line| line == cause));
        let mut misses: Vec<String> = wrong.map(|cause| format!("{name}: {cause}")).collect();
        let last = &reports[reports.len() - 1];
        if !self.has(case, last) {
            let normal = normal(last);
            misses.push(format!("{name}: is\n{normal}\nand not\n{expected}\n--- in\n{last}"));
        }
        misses
    }

    /// Returns the report of a case that this user gets.
    fn expected(&self, case: &Case) -> String {
        let text = self.texts.get(case.0).cloned().unwrap_or_default();
        match self.has_source {
            true => text,
            false if is_proven(case) => {
                without_source(&text.replacen("Cause (certain)", "Cause (likely)", 1), true)
            }
            false => without_source(&text, false),
        }
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

/// Returns whether the cause of a case is proven by its source.
fn is_proven(case: &Case) -> bool {
    case.1.iter().any(|expected| expected.starts_with("proven: "))
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/causes")
}
