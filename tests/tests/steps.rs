//! Each system call that the harness makes up to the start of a body, refused by a filter: the test
//! runs without it, or fails and names the call, the kernel's reason and what to do.

use std::os::unix::process::CommandExt as _;

use netns_test::netns_test;
use netns_test_tests::confine::{Confinement, Filter, Who};
use netns_test_tests::{again, is_root, text};

/// A call by its number, and how a failure names it.
type Call = (libc::c_long, &'static str);

/// Calls that every test needs. (The loader and the standard library need some more to start any
/// program: `mmap`, `openat`, `read`, `write`, `futex`, `poll`, `rt_sigaction`.)
const NEEDED: [Call; 20] = [
    (libc::SYS_socketpair, "socketpair "),
    (libc::SYS_pipe2, "pipe "),
    (libc::SYS_setsid, "setsid "),
    (libc::SYS_prctl, "prctl "),
    (libc::SYS_fcntl, "fcntl "),
    (libc::SYS_prlimit64, "prlimit "),
    (libc::SYS_signalfd4, "signalfd "),
    (libc::SYS_fchdir, "fchdir "),
    (libc::SYS_chdir, "chdir "),
    (libc::SYS_recvmsg, "recvmsg "),
    (libc::SYS_sendmsg, "send the request"),
    (libc::SYS_sendto, "send environment"),
    (libc::SYS_ppoll, "ppoll "),
    (libc::SYS_capget, "capget "),
    (libc::SYS_umask, "umask "),
    (libc::SYS_socket, "socket AF_INET"),
    (libc::SYS_bind, "bind a TCP socket"),
    (libc::SYS_wait4, "wait4 "),
    (libc::SYS_getppid, "getppid "),
    (libc::SYS_geteuid, "geteuid "),
];

/// The same, where some kind of user or machine needs them.
const NEEDED_BY_SOME: [Call; 9] = [
    (libc::SYS_capset, "capset "),
    (libc::SYS_getdents64, "read /proc/self/task"),
    (libc::SYS_ioctl, "ioctl "),
    (libc::SYS_listen, "listen on a TCP socket"),
    (libc::SYS_connect, "connect a UDP socket"),
    (libc::SYS_getsockname, "getsockname "),
    (libc::SYS_getpid, "getpid "),
    (libc::SYS_rt_sigprocmask, "sigprocmask"),
    (libc::SYS_dup3, "dup2 "),
];

/// Calls that have a fallback, or whose failure is shown with a failed test only.
const NOT_NEEDED: [libc::c_long; 17] = [
    libc::SYS_recvfrom,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_unshare,
    libc::SYS_close_range,
    libc::SYS_statx,
    libc::SYS_waitid,
    libc::SYS_kill,
    libc::SYS_sigaltstack,
    libc::SYS_madvise,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_shutdown,
    libc::SYS_pidfd_open,
    libc::SYS_readlinkat,
];

const ERRNOS: [(i32, &str); 3] =
    [(libc::EPERM, "EPERM"), (libc::EACCES, "EACCES"), (libc::ENOSYS, "ENOSYS")];

/// Runs the body below with this call refused; returns its output, and whether it passed.
fn run(who: Who, call: libc::c_long, errno: i32) -> (String, bool) {
    let mut run = again(&[], &["--exact", "starts", "--test-threads=1"]);
    run.env_remove("NETNS_TEST");
    let limit = || {
        // SAFETY: touches no memory. Whoever hangs is ended by the signal.
        unsafe { libc::alarm(100) };
        Ok(())
    };
    // SAFETY: the child makes one system call.
    unsafe { run.pre_exec(limit) };
    Confinement::of(who).filter(Filter::Call(call, errno)).apply(&mut run);
    let output = run.output().unwrap();
    let text = format!("{}\n{}", output.status, text(&output));
    let passed = output.status.success() && text.contains("test result: ok. 1 passed");
    (text, passed)
}

fn users() -> Vec<Who> {
    if is_root() { vec![Who::User, Who::Root] } else { vec![Who::User] }
}

fn is_named(text: &str, name: &str, errno: &str) {
    let line = text.lines().find(|line| line.contains(name));
    let is_named = line.is_some_and(|line| line.contains(&format!(": {errno} (")));
    assert!(is_named, "{name:?} and {errno} are not in\n{text}");
    assert!(text.contains("netns-test: the test was ") && text.contains("\n  cause: "), "{text}");
    assert!(!text.contains("cause: unknown") && text.contains("\n  fix: "), "{text}");
}

/// Runs `check` for each call, errno and user, for some of them at the same time.
fn for_each<C: Copy + Sync + Send>(
    calls: &[C],
    check: impl Fn(Who, C, (i32, &'static str)) + Sync,
) {
    std::thread::scope(|scope| {
        for who in users() {
            for errno in ERRNOS {
                let check = &check;
                scope.spawn(move || calls.iter().for_each(|&call| check(who, call, errno)));
            }
        }
    });
}

#[test]
fn a_refused_call_is_named_with_its_reason_and_what_helps() {
    for_each(&NEEDED, |who, (call, name), (errno, reason)| {
        let (text, passed) = run(who, call, errno);
        assert!(!passed, "{who:?} {name} {reason}: {text}");
        is_named(&text, name, reason);
    });
}

#[test]
fn a_call_that_some_need_is_named_where_it_is_needed() {
    for_each(&NEEDED_BY_SOME, |who, (call, name), (errno, reason)| {
        let (text, passed) = run(who, call, errno);
        if !passed {
            is_named(&text, name, reason);
        }
    });
    #[cfg(target_arch = "x86_64")]
    for_each(&[libc::SYS_dup2], |who, call, (errno, reason)| {
        is_named(&run(who, call, errno).0, "dup2 ", reason);
    });
}

#[test]
fn a_call_that_is_not_needed_may_be_refused() {
    for_each(&NOT_NEEDED, |who, call, (errno, reason)| {
        let (text, passed) = run(who, call, errno);
        assert!(passed, "{who:?} {call} {reason}: {text}");
    });
}

/// It makes the server, each init and each body; the C library's threads, too.
#[test]
fn a_refused_clone_is_named() {
    for_each(&[libc::SYS_clone], |who, call, (errno, reason)| {
        is_named(&run(who, call, errno).0, "clone ", reason);
    });
}

#[netns_test]
#[ignore = "run by the tests above"]
fn starts() {}
