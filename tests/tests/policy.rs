//! `NETNS_TEST` and `NETNS_TEST_SKIPPED`: what becomes of tests that cannot be isolated, and of
//! all that fail for another reason.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use netns_test::netns_test;
use netns_test_tests::{again, fails, passes, text};

/// A user without a number may make no namespaces.
const REFUSED: [&str; 2] = ["unshare", "-U"];

const CAUSE: &str = "this process's user or group has no number in its own user namespace";

fn refused(arguments: &[&str]) -> Command {
    again(&REFUSED, arguments)
}

fn skipping(mut command: Command) -> Command {
    // Set where this test itself is run by cargo-nextest.
    command.env("NETNS_TEST", "skip").env_remove("NEXTEST");
    command
}

/// Returns a file that a user without a mapped id may write, too.
fn file(name: &str) -> PathBuf {
    let directory = netns_test_tests::scratch(name);
    let path = directory.join("skipped");
    fs::write(&path, "").unwrap();
    let all = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    fs::set_permissions(&path, all).unwrap();
    path
}

#[test]
fn a_test_that_cannot_be_isolated_fails_by_default() {
    for value in ["require", ""] {
        let text = fails(refused(&["samples::"]).env("NETNS_TEST", value));
        assert!(text.contains("0 passed; 4 failed"), "{text}");
        // The whole story once, and one line in each of the others. Of tests that should
        // panic, libtest shows the reason with what they printed.
        assert_eq!(text.matches("\n  cause: ").count(), 1, "{text}");
        assert_eq!(text.matches("\n  more: https://").count(), 1, "{text}");
        assert_eq!(
            text.matches("to skip such tests (each skip is reported): NETNS_TEST=skip").count(),
            1
        );
        assert_eq!(
            text.matches("(another test of this program has the full explanation)").count(),
            3
        );
    }
}

#[test]
fn a_skipped_test_passes_with_a_note() {
    let path = file("skips");
    let mut run = skipping(refused(&["samples::"]));
    let output = passes(run.env("NETNS_TEST_SKIPPED", &path), 4);
    // libtest prints what it captures to stdout, and only of tests that fail.
    let errors = String::from_utf8(output.stderr).unwrap();
    let names = ["fails", "passes", "should_panic", "should_panic_with_a_message"];
    for name in names {
        let line = format!("netns-test: SKIPPED samples::{name}: clone user namespace: EPERM");
        assert_eq!(errors.matches(&line).count(), 1, "{errors}");
    }
    let count = "netns-test: 4 tests were SKIPPED, not run, though the test runner says \"ok\"";
    assert_eq!(errors.matches(count).count(), 1, "{errors}");
    assert_eq!(errors.matches(&format!("\n  cause: {CAUSE}")).count(), 1, "{errors}");
    let lines = fs::read_to_string(&path).unwrap();
    let mut tests: Vec<_> =
        lines.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    tests.sort();
    assert_eq!(tests.len(), names.len(), "{lines}");
    for (fields, name) in tests.iter().zip(names) {
        let [program, test, cause] = fields[..] else { panic!("{lines}") };
        assert!(program.starts_with("policy-"), "{lines}");
        assert_eq!(test, format!("samples::{name}"));
        assert!(cause.ends_with(CAUSE), "{lines}");
    }
    // A second run adds to it.
    let mut run = skipping(refused(&["--exact", "samples::passes"]));
    let output = passes(run.env("NETNS_TEST_SKIPPED", &path), 1);
    assert!(text(&output).contains("netns-test: 1 test was SKIPPED, not run"), "{output:?}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A path is that of the directory in which the program was started.
#[test]
fn a_test_may_change_the_directory() {
    let path = file("relative");
    let mut run = skipping(refused(&["--exact", "goes_elsewhere_first"]));
    run.current_dir(path.parent().unwrap());
    passes(run.env("NETNS_TEST_SKIPPED", "skipped"), 1);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
#[ignore = "run by a_test_may_change_the_directory"]
fn goes_elsewhere_first() {
    std::env::set_current_dir("/").unwrap();
    samples::passes();
}

/// A test that could be isolated has its usual verdict.
#[test]
fn nothing_is_skipped_where_tests_can_be_isolated() {
    let path = file("none");
    let mut run = skipping(again(&[], &["samples::"]));
    let text = fails(run.env("NETNS_TEST_SKIPPED", &path));
    assert!(text.contains("3 passed; 1 failed"), "{text}");
    assert!(!text.contains("SKIPPED"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A limit that is reached now may not be the next time; the mode is not reduced for it either.
#[test]
fn a_shortage_at_the_first_test_is_not_skipped() {
    let script = "echo 1 > /proc/sys/user/max_net_namespaces
        unshare -n sh -c 'echo > $FIFO; read x < $FIFO' &
        read x < $FIFO; \"$0\" \"$@\"; status=$?; echo > $FIFO; wait; exit $status";
    let place = netns_test_tests::scratch("shortage");
    let fifo = place.join("fifo");
    netns_test_tests::stdout_of("mkfifo", &[fifo.to_str().unwrap()]);
    let around = ["unshare", "-Ur", "sh", "-c", script];
    let mut run = skipping(again(&around, &["--exact", "samples::passes"]));
    let text = fails(run.env("FIFO", &fifo));
    assert!(text.contains("clone net namespace: ENOSPC") && !text.contains("SKIPPED"), "{text}");
    fs::remove_dir_all(place).unwrap();
}

/// A limit that is not seen here, of a user namespace around, may be reached by others: the one that
/// they hold comes free when they end.
#[test]
fn a_shortage_of_user_namespaces_that_others_hold_is_not_skipped() {
    let script = "echo 2 > /proc/sys/user/max_user_namespaces
        unshare -U sh -c 'echo > $FIFO; read x < $FIFO' &
        read x < $FIFO; unshare -U --map-current-user \"$0\" \"$@\"
        status=$?; echo > $FIFO; wait; exit $status";
    let place = netns_test_tests::scratch("held");
    let fifo = place.join("fifo");
    netns_test_tests::stdout_of("mkfifo", &[fifo.to_str().unwrap()]);
    // Root can do without, where it may.
    let ordinary = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let around = [&["unshare", "-Ur", "sh", "-c", script], &ordinary[..]].concat();
    let mut run = skipping(again(&around, &["samples::", "--test-threads=1"]));
    let text = fails(run.env("FIFO", &fifo));
    assert!(text.contains("0 passed; 4 failed"), "{text}");
    assert!(text.contains("clone user namespace: ENOSPC") && !text.contains("SKIP"), "{text}");
    fs::remove_dir_all(place).unwrap();
}

/// A shortage, or the loss of the fork server, says nothing of the machine.
#[test]
fn no_other_failure_is_skipped() {
    let few = ["prlimit", "--nofile=8"];
    let text = fails(&mut skipping(again(&few, &["--exact", "samples::passes"])));
    assert!(text.contains("EMFILE") && !text.contains("SKIPPED"), "{text}");
    let text = fails(&mut skipping(again(&[], &["--exact", "kills_the_server"])));
    assert!(text.contains("the fork server was killed"), "{text}");
    assert!(!text.contains("SKIPPED"), "{text}");
}

/// Kills the server before it has tried anything, and asks it then.
#[test]
#[ignore = "run by no_other_failure_is_skipped"]
fn kills_the_server() {
    let server = netns_test_tests::fork_server();
    // SAFETY: the process is a child of this one, and of no other.
    unsafe { libc::kill(server.cast_signed(), libc::SIGKILL) };
    samples::passes();
}

/// A test whose skip cannot be reported does not pass.
#[test]
fn a_skip_that_cannot_be_written_is_a_failure() {
    for path in ["/nowhere/skipped", "/proc/version"] {
        let mut run = skipping(refused(&["--exact", "samples::passes"]));
        let text = fails(run.env("NETNS_TEST_SKIPPED", path));
        let line = format!("add a line to {path} (NETNS_TEST_SKIPPED): ");
        assert!(text.contains(&line), "{text}");
    }
    // Where a program's stderr is closed, the standard library opens /dev/null.
    for script in ["exec \"$0\" \"$@\" 2>/dev/null", "exec \"$0\" \"$@\" 2>&-"] {
        let around = ["unshare", "-U", "sh", "-c", script];
        let mut run = skipping(again(&around, &["--exact", "samples::passes"]));
        let output = run.output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(text(&output).contains("it leads to /dev/null, or was closed"), "{output:?}");
        // The file is enough.
        let path = file("closed");
        passes(run.env("NETNS_TEST_SKIPPED", &path), 1);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    let mut run = skipping(refused(&["--exact", "samples::passes"]));
    let text = fails(run.env("NETNS_TEST_SKIPPED", "/dev/null"));
    assert!(text.contains("nothing is kept there"), "{text}");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut run = skipping(refused(&["--exact", "samples::passes"]));
    let output = run.stderr(Stdio::from(full)).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
}

/// cargo-nextest shows nothing that a passed test has written.
#[test]
fn a_skip_without_a_file_under_nextest_is_a_failure() {
    let path = file("nextest");
    let mut run = skipping(refused(&["--exact", "samples::passes"]));
    let text = fails(run.env("NEXTEST", "1"));
    assert!(text.contains("set NETNS_TEST_SKIPPED to the path of a file as well"), "{text}");
    passes(run.env("NETNS_TEST_SKIPPED", &path), 1);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn an_invalid_value_is_named_with_the_valid_ones() {
    let text = fails(again(&[], &["samples::passes"]).env("NETNS_TEST", "Skip"));
    assert!(text.contains("read the variable NETNS_TEST: unknown value \"Skip\""), "{text}");
    assert!(text.contains("known: `require`, `skip`; default: `require`"), "{text}");
}

/// Tests of each kind.
mod samples {
    use super::netns_test;

    #[netns_test]
    #[ignore = "run by the tests of the policy"]
    pub(crate) fn passes() {}

    #[netns_test]
    #[ignore = "run by the tests of the policy"]
    fn fails() {
        panic!("on purpose");
    }

    #[netns_test]
    #[ignore = "run by the tests of the policy"]
    #[should_panic]
    fn should_panic() {
        panic!("on purpose");
    }

    #[netns_test]
    #[ignore = "run by the tests of the policy"]
    #[should_panic(expected = "this message")]
    fn should_panic_with_a_message() {
        panic!("with this message");
    }
}
