//! Processes, threads and memory that are short: the limit that is named is the one that is
//! reached, and a test that needs processes waits for them as long as others end.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netns_test::netns_test;
use netns_test_tests::confine::{Confinement, ControlGroup, Who};
use netns_test_tests::{again, copy_this_program, fails, is_root, left_out, passes};

/// Starts the rest of its arguments as a user that has no other process.
const STRANGER: [&str; 4] = ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups"];

/// The same for a caller that cannot become one: processes are counted in each user namespace
/// (since Linux 5.14).
const ALONE: [&str; 3] = ["unshare", "-U", "--map-current-user"];

/// Held while a test runs programs of that user, who has no other process then.
static STRANGERS_TURN: Mutex<()> = Mutex::new(());

/// This program, where that user may run it.
struct Copy {
    place: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Copy {
    fn new(name: &str) -> Self {
        let alone = STRANGERS_TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = Self { place: netns_test_tests::scratch(name), _alone: alone };
        copy_this_program(&copy.path());
        copy
    }

    fn path(&self) -> PathBuf {
        self.place.join("tests")
    }

    /// Runs it with these words before it, and as a user that has no other process.
    fn run(&self, around: &[&str], arguments: &[&str]) -> Command {
        let first = if is_root() { &STRANGER[..] } else { &ALONE };
        let around = [first, around].concat();
        let mut command = Command::new(around[0]);
        command.args(&around[1..]).arg(self.path()).arg("--ignored").args(arguments);
        command.env("RUST_BACKTRACE", "0");
        command
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.place));
    }
}

fn is_in(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

/// A thread gets no stack: that is no limit on processes, and nothing is waited for.
#[test]
fn a_shortage_of_memory_for_a_thread_is_named() {
    let huge = ("RUST_MIN_STACK", "70368744177664000");
    for (limit, expected) in [
        ("RLIMIT_AS", "Max address space in /proc/self/limits = "),
        ("RLIMIT_DATA", "Max data size in /proc/self/limits = "),
    ] {
        // More than the stack that the C library keeps from an earlier thread.
        let mut run = again(&[], &["--exact", "starts"]);
        let text = fails(run.env("SHORTAGE", limit).env(huge.0, "67108864"));
        is_in(&text, &["start the test's thread: EAGAIN", expected, limit, "raise `ulimit -"]);
        assert!(!text.contains("Max processes"), "{text}");
    }
    let text = fails(again(&[], &["--exact", "starts"]).env(huge.0, huge.1));
    is_in(
        &text,
        &["cause: RUST_MIN_STACK asks for more memory", &format!("{} = {}", huge.0, huge.1)],
    );
    assert!(!text.contains("Max processes"), "{text}");
}

/// Runs in every body, before it.
#[ctor::ctor(unsafe)]
fn constructor() {
    let Some(limit) = std::env::var_os("SHORTAGE") else { return };
    if netns_test_tests::status("PPid") != "1" {
        return;
    }
    let resource = if limit == "RLIMIT_AS" { libc::RLIMIT_AS } else { libc::RLIMIT_DATA };
    let field = if limit == "RLIMIT_AS" { "VmSize" } else { "VmData" };
    let kib: u64 = netns_test_tests::status(field).split(' ').next().unwrap().parse().unwrap();
    // Some pages for the report, and none for a stack.
    let limit = libc::rlimit { rlim_cur: (kib + 512) << 10, rlim_max: (kib + 512) << 10 };
    // SAFETY: the limit lives through the call.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}

/// The limit that refuses is further out than one that is far from reached.
#[test]
fn the_control_group_that_refuses_is_named() {
    if !is_root() {
        return;
    }
    let group = match ControlGroup::with_processes("outer", 3) {
        Ok(group) => group,
        Err(error) => return left_out("limits of control groups", &error.to_string()),
    };
    let inner = match group.inner("inner", 1000) {
        Ok(inner) => inner,
        Err(error) => return left_out("a control group in another one", &error.to_string()),
    };
    let mut run = again(&[], &["--exact", "starts", "--test-threads=1"]);
    Confinement::of(Who::Root).member_of(&inner).apply(&mut run);
    let text = fails(&mut run);
    is_in(&text, &["EAGAIN", "a control group allows no further processes", "outer/pids.max = 3"]);
    assert!(!text.contains("inner/pids.max") && !text.contains("Max processes"), "{text}");
}

/// Whoever is refused, what is used is counted where the limit is: not in the test's namespaces.
#[test]
fn the_limit_of_a_user_is_named_with_what_is_used() {
    let copy = Copy::new("of-a-user");
    for limit in [3, 4, 5] {
        let around = ["prlimit", &format!("--nproc={limit}")];
        let text = fails(&mut copy.run(&around, &["--exact", "starts", "--test-threads=1"]));
        is_in(&text, &["EAGAIN", "this user may have no further processes", "raise `ulimit -u`"]);
        is_in(&text, &[&format!("Max processes in /proc/self/limits = {limit}\n")]);
        // A caller with uid 65534 has the same id in `/proc` as users without a mapping.
        if is_root() {
            is_in(&text, &["processes and threads of user 54322 in /proc"]);
        }
        assert!(!text.contains("of user 65534"), "{text}");
    }
}

/// Each test is three tasks and sleeps for longer than a shortage is waited out; there is room for
/// one or two at once.
#[test]
fn tests_share_few_processes() {
    let copy = Copy::new("few-processes");
    // Of the runner are six, of the server one.
    for limit in [11, 13] {
        let limit = format!("--nproc={limit}");
        let mut run =
            copy.run(&["prlimit", &limit], &["sleeps_for_two_seconds::", "--test-threads=5"]);
        passes(&mut run, 5);
    }
}

#[test]
fn tests_share_a_small_control_group() {
    if !is_root() {
        return;
    }
    let group = match ControlGroup::with_processes("small", 12) {
        Ok(group) => group,
        Err(error) => return left_out("limits of control groups", &error.to_string()),
    };
    let mut run = again(&[], &["sleeps_for_two_seconds::", "--test-threads=5"]);
    Confinement::of(Who::Root).member_of(&group).apply(&mut run);
    passes(&mut run, 5);
}

#[netns_test]
#[ignore = "run by the tests above"]
fn starts() {}

mod sleeps_for_two_seconds {
    use super::netns_test;

    macro_rules! five_tests {
        ($($name:ident)*) => {$(
            #[netns_test]
            #[ignore = "run by the tests above"]
            fn $name() {
                // Longer than a shortage is waited out where nothing ends.
                std::thread::sleep(std::time::Duration::from_secs(2));
            }
        )*};
    }

    five_tests! { one two three four five }
}
