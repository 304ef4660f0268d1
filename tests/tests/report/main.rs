//! The report of a failed test and the files of its bundle, as a user finds them: where they are,
//! who may read them, what is left of earlier runs, and that a passing test leaves nothing.

mod fixtures;
mod stacks;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use netns_test_tests::{again, copy_this_program, is_root, left_out, passes, scratch, text};

/// Returns a run of one fixture with these variables, and none of the surroundings'.
fn run(fixture: &str, variables: &[(&str, &str)]) -> Command {
    with(again(&[], &["--exact", &format!("fixtures::{fixture}")]), variables)
}

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    for name in ["RUN_ID", "ATTEMPT", "TOTAL_ATTEMPTS", "STRESS_CURRENT"] {
        command.env_remove(format!("NEXTEST_{name}"));
    }
    for name in ["REPORT", "KEEP", "OUT", "STACKS"] {
        command.env_remove(format!("NETNS_TEST_{name}"));
    }
    command.env("CARGO_PKG_NAME", "shop").env("LC_ALL", "C.UTF-8");
    command.env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"));
    command.envs(variables.iter().copied());
    command
}

/// Runs a fixture that fails. Returns its output.
fn failing(fixture: &str, variables: &[(&str, &str)]) -> String {
    netns_test_tests::fails(&mut run(fixture, variables))
}

/// Returns the bundle of a fixture's attempt.
fn bundle(out: &Path, fixture: &str, attempt: &str) -> PathBuf {
    out.join(format!("shop/report/fixtures--{fixture}/{attempt}"))
}

/// Returns all files below a directory, by their paths from there.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn result(bundle: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(bundle.join("result.json")).unwrap()).unwrap()
}

#[test]
fn a_failing_test_leaves_a_bundle() {
    let out = scratch("bundle");
    let printed = failing("listens_and_panics", &[("NETNS_TEST_OUT", out.to_str().unwrap())]);
    let bundle = bundle(&out, "listens_and_panics", "attempt-1");
    assert_eq!(files(&bundle), ["events.jsonl", "lab.json", "report.txt", "result.json"]);
    let result = result(&bundle);
    assert_eq!(result["outcome"], "failed");
    assert_eq!(result["kind"], "panicked");
    assert_eq!(result["test"], "fixtures::listens_and_panics");
    assert_eq!(result["message"], "it listens and has no client");
    let place = result["place"].as_str().unwrap();
    assert!(place.starts_with("tests/tests/report/fixtures.rs:"), "{place}");
    let lab: serde_json::Value =
        serde_json::from_slice(&fs::read(bundle.join("lab.json")).unwrap()).unwrap();
    assert_eq!(lab["looks"][0]["reason"], "panic");
    for line in fs::read_to_string(bundle.join("events.jsonl")).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["t_ns"].is_i64() && event["kind"].is_string(), "{line}");
    }
    let report = fs::read_to_string(bundle.join("report.txt")).unwrap();
    assert!(report.contains("\n  it listens and has no client\n"), "{report}");
    for line in report.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(printed.contains(line), "{line:?} is not in\n{printed}");
    }
    assert!(report.contains("LISTEN     127.0.0.1:"), "{report}");
    // A user who may not read the source gets a report without.
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report/fixtures.rs");
    let is_shown = report.contains("panic!(\"it listens and has no client\");");
    assert_eq!(is_shown, fs::read(source).is_ok(), "{report}");
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn only_the_owner_reads_a_bundle() {
    let out = scratch("modes");
    let around = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""];
    let command = again(&around, &["--exact", "fixtures::listens_and_panics"]);
    let inner = out.join("made");
    let variables = [("NETNS_TEST_OUT", inner.to_str().unwrap())];
    netns_test_tests::fails(&mut with(command, &variables));
    let bundle = bundle(&inner, "listens_and_panics", "attempt-1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in bundle.ancestors().take_while(|path| *path != out) {
        assert_eq!(mode(directory), 0o700, "{directory:?}");
    }
    for file in files(&bundle) {
        assert_eq!(mode(&bundle.join(&file)), 0o600, "{file}");
    }
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_passing_test_leaves_nothing() {
    let out = scratch("passing");
    let inner = out.join("made");
    let variables = [("NETNS_TEST_OUT", inner.to_str().unwrap())];
    for fixture in ["passes", "panics_as_it_should"] {
        passes(&mut run(fixture, &variables), 1);
    }
    assert!(!inner.exists());
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn tests_are_kept_as_asked() {
    let out = scratch("keep");
    let place = out.to_str().unwrap();
    let variables = |keep| [("NETNS_TEST_OUT", place), ("NETNS_TEST_KEEP", keep)];
    let printed = failing("listens_and_panics", &variables("none"));
    assert!(printed.contains("FAILED after") && !printed.contains("Evidence"), "{printed}");
    assert_eq!(files(&out), Vec::<String>::new());
    for fixture in ["passes", "panics_as_it_should"] {
        passes(&mut run(fixture, &variables("all")), 1);
        let bundle = bundle(&out, fixture, "attempt-1");
        assert_eq!(result(&bundle)["outcome"], "passed");
        assert!(bundle.join("report.txt").exists());
    }
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_report_is_as_long_as_asked() {
    let out = scratch("length");
    let place = out.to_str().unwrap();
    let variables = |report| [("NETNS_TEST_OUT", place), ("NETNS_TEST_REPORT", report)];
    let off = failing("listens_and_panics", &variables("off"));
    assert!(!off.contains("netns-test:"), "{off}");
    assert_eq!(files(&out), Vec::<String>::new());
    let short = failing("listens_and_panics", &variables("short"));
    let start = short.find("netns-test: fixtures::listens_and_panics FAILED").unwrap();
    let lines = short[start..].lines().take_while(|line| !line.is_empty()).count();
    assert!(lines <= 14 && short.contains("Evidence  "), "{lines}: {short}");
    fs::remove_dir_all(out).unwrap();
}

/// The panic has already said all that is known.
#[test]
fn a_plain_failure_is_not_explained() {
    let out = scratch("plain");
    let variables = [("NETNS_TEST_OUT", out.to_str().unwrap())];
    let printed = failing("fails_plainly", &variables);
    assert!(!printed.contains("netns-test:"), "{printed}");
    assert!(bundle(&out, "fails_plainly", "attempt-1").join("result.json").exists());
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn attempts_of_nextest_are_kept_apart() {
    let out = scratch("attempts");
    let fixture = "listens_and_panics";
    let attempt = |run: &str, number: &str, stress: &str| {
        let variables = [
            ("NETNS_TEST_OUT", out.to_str().unwrap()),
            ("NEXTEST_RUN_ID", run),
            ("NEXTEST_ATTEMPT", number),
            ("NEXTEST_TOTAL_ATTEMPTS", "3"),
            ("NEXTEST_STRESS_CURRENT", stress),
        ];
        failing(fixture, &variables)
    };
    let listed = || {
        let mut names: Vec<String> = fs::read_dir(bundle(&out, fixture, ""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    };
    attempt("one", "1", "none");
    let second = attempt("one", "2", "none");
    assert!(second.contains("(attempt 2 of 3)"), "{second}");
    assert!(second.contains("cargo nextest run"), "{second}");
    assert_eq!(listed(), ["attempt-1", "attempt-2"]);
    assert_eq!(result(&bundle(&out, fixture, "attempt-2"))["attempt"], 2);
    attempt("two", "1", "none");
    assert_eq!(listed(), ["attempt-1"]);
    attempt("two", "1", "4");
    assert_eq!(listed(), ["attempt-1", "attempt-1-stress-4"]);
    // Under cargo test there is one attempt.
    failing(fixture, &[("NETNS_TEST_OUT", out.to_str().unwrap())]);
    assert_eq!(listed(), ["attempt-1"]);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_costs_one_line() {
    for keep in ["failed", "all"] {
        let variables = [("NETNS_TEST_OUT", "/dev/null/x"), ("NETNS_TEST_KEEP", keep)];
        let printed = failing("listens_and_panics", &variables);
        assert_eq!(printed.matches("the evidence was not kept: make").count(), 1, "{printed}");
        assert!(printed.contains("FAILED after") && !printed.contains("Evidence"), "{printed}");
        passes(&mut run("passes", &variables), 1);
    }
}

/// A file system without room, and one that is mounted read-only.
#[test]
fn a_place_without_room_costs_one_line() {
    let is_allowed = Command::new("unshare").args(["-rm", "true"]).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        return left_out("a full and a read-only target directory", "unshare -rm is refused");
    }
    for (options, step) in [("size=4k,nr_inodes=5", "write"), ("ro", "make")] {
        let out = scratch("full");
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs '{0}' || exit 99\n\"$0\" \"$@\"\nstatus=$?\n\
             find '{0}' -type f -exec echo LEFT {{}} ';'\nexit $status",
            out.display()
        );
        let around = ["unshare", "-rm", "sh", "-c", &script];
        let command = again(&around, &["--exact", "fixtures::listens_and_panics"]);
        let variables = [("NETNS_TEST_OUT", out.to_str().unwrap())];
        let printed = netns_test_tests::fails(&mut with(command, &variables));
        let line = format!("the evidence was not kept: {step}");
        assert_eq!(printed.matches(&line).count(), 1, "{options}: {printed}");
        assert!(printed.contains("FAILED after") && !printed.contains("LEFT"), "{printed}");
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_lab_is_drawn_and_what_waits_is_named() {
    let out = scratch("lab");
    let variables = [("NETNS_TEST_OUT", out.to_str().unwrap())];
    let printed = failing("connects_to_another_port", &variables);
    for part in ["Cause (", "client eth0 10.0.0.1/24", "LISTEN     0.0.0.0:8080"] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    let printed = failing("waits_for_a_datagram", &variables);
    let parts = [
        "fixtures::waits_for_a_datagram TIMED OUT after ",
        "--X--",
        "<== ",
        "the test's thread (tid ",
        "recvfrom, for data, fd ",
        ": udp 0.0.0.0:4000",
    ];
    for part in parts {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    let bundle = bundle(&out, "waits_for_a_datagram", "attempt-1");
    assert_eq!(result(&bundle)["kind"], "timed out");
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn files_of_a_test_are_in_its_bundle() {
    let ends = ["leaves_artifacts", "leaves_artifacts_and_waits", "leaves_artifacts_and_is_killed"];
    for fixture in ends {
        let out = scratch("artifacts");
        let printed = failing(fixture, &[("NETNS_TEST_OUT", out.to_str().unwrap())]);
        let artifacts = bundle(&out, fixture, "attempt-1").join("artifacts");
        let found = files(&artifacts);
        let hostile = found.iter().find(|name| name.starts_with("__31m_red-")).unwrap();
        let names = ["a/b/capture.pcap", "election.log", "empty", "sparse"];
        assert!(names.iter().all(|name| found.contains(&(*name).to_owned())), "{found:?}");
        assert_eq!(found.len(), names.len() + 1, "{found:?}");
        let text = |name: &str| fs::read_to_string(artifacts.join(name)).unwrap();
        assert_eq!(text("election.log"), "term 1\nterm 2\n");
        assert_eq!(text("a/b/capture.pcap"), "packets");
        assert_eq!(text(hostile), "of a hostile name");
        let length = fs::metadata(artifacts.join("sparse")).unwrap().len();
        assert!(length <= 12 << 20, "{length}");
        assert!(printed.contains("artifacts/sparse lacks"), "{printed}");
        let lab = fs::read(bundle(&out, fixture, "attempt-1").join("lab.json")).unwrap();
        let lab: serde_json::Value = serde_json::from_slice(&lab).unwrap();
        for kind in ["link: it is a link", "fifo: it is a FIFO", "socket: it is a socket"] {
            let problem = serde_json::Value::from(format!("artifact {kind}"));
            assert!(lab["gaps"].as_array().unwrap().contains(&problem), "{kind}: {}", lab["gaps"]);
        }
        fs::remove_dir_all(out).unwrap();
    }
    let out = scratch("artifacts");
    passes(
        &mut run("leaves_artifacts_and_passes", &[("NETNS_TEST_OUT", out.to_str().unwrap())]),
        1,
    );
    assert_eq!(files(&out), Vec::<String>::new());
    assert!(!Path::new("/run/netns-test-artifacts").exists());
    let outside = netns_test::artifact_dir().unwrap_err().to_string();
    assert!(outside.contains("the process is not a test body"), "{outside}");
    fs::remove_dir_all(out).unwrap();
}

/// Makes a target directory with a copy of this binary, as cargo would.
fn target(name: &str) -> (PathBuf, PathBuf) {
    let place = scratch(name);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let target = place.join("target");
    fs::create_dir_all(target.join("debug/deps")).unwrap();
    fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
    let binary = target.join("debug/deps/report-0123456789abcdef");
    copy_this_program(&binary);
    (target, binary)
}

fn run_of(binary: &Path, around: &[&str]) -> String {
    let mut words = around.to_vec();
    words.push(binary.to_str().unwrap());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--ignored", "--exact", "fixtures::listens_and_panics"]);
    text(&with(command, &[("CARGO_MANIFEST_DIR", "/")]).output().unwrap())
}

#[test]
fn a_bundle_is_below_the_target_directory_of_the_binary() {
    let (target, binary) = target("target");
    let printed = run_of(&binary, &[]);
    let bundle = bundle(&target.join("netns-test"), "listens_and_panics", "attempt-1");
    assert!(bundle.join("result.json").exists(), "{printed}");
    fs::remove_dir_all(target.join("netns-test")).unwrap();
    if !is_root() {
        return left_out("a bundle of another user", "this is not root");
    }
    // One that may not write there, and then one that may.
    let around = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let printed = run_of(&binary, &around);
    assert!(printed.contains("the evidence was not kept: make"), "{printed}");
    std::os::unix::fs::chown(&target, Some(65534), Some(65534)).unwrap();
    let printed = run_of(&binary, &around);
    assert!(bundle.join("result.json").exists(), "{printed}");
    assert_eq!(fs::metadata(&bundle).unwrap().uid(), 65534);
    fs::remove_dir_all(target.parent().unwrap()).unwrap();
}

#[test]
fn a_link_in_the_target_directory_is_not_followed() {
    let (target, binary) = target("links");
    let other = target.parent().unwrap().join("other");
    fs::create_dir(&other).unwrap();
    symlink(&other, target.join("netns-test")).unwrap();
    let printed = run_of(&binary, &[]);
    assert!(printed.contains("the evidence was not kept: make"), "{printed}");
    assert!(printed.contains("fixtures::listens_and_panics FAILED after"), "{printed}");
    assert_eq!(files(&other), Vec::<String>::new());
    fs::remove_dir_all(target.parent().unwrap()).unwrap();
}

#[test]
fn nothing_that_a_program_is_named_reaches_the_terminal() {
    let out = scratch("hostile");
    let variables = [("NETNS_TEST_OUT", out.to_str().unwrap())];
    let printed = failing("starts_a_program_with_a_hostile_name", &variables);
    let start = printed.find("_name FAILED after").unwrap();
    let report = &printed[start..];
    assert!(report.contains("also running: \\x1b[31m"), "{report}");
    let is_unsafe = |letter: char| letter.is_control() && letter != '\n';
    // The verdict's own line about what is left comes before.
    assert!(!report.contains(is_unsafe), "{report:?}");
    let fixture = "starts_a_program_with_a_hostile_name";
    assert_eq!(result(&bundle(&out, fixture, "attempt-1"))["outcome"], "failed");
    fs::remove_dir_all(out).unwrap();
}
