//! The documents lead somewhere: every link to a file or a heading of this repository, and every
//! topic that a diagnosis names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files with links.
const DOCUMENTS: [&str; 11] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/CI.md",
    "docs/ENVIRONMENTS.md",
    "netns-test/LAB.md",
    "docs/NETNS.md",
    "docs/PERFORMANCE.md",
    "docs/SANDBOX.md",
    "docs/TOOLS.md",
];

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for document in DOCUMENTS {
        for link in links(&read(document)) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => PathBuf::from(document),
                path => Path::new(document).parent().unwrap().join(path),
            };
            let exists = root().join(&target).exists();
            let is_there =
                || anchor.is_empty() || anchors(&read(target.to_str().unwrap())).contains(anchor);
            if !exists || !is_there() {
                wrong.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(count > 50, "{count}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_topic_of_a_diagnosis_has_a_heading() {
    let anchors = anchors(&read("docs/ENVIRONMENTS.md"));
    let directory = root().join("netns-test/src/diagnose/causes");
    let mut topics = BTreeSet::from(["nesting".to_owned()]);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("tests.rs") {
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        for after in source.split("Diagnosis::new(").skip(1) {
            let Some(topic) = after.trim_start().strip_prefix('"') else { continue };
            topics.insert(topic.split('"').next().unwrap().to_owned());
        }
    }
    assert!(topics.len() > 18, "{topics:?}");
    for topic in topics {
        assert!(anchors.contains(&topic), "{topic}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The targets of `[text](target)`, outside of blocks of code.
fn links(text: &str) -> Vec<String> {
    let prose: Vec<_> = text.split("\n```").step_by(2).collect();
    let after = prose.iter().flat_map(|part| part.split("](").skip(1));
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// What a link can lead to: headings, as GitHub names them, and places that are named by hand.
fn anchors(text: &str) -> BTreeSet<String> {
    let named = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    named.map(str::to_owned).chain(headings.map(anchor)).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
