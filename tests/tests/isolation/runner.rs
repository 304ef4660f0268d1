//! The runner: no body changes anything of it, and it hands on what it has at the moment
//! of the request.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use netns_test::netns_test;
use netns_test_tests::{again, namespaces_of_threads, passes, status, stdout_of};

#[test]
fn no_thread_of_the_runner_is_moved() {
    let before = namespaces_of_threads();
    let (sender, receiver) = std::sync::mpsc::channel();
    let watcher = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while receiver.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            seen.extend(namespaces_of_threads());
        }
        seen
    });
    for _ in 0..20 {
        changes_everything();
    }
    sender.send(()).unwrap();
    assert_eq!(watcher.join().unwrap(), before);
    assert_eq!(namespaces_of_threads(), before);
}

static COUNT: AtomicU32 = AtomicU32::new(0);

#[netns_test]
fn changes_everything() {
    // SAFETY: the process has no thread that reads the environment.
    unsafe { std::env::set_var("CHANGED_BY_A_BODY", "1") };
    std::env::set_current_dir("/").unwrap();
    // SAFETY: always allowed.
    unsafe { libc::umask(0o777) };
    let limit = libc::rlimit { rlim_cur: 10, rlim_max: 10 };
    // SAFETY: the limit lives through the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
    // SAFETY: ignores a signal.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    COUNT.fetch_add(1, Ordering::Relaxed);
    stdout_of("hostname", &["changed-by-a-body"]);
    // SAFETY: a key that the kernel chooses.
    assert!(unsafe { libc::shmget(0x6e74, 4096, libc::IPC_CREAT | 0o600) } >= 0);
}

#[netns_test]
fn sees_no_change() {
    assert_eq!(std::env::var_os("CHANGED_BY_A_BODY"), None);
    assert_ne!(status("Umask"), "0777");
    assert_ne!(std::env::current_dir().unwrap(), std::path::Path::new("/"));
    assert_eq!(COUNT.load(Ordering::Relaxed), 0);
    assert_ne!(stdout_of("hostname", &[]).trim(), "changed-by-a-body");
    // SAFETY: asks for a segment that exists.
    assert!(unsafe { libc::shmget(0x6e74, 4096, 0) } < 0, "the segment of another test");
}

#[test]
fn changes_are_seen_by_no_other_test() {
    let facts = || ["Umask", "SigIgn", "Groups"].map(status);
    let before = (facts(), std::env::current_dir().unwrap());
    changes_everything();
    sees_no_change();
    assert_eq!((facts(), std::env::current_dir().unwrap()), before);
    assert_eq!(std::env::var_os("CHANGED_BY_A_BODY"), None);
    assert_eq!(COUNT.load(Ordering::Relaxed), 0);
    assert_ne!(
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(),
        "changed-by-a-body"
    );
}

/// The runner's environment and directory change after `main`, so this has a process of
/// its own.
#[test]
fn environment_and_directory_are_those_of_the_request() {
    passes(&mut again(&[], &["--exact", "runner::changes_then_asks", "--test-threads=1"]), 1);
}

#[test]
#[ignore = "run by environment_and_directory_are_those_of_the_request"]
fn changes_then_asks() {
    // SAFETY: this is the only test of the process, and it has no other thread.
    unsafe { std::env::set_var("SET_BEFORE_THE_REQUEST", "x".repeat(120_000)) };
    for number in 0..100 {
        // SAFETY: as above. Ten megabytes are more than a socket holds.
        unsafe { std::env::set_var(format!("LARGE_{number}"), "y".repeat(100_000)) };
    }
    // SAFETY: as above.
    unsafe { std::env::remove_var("PATH") };
    std::env::set_current_dir("/usr/bin").unwrap();
    // SAFETY: always allowed.
    unsafe { libc::umask(0o013) };
    sees_the_change();
    // A directory that has been removed has no path, but it is still the directory.
    let gone = netns_test_tests::scratch("gone");
    std::env::set_current_dir(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    is_in_a_removed_directory();
}

#[netns_test]
#[ignore = "run by environment_and_directory_are_those_of_the_request"]
fn sees_the_change() {
    assert_eq!(std::env::var("SET_BEFORE_THE_REQUEST").unwrap().len(), 120_000);
    assert_eq!(std::env::var("LARGE_99").unwrap().len(), 100_000);
    assert_eq!(std::env::var_os("PATH"), None);
    assert_eq!(std::env::current_dir().unwrap(), std::path::Path::new("/usr/bin"));
    assert_eq!(status("Umask"), "0013");
}

#[netns_test]
#[ignore = "run by environment_and_directory_are_those_of_the_request"]
fn is_in_a_removed_directory() {
    assert_eq!(std::env::current_dir().unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

/// A signal to the group of a body reaches the body alone.
#[netns_test]
fn signals_its_own_group() {
    // SAFETY: ignores a signal.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    // SAFETY: sends a signal to the group, and to all that can be signalled.
    assert_eq!(unsafe { libc::kill(0, libc::SIGTERM) }, 0);
    // SAFETY: as above; init is the only other process, and the kernel spares it.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Whoever starts the test program may ignore the end of children, which then cannot be
/// waited for, or may close the standard streams, whose numbers are then given out again.
#[test]
fn ignored_sigchld_and_closed_streams_change_no_verdict() {
    for odd in ["trap '' CHLD", "exec <&-", "exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        let script = format!("{odd}; exec \"$0\" \"$@\"");
        let around = ["bash", "-c", &script];
        for (test, success) in
            [("runner::unusual_start_passes", true), ("runner::unusual_start_fails", false)]
        {
            let status = again(&around, &["--exact", test]).output().unwrap().status;
            assert_eq!(status.success(), success, "{odd}: {test}");
        }
    }
}

#[netns_test(timeout = "10s")]
#[ignore = "run by ignored_sigchld_and_closed_streams_change_no_verdict"]
fn unusual_start_passes() {
    println!("to a stream that may be closed");
    std::net::TcpListener::bind("127.0.0.1:80").unwrap();
}

#[netns_test(timeout = "10s")]
#[ignore = "run by ignored_sigchld_and_closed_streams_change_no_verdict"]
fn unusual_start_fails() {
    std::process::exit(0);
}
