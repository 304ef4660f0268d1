//! The verdict of a test, and what a person sees of it, for every way in which a body can
//! end: captured, not captured, one at a time, eight at a time.
//!
//! `expected.txt` holds the words. After a change that is meant, run these tests with
//! `UPDATE_EXPECTED=1` and read the difference.

mod fixtures;
mod raw;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

const EXPECTED: &str = include_str!("expected.txt");

/// `ok` or `FAILED`, and what was printed for a test, by its name.
type Seen = BTreeMap<String, (String, String)>;

#[test]
fn eight_at_a_time() {
    let seen = captured(&["--test-threads=8"]);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verdicts/expected.txt");
        std::fs::write(path, render(&seen)).unwrap();
        return;
    }
    compare(&seen, &parse(EXPECTED));
}

#[test]
fn one_at_a_time() {
    compare(&captured(&["--test-threads=1"]), &parse(EXPECTED));
}

#[test]
fn not_captured() {
    for (name, (verdict, text)) in parse(EXPECTED) {
        let name = format!("fixtures::{name}");
        let output = run(&["--nocapture", "--test-threads=1", "--exact", &name]);
        let all = shown(&[output.stdout.as_slice(), &output.stderr].concat());
        assert_eq!(output.status.success(), verdict == "ok", "{name}\n{all}");
        // stdout and stderr are apart here, and libtest adds lines of its own.
        for line in text.lines().filter(|line| !line.starts_with("note: ")) {
            assert!(all.contains(line), "{name}: {line:?} is not in\n{all}");
        }
    }
}

#[test]
fn a_test_that_passes_shows_its_output_when_it_is_not_captured() {
    let of = |name| {
        let output = run(&["--nocapture", "--exact", name]);
        assert!(output.status.success(), "{name}");
        shown(&[output.stdout.as_slice(), &output.stderr].concat())
    };
    assert!(of("fixtures::returns").contains("not shown for a test that passes"));
    let thread = of("fixtures::thread_panics_and_is_not_asked");
    assert!(thread.contains("thread 'worker' panicked at"), "{thread}");
    assert!(thread.contains("its result is dropped"), "{thread}");
}

#[test]
fn a_panic_is_reported_once_with_a_backtrace_of_the_body() {
    let name = "fixtures::assertion_fails";
    let output = command(&["--exact", name]).env("RUST_BACKTRACE", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("panicked at").count(), 1, "{text}");
    assert_eq!(text.matches("stack backtrace:").count(), 1, "{text}");
    assert!(text.contains("verdicts::fixtures::assertion_fails"), "{text}");
    assert!(!text.contains("netns_test::harness"), "{text}");
}

/// The harness's own panic, when stderr is full, must not be taken for the test's.
#[test]
fn a_verdict_that_cannot_be_written_is_a_failure() {
    for name in ["should_panic_and_exits", "should_panic_and_hangs", "exits_with_0"] {
        let name = format!("fixtures::{name}");
        for arguments in
            [["--exact", name.as_str(), "--nocapture"], ["--exact", &name, "--color=never"]]
        {
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let status = command(&arguments).stderr(full).stdout(Stdio::null()).status().unwrap();
            assert!(!status.success(), "{arguments:?}");
        }
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = command(&["--exact", "fixtures::should_panic_and_does", "--nocapture"])
        .stderr(full)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "the report of the panic could not be written");
}

#[test]
fn every_fixture_is_expected() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--ignored", "--format=terse"])
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("fixtures::")?.strip_suffix(": test"))
        .collect();
    let expected: Vec<String> = parse(EXPECTED).into_keys().collect();
    assert_eq!(names, expected);
}

/// The report of a failure says more or less, and files are kept or not: the verdict is the same.
#[test]
fn reports_and_files_change_no_verdict() {
    let place = netns_test_tests::scratch("verdicts");
    let out = place.to_str().unwrap();
    for (report, keep, out) in [("full", "all", out), ("short", "failed", "/dev/null/none")] {
        let mut command = command(&["fixtures::", "--test-threads=8"]);
        command.env("NETNS_TEST_REPORT", report).env("NETNS_TEST_KEEP", keep);
        let seen = verdicts(&command.env("NETNS_TEST_OUT", out).output().unwrap());
        for (name, (verdict, _)) in parse(EXPECTED) {
            assert_eq!(seen[&name].0, verdict, "{name}, {report}: {}", seen[&name].1);
        }
    }
    std::fs::remove_dir_all(place).unwrap();
}

/// Runs all fixtures in one process, captured.
fn captured(arguments: &[&str]) -> Seen {
    verdicts(&run(&[&["fixtures::"], arguments].concat()))
}

fn verdicts(output: &Output) -> Seen {
    let text = shown(&output.stdout);
    let verdicts = text.lines().filter_map(|line| {
        let (name, verdict) = line.strip_prefix("test fixtures::")?.split_once(" ... ")?;
        let name = name.trim_end_matches(" - should panic");
        Some((name.to_owned(), verdict.to_owned()))
    });
    verdicts
        .map(|(name, verdict)| {
            let section = section(&text, &name);
            (name, (verdict, section))
        })
        .collect()
}

/// Returns libtest's text about a failed test.
fn section(text: &str, name: &str) -> String {
    let head = format!("---- fixtures::{name} stdout ----\n");
    let Some(start) = text.find(&head) else { return String::new() };
    let rest = &text[start + head.len()..];
    let end = rest.find("\n---- ").or_else(|| rest.find("\nfailures:\n")).unwrap_or(rest.len());
    rest[..end].trim_end().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--ignored").args(arguments).env("RUST_BACKTRACE", "0");
    // The words of the verdict only.
    command.env("NETNS_TEST_REPORT", "off");
    // Set when this test itself runs under nextest.
    command.env_remove("RUST_TEST_THREADS").env_remove("RUST_TEST_NOCAPTURE");
    command
}

/// Output, without what differs from run to run and with every edit of the fixtures.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut in_backtrace = false;
    let lines = text.lines().filter(|line| {
        let is_frame = in_backtrace && line.starts_with("  ");
        in_backtrace = is_frame || *line == "stack backtrace:";
        !is_frame
    });
    let lines = lines.map(|line| {
        let line = replace_numbers(line, "process ", "PID");
        let line = replace_numbers(&line, "fixtures.rs:", "LINE");
        let line = replace_numbers(&line, "at_exit.rs:", "LINE");
        let line = replace_numbers(&line, "LINE:", "COLUMN");
        let line = match line.split_once("TypeId(") {
            Some((before, _)) => format!("{before}TypeId"),
            None => line,
        };
        let line = replace_numbers(&line, "' (", "TID").replace("' (TID)", "'");
        // The standard library's own lines move with its versions.
        match line.split_once(" panicked at ") {
            Some((who, place)) if place.starts_with("/rustc/") || place.starts_with("library/") => {
                format!("{who} panicked at (the standard library)")
            }
            _ => line,
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// `line` with `word` for the number after each `prefix`.
fn replace_numbers(line: &str, prefix: &str, word: &str) -> String {
    let mut parts = line.split(prefix);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out += prefix;
        out += if rest.len() < part.len() { word } else { "" };
        out += rest;
    }
    out
}

fn render(seen: &Seen) -> String {
    seen.iter()
        .map(|(name, (verdict, text))| {
            // The longest one is only looked at by its beginning.
            let text: String = text.chars().take(2_000).collect();
            format!("==== {name}: {verdict}\n{text}\n").replace("\n\n====", "\n====")
        })
        .collect()
}

fn parse(text: &str) -> Seen {
    text.split("==== ")
        .skip(1)
        .map(|part| {
            let (head, text) = part.split_once('\n').unwrap();
            let (name, verdict) = head.split_once(": ").unwrap();
            (name.to_owned(), (verdict.to_owned(), text.trim_end().to_owned()))
        })
        .collect()
}

fn compare(seen: &Seen, expected: &Seen) {
    let names = |seen: &Seen| seen.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(seen), names(expected));
    for (name, (verdict, text)) in expected {
        assert_eq!(&seen[name].0, verdict, "{name}: {}", seen[name].1);
        assert_eq!(&seen[name].1, text, "{name}");
    }
}
