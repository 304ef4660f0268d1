//! Bodies that put a seccomp filter on their thread, or on their process: what comes after the
//! test's function needs no system call that an ordinary test does not need.
//!
//! No thread may start beside them: the C library ends a process in which a new thread is refused
//! `rseq(2)`. So this program has no constructors.

use libc::c_long;
use netns_test::netns_test;
use netns_test_tests::{again, fails, passes};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const KILL_THREAD: u32 = libc::SECCOMP_RET_KILL_THREAD;

/// Calls that a thread needs to end, and a panic to be printed.
const BASIC: [c_long; 13] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
];

const OTHERS: [c_long; 12] = [
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_fcntl,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_kill,
    libc::SYS_tgkill,
];

/// Filters with `of` for the listed calls and `otherwise` for all others.
fn filter(calls: &[c_long], of: u32, otherwise: u32, flags: libc::c_ulong) {
    let code = |code: u32| u16::try_from(code).unwrap();
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let give = |value| statement(code(libc::BPF_RET | libc::BPF_K), value);
    let mut program = vec![statement(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0)];
    for &call in calls {
        let number = u32::try_from(call).unwrap();
        let code = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
        program.push(libc::sock_filter { code, jt: 0, jf: 1, k: number });
        program.push(give(of));
    }
    program.push(give(otherwise));
    let length = u16::try_from(program.len()).unwrap();
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads the program, which lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Binds the calling thread.
fn only(calls: &[c_long], otherwise: u32) {
    filter(calls, ALLOW, otherwise, 0);
}

/// Binds every thread of the process.
fn only_for_all(calls: &[c_long], otherwise: u32) {
    filter(calls, ALLOW, otherwise, libc::SECCOMP_FILTER_FLAG_TSYNC);
}

fn without(calls: &[c_long], of: u32) {
    filter(calls, of, ALLOW, 0);
}

#[test]
fn an_ordinary_test_passes_with_the_basic_calls() {
    only(&BASIC, KILL_THREAD);
}

#[netns_test]
fn basic_calls_are_enough() {
    only(&BASIC, EPERM);
}

#[netns_test]
fn basic_calls_are_enough_where_others_kill_the_thread() {
    only(&BASIC, KILL_THREAD);
}

#[netns_test]
fn basic_calls_are_enough_where_others_kill() {
    only(&BASIC, KILL);
}

#[netns_test]
fn basic_calls_are_enough_for_all_threads() {
    only_for_all(&BASIC, EPERM);
}

#[netns_test]
fn basic_calls_are_enough_for_all_threads_where_others_kill() {
    only_for_all(&BASIC, KILL);
}

#[netns_test]
fn no_other_call_is_needed() {
    without(&OTHERS, KILL);
}

/// A panic asks init for a look at the test, without a signal.
#[netns_test]
fn a_panic_that_is_caught_needs_no_signal() {
    without(&[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill], KILL);
    std::panic::catch_unwind(|| panic!("it is caught")).unwrap_err();
}

#[netns_test]
fn another_thread_may_have_a_filter() {
    std::thread::spawn(|| only(&BASIC, EPERM)).join().unwrap();
}

#[netns_test]
fn returns_ok() -> Result<(), String> {
    only(&BASIC, KILL);
    Ok(())
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_needs_the_basic_calls"]
fn should_panic() {
    only(&BASIC, EPERM);
    panic!("as it should");
}

/// The standard library asks for the id of a thread that panics.
#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_needs_the_basic_calls"]
fn should_panic_where_others_kill() {
    only(&[&BASIC[..], &[libc::SYS_gettid, libc::SYS_getcwd]].concat(), KILL);
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_needs_the_basic_calls"]
fn should_panic_with_a_filter_for_all_threads() {
    only_for_all(&BASIC, EPERM);
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_needs_the_basic_calls"]
fn should_panic_without_other_calls() {
    without(&[&OTHERS[..1], &OTHERS[2..]].concat(), KILL);
    panic!("as it should");
}

/// Without a backtrace, for which the standard library reads files.
#[test]
fn a_panic_needs_the_basic_calls() {
    passes(&mut again(&[], &["should_panic"]), 5);
}

#[netns_test]
async fn a_future_with_a_filter() {
    only(&BASIC, EPERM);
}

/// The runtime closes what it has, and wakes what waits for it.
#[netns_test]
async fn a_future_with_a_filter_that_kills() {
    only(&BASIC, KILL);
}

#[netns_test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_on_threads_with_a_filter_that_kills() {
    only(&BASIC, KILL);
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_needs_the_basic_calls"]
async fn a_future_that_should_panic_without_other_calls() {
    without(&[&OTHERS[..1], &OTHERS[2..]].concat(), KILL);
    panic!("as it should");
}

/// A panic whose hook prints nothing.
#[netns_test]
#[should_panic(expected = "as it should")]
fn a_silent_panic_in_strict_mode() {
    std::panic::set_hook(Box::new(|_| {}));
    be_strict();
    panic!("as it should");
}

/// CRATE.md says so.
#[test]
fn a_panic_that_is_printed_in_strict_mode_ends_the_thread() {
    let text = fails(&mut again(&[], &["--exact", "a_printed_panic_in_strict_mode"]));
    assert!(text.contains("or a seccomp filter that kills a thread)"), "{text}");
    let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/../netns-test/CRATE.md");
    let documented = std::fs::read_to_string(documents).unwrap();
    let words: Vec<&str> = documented.split_whitespace().collect();
    let sentence = "A panic there needs a panic hook that makes no system call but `write`";
    assert!(words.join(" ").contains(sentence));
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by a_panic_that_is_printed_in_strict_mode_ends_the_thread"]
fn a_printed_panic_in_strict_mode() {
    be_strict();
    panic!("as it should");
}

/// read, write, exit and `sigreturn`: an ordinary test is killed.
#[netns_test]
fn strict_mode() {
    be_strict();
}

#[netns_test]
async fn a_future_in_strict_mode() {
    be_strict();
}

fn be_strict() {
    let mode = libc::SECCOMP_MODE_STRICT;
    // SAFETY: takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode) }, 0);
}

/// A filter that kills for a call of the test itself is named as such.
#[test]
fn a_refused_call_of_the_test_is_named() {
    let text = fails(&mut again(&[], &["--exact", "makes_a_call_that_kills"]));
    assert!(text.contains("was killed by SIGSYS: a system call that a seccomp filter"), "{text}");
}

#[netns_test]
#[ignore = "run by a_refused_call_of_the_test_is_named"]
fn makes_a_call_that_kills() {
    without(&[libc::SYS_getppid], KILL);
    // SAFETY: takes nothing; the filter kills.
    unsafe { libc::getppid() };
}
