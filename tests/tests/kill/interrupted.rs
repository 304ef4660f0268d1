//! A run that its user ends, as by Ctrl-C, says what its tests wait for; and still ends.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, children, eventually, text};

use crate::{Tree, kill, kill_group, waits_with_a_daemon};

const TEST: &str = "interrupted::waits_a_while_with_a_daemon";

/// Long enough that its wait is worth a word.
#[netns_test(timeout = "none")]
#[ignore = "run by the tests below"]
fn waits_a_while_with_a_daemon() {
    std::thread::sleep(Duration::from_secs(1));
    waits_with_a_daemon();
}

fn is_reported(text: &str) {
    for part in
        [&format!("netns-test: {TEST} INTERRUPTED after "), "\nWho waits for what\n", " in wait4"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

/// Returns what arrives until nothing holds the other end.
fn all(from: OwnedFd) -> String {
    let mut bytes = Vec::new();
    // A terminal without another end returns EIO.
    drop(File::from(from).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn what_it_waits_for_is_reported() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let (read, write) = pipe();
        let mut tree = Tree::start_with(TEST, write.into());
        kill_group(tree.runner(), signal);
        tree.child.wait().unwrap();
        is_reported(&all(read));
        tree.is_gone();
    }
}

#[test]
fn its_report_is_kept() {
    for nextest in [false, true] {
        let out = netns_test_tests::scratch("interrupted");
        let mut variables =
            vec![("NETNS_TEST_OUT", out.to_str().unwrap()), ("CARGO_PKG_NAME", "shop")];
        if nextest {
            variables.extend([
                ("NEXTEST", "1"),
                ("NEXTEST_RUN_ID", "one"),
                ("NEXTEST_ATTEMPT", "2"),
            ]);
        }
        let (read, write) = pipe();
        let mut tree = Tree::start_with_variables(TEST, write.into(), &variables);
        kill_group(tree.runner(), libc::SIGTERM);
        tree.child.wait().unwrap();
        let printed = all(read);
        is_reported(&printed);
        tree.is_gone();
        let attempt = if nextest { "attempt-2" } else { "attempt-1" };
        let place = out.join("shop/kill").join(TEST.replace("::", "--")).join(attempt);
        assert!(printed.contains(&format!("Evidence  {}/\n", place.display())), "{printed}");
        let report = std::fs::read_to_string(place.join("report.txt")).unwrap();
        is_reported(&report);
        assert!(report.contains("\nSockets") || report.contains("\nPrograms"), "{report}");
        assert!(report.contains("\nAgain     cargo "), "{report}");
        let of_nextest = "nextest has ended the test or the run. The test has no limit: set one below \
                          nextest's slow-timeout.\n";
        for text in [printed, report] {
            assert_eq!(text.contains(of_nextest), nextest, "{text}");
        }
        std::fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_terminal_shows_it() {
    let (ours, theirs) = terminal();
    let mut tree = Tree::start_with(TEST, theirs.into());
    kill_group(tree.runner(), libc::SIGINT);
    tree.child.wait().unwrap();
    is_reported(&all(ours).replace("\r\n", "\n"));
    tree.is_gone();
}

#[test]
fn a_server_that_is_stopped_ends_too() {
    let (read, write) = pipe();
    let mut tree = Tree::start_with(TEST, write.into());
    kill(tree.server, libc::SIGSTOP);
    eventually(LIMIT, "the server is stopped", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", tree.server)).unwrap();
        status.contains("State:\tT")
    });
    kill(tree.runner(), libc::SIGINT);
    tree.child.wait().unwrap();
    tree.is_gone();
    is_reported(&all(read));
}

#[test]
fn an_init_that_is_stopped_ends_too() {
    let mut tree = Tree::start_with(TEST, Stdio::null());
    kill(tree.init, libc::SIGSTOP);
    kill(tree.runner(), libc::SIGINT);
    tree.child.wait().unwrap();
    tree.is_gone();
}

#[test]
fn output_that_is_not_read_is_not_waited_for() {
    let (read, write) = pipe();
    let mut tree = Tree::start_with(TEST, write.try_clone().unwrap().into());
    let flags = |flags: libc::c_int| {
        // SAFETY: takes numbers.
        assert_eq!(unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETFL, flags) }, 0);
    };
    flags(libc::O_NONBLOCK);
    let mut filler = File::from(write.try_clone().unwrap());
    while std::io::Write::write(&mut filler, &[b'x'; 4096]).is_ok() {}
    flags(0);
    kill(tree.runner(), libc::SIGINT);
    tree.child.wait().unwrap();
    tree.is_gone();
    drop((write, filler));
    assert!(!all(read).contains("INTERRUPTED"));
}

/// The output of a shell's pipeline ends with its reader.
#[test]
fn output_without_a_reader_is_not_written() {
    let (read, write) = pipe();
    let mut tree = Tree::start_with(TEST, write.into());
    drop(read);
    kill(tree.runner(), libc::SIGINT);
    tree.child.wait().unwrap();
    tree.is_gone();
}

/// A child of an ordinary test has copies of all descriptors of the runner.
#[test]
fn a_server_whose_sockets_others_hold_ends_too() {
    let mut run = again(&[], &["interrupted::held::", "--test-threads=2", "--nocapture"]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let is_ready = |text: &str| text.contains("held by") && text.contains("\nready");
    let stdout = netns_test_tests::read_until(stdout, "both are ready", is_ready);
    let named =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "netns-test\n";
    let (servers, others): (Vec<u32>, Vec<u32>) = children(child.id()).into_iter().partition(named);
    let server = crate::Process::open(servers[0]);
    // Not SIGINT, which a job in the background of a shell ignores.
    kill(child.id(), libc::SIGTERM);
    child.wait().unwrap();
    server.ends();
    for other in others {
        kill(other, libc::SIGKILL);
    }
    drop(stdout);
}

mod held {
    use super::*;

    #[netns_test(timeout = "none")]
    #[ignore = "run by a_server_whose_sockets_others_hold_ends_too"]
    fn waits() {
        waits_a_while_with_a_daemon();
    }

    #[test]
    #[ignore = "run by a_server_whose_sockets_others_hold_ends_too"]
    fn forks() {
        // By its sandbox the request of the test beside is seen.
        eventually(LIMIT, "a sandbox is there", || {
            (!children(netns_test_tests::fork_server()).is_empty()).then_some(())
        });
        // SAFETY: the child only waits to be killed.
        let child = unsafe { libc::fork() };
        if child > 0 {
            println!("held by {child}");
        }
        loop {
            // SAFETY: async-signal-safe.
            unsafe { libc::pause() };
        }
    }
}

#[test]
fn a_run_that_ends_by_itself_says_nothing() {
    let output = again(&[], &["interrupted::exits::", "--test-threads=2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(!text(&output).contains("INTERRUPTED"), "{}", text(&output));
}

mod exits {
    use super::*;

    #[netns_test(timeout = "none")]
    #[ignore = "run by a_run_that_ends_by_itself_says_nothing"]
    fn waits() {
        waits_a_while_with_a_daemon();
    }

    #[test]
    #[ignore = "run by a_run_that_ends_by_itself_says_nothing"]
    fn exits() {
        std::thread::sleep(Duration::from_secs(2));
        std::process::exit(3);
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [-1; 2];
    // SAFETY: the kernel writes two numbers to the array.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: just made.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).into()
}

/// Returns the two ends of a pseudo-terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: makes a descriptor.
    let ours = unsafe { libc::posix_openpt(flags) };
    assert!(ours >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: just made.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::unlockpt(ours.as_fd().as_raw_fd()) }, 0);
    // SAFETY: makes a descriptor.
    let theirs = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    assert!(theirs >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: just made.
    (ours, unsafe { OwnedFd::from_raw_fd(theirs) })
}
