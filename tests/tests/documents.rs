//! Every link of a document to a file or a heading of this repository has its target, and so has
//! every topic that a diagnosis names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use netns_test::lab::Impairment;

/// The documents. README.md and those in the package are also shown by registries, where a relative
/// link has no target.
const DOCUMENTS: [&str; 19] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/BAD-NETWORKS.md",
    "docs/CAPTURE.md",
    "docs/CI.md",
    "docs/COMPARE.md",
    "docs/DNS.md",
    "docs/ENVIRONMENTS.md",
    "docs/FAILURES.md",
    "docs/MIGRATION.md",
    "docs/NAT.md",
    "docs/NETNS.md",
    "docs/PERFORMANCE.md",
    "docs/SANDBOX.md",
    "docs/TOOLS.md",
    "netns-test/CRATE.md",
    "netns-test/LAB.md",
];

/// Absolute links to files and folders of this repository begin with one of these.
const REPOSITORY: [&str; 2] = [
    "https://github.com/netns-test/netns-test/blob/main/",
    "https://github.com/netns-test/netns-test/tree/main/",
];

#[test]
fn every_link_has_a_target() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in DOCUMENTS {
        for link in links(&read(document)) {
            let Some((target, anchor)) = target(document, &link) else { continue };
            count += 1;
            let exists = root().join(&target).exists();
            let has_anchor =
                || anchor.is_empty() || anchors(&read(target.to_str().unwrap())).contains(&anchor);
            if !exists || !has_anchor() {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(count > 50, "{count}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_of_published_documents_are_absolute() {
    for document in ["README.md", "netns-test/CRATE.md", "netns-test/LAB.md"] {
        let is_relative = |link: &&String| !link.contains("://") && !link.starts_with('#');
        // A link of rustdoc has no extension.
        let is_file = |link: &&String| link.contains(".md") || link.contains('/');
        let text = read(document);
        let relative: Vec<String> =
            links(&text).iter().filter(is_relative).filter(is_file).cloned().collect();
        assert!(relative.is_empty(), "{document}: {relative:?}");
    }
}

#[test]
fn absolute_links_lead_to_files() {
    let target = |link: &str| target("README.md", link).map(|(path, _)| path);
    let docs = |name: &str| format!("{}docs/{name}", REPOSITORY[0]);
    assert_eq!(target(&docs("CI.md#github")), Some("docs/CI.md".into()));
    assert!(!root().join(target(&docs("NONE.md")).unwrap()).exists());
    assert_eq!(target("https://example.org/docs/CI.md"), None);
    assert_eq!(target("#cost"), Some("README.md".into()));
}

#[test]
fn the_numbers_of_named_conditions_are_those_of_the_crate() {
    let all = [
        ("lan", Impairment::lan()),
        ("wifi", Impairment::wifi()),
        ("wifi_bad", Impairment::wifi_bad()),
        ("edge", Impairment::edge()),
        ("mobile_3g", Impairment::mobile_3g()),
        ("lte", Impairment::lte()),
        ("mobile_5g", Impairment::mobile_5g()),
        ("dial_up", Impairment::dial_up()),
        ("dsl", Impairment::dsl()),
        ("cable", Impairment::cable()),
        ("fibre", Impairment::fibre()),
        ("leo_satellite", Impairment::leo_satellite()),
        ("geo_satellite", Impairment::geo_satellite()),
        ("lossy_datacentre", Impairment::lossy_datacentre()),
    ];
    let lines = all.map(|(name, condition)| format!("{name:18}{condition}\n")).concat();
    let document = read("docs/BAD-NETWORKS.md");
    assert!(document.contains(&lines), "docs/BAD-NETWORKS.md lacks\n{lines}");
}

#[test]
fn the_recipes_are_those_of_the_suite() {
    let (document, suite) =
        (read("docs/BAD-NETWORKS.md"), read("tests/tests/bad_networks/recipes.rs"));
    let tests: Vec<&str> = suite.split("#[netns_test]\n").skip(1).map(str::trim_end).collect();
    assert!(tests.len() >= 9, "{}", tests.len());
    for test in tests {
        assert!(document.contains(test), "docs/BAD-NETWORKS.md lacks\n{test}");
    }
}

/// Returns the file, from the root, and the anchor of a link in `document`; `None` if the link
/// leads out of the repository.
fn target(document: &str, link: &str) -> Option<(PathBuf, String)> {
    let own = REPOSITORY.iter().find_map(|prefix| link.strip_prefix(prefix));
    if own.is_none() && link.contains("://") {
        return None;
    }
    let (path, anchor) = own.unwrap_or(link).split_once('#').unwrap_or((own.unwrap_or(link), ""));
    let path = match path {
        "" => PathBuf::from(document),
        path if own.is_some() => PathBuf::from(path),
        path => Path::new(document).parent().unwrap().join(path),
    };
    Some((path, anchor.to_owned()))
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

/// Returns the targets of `[text](target)`, outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let prose: Vec<_> = text.split("\n```").step_by(2).collect();
    let after = prose.iter().flat_map(|part| part.split("](").skip(1));
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// Returns the anchors of a document: headings, as GitHub names them, and explicit `<a id>`.
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
