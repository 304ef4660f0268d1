//! The table of docs/COMPARE.md has each test of this binary, and its numbers are right.

use std::collections::BTreeSet;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../docs/COMPARE.md");

/// Tags in the order of the table.
const TAGS: [&str; 16] = [
    "impair",
    "rate",
    "presets",
    "hold/release",
    "region-latency",
    "packet-hook",
    "partition-oneway",
    "mtu/pmtud",
    "natpmp/pcp/upnp",
    "nat44",
    "firewall",
    "cgnat",
    "hairpin",
    "one-to-one",
    "nat-change",
    "dynamic-roam",
];

/// A test of another tool.
struct Row {
    /// Tool, as its heading has it.
    tool: &'static str,
    name: &'static str,
    tags: Vec<&'static str>,
    state: State,
}

enum State {
    /// A test of this binary, and what it lacks.
    Test(&'static str, Option<&'static str>),
    /// No test yet.
    Missing,
    /// A test of what this crate is not to have.
    NotOurs,
}

/// Returns the rows of the tables below the headings of tools.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for section in DOCUMENT.split("\n### ").skip(1) {
        let (tool, text) = section.split_once('\n').unwrap();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, tags, state] = cells[..] else { panic!("not three cells: {line}") };
            rows.push(Row {
                tool,
                name: name.trim_matches('`'),
                tags: tags.split(", ").collect(),
                state: state_of(state),
            });
        }
    }
    rows
}

fn state_of(cell: &'static str) -> State {
    if cell.starts_with("not yet: ") {
        return State::Missing;
    }
    if cell.starts_with("not ours: ") {
        return State::NotOurs;
    }
    let (name, lack) = match cell.split_once(", without ") {
        Some((name, lack)) => (name, Some(lack)),
        None => (cell, None),
    };
    let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
    State::Test(name.unwrap_or_else(|| panic!("not a test: {cell}")), lack)
}

/// Returns the name of the test of a row: the tool's module, and the row's name in snake case.
fn test_name(row: &Row) -> String {
    let tool = row.tool.split([' ', '/']).next().unwrap().replace('-', "_");
    let mut name = format!("{tool}::");
    let row: Vec<char> = row.name.replace("IPv", "Ipv").replace('/', "::").chars().collect();
    for (at, character) in row.iter().enumerate() {
        let follows = |is_it: fn(&char) -> bool| at > 0 && is_it(&row[at - 1]);
        let precedes_small = row.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = follows(|one| one.is_lowercase() || one.is_ascii_digit())
            || follows(|one| one.is_uppercase()) && precedes_small;
        if character.is_uppercase() && begins {
            name.push('_');
        }
        name.extend(character.to_lowercase());
    }
    name
}

/// Returns a line of a table of numbers.
fn line(title: &str, rows: &[&Row]) -> String {
    let count = |is_it: fn(&State) -> bool| rows.iter().filter(|row| is_it(&row.state)).count();
    let tests = count(|state| matches!(state, State::Test(..)));
    let in_part = count(|state| matches!(state, State::Test(_, Some(_))));
    let missing = count(|state| matches!(state, State::Missing));
    let not_ours = count(|state| matches!(state, State::NotOurs));
    let all = rows.len();
    format!("| {title} | {all} | {tests} | {in_part} | {missing} | {not_ours} |\n")
}

#[test]
fn each_test_of_the_table_is_one_of_this_binary() {
    let rows = rows();
    let mut named = BTreeSet::new();
    for row in &rows {
        if let State::Test(test, _) = row.state {
            assert_eq!(test, test_name(row), "{}", row.name);
            assert!(named.insert(test.to_owned()), "twice: {test}");
        }
    }
    let list = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let registered: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|name| !name.starts_with("compare::"))
        .map(str::to_owned)
        .collect();
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&named, &registered), [""; 0], "in the table alone");
    assert_eq!(only(&registered, &named), [""; 0], "no row of the table");
}

#[test]
fn the_numbers_are_those_of_the_rows() {
    let rows = rows();
    let mut tools: Vec<&str> = rows.iter().map(|row| row.tool).collect();
    tools.dedup();
    let of_tools = tools.iter().map(|tool| {
        let own: Vec<&Row> = rows.iter().filter(|row| row.tool == *tool).collect();
        line(tool, &own)
    });
    let of_tools: String =
        of_tools.chain([line("all", &rows.iter().collect::<Vec<_>>())]).collect();
    let of_tags: String = TAGS
        .iter()
        .map(|tag| {
            let own: Vec<&Row> = rows.iter().filter(|row| row.tags.contains(tag)).collect();
            assert!(!own.is_empty(), "{tag}");
            line(tag, &own)
        })
        .collect();
    for table in [of_tools, of_tags] {
        assert!(DOCUMENT.contains(&table), "docs/COMPARE.md lacks\n{table}");
    }
    let has_one = |row: &Row| row.tags.iter().any(|tag| TAGS.contains(tag));
    assert!(rows.iter().all(has_one), "a row without a tag that is counted");
}
