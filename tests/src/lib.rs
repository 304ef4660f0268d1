//! What the test binaries of this package share: running themselves again, and looking at
//! a process.

pub mod confine;
mod many;
pub mod packets;
pub mod remnant;
mod resources;
mod waiting;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use many::{call_all, call_all_on, many};
pub use resources::Resources;
pub use waiting::{LIMIT, Look, eventually, read_until};

/// A run of this test binary: of the ignored tests among those that `arguments` name.
///
/// `around` is a program and its arguments that start the binary, as `unshare -Ur`.
///
/// # Panics
///
/// Panics if the path of the binary is not known.
#[must_use]
pub fn again(around: &[&str], arguments: &[&str]) -> Command {
    let own = std::env::current_exe().expect("the path of this binary");
    let mut command = match around.split_first() {
        None => Command::new(own),
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).arg(own);
            command
        }
    };
    command.arg("--ignored").args(arguments).env("RUST_BACKTRACE", "0");
    // Set where this test itself is run one at a time.
    command.env_remove("RUST_TEST_THREADS").env_remove("RUST_TEST_NOCAPTURE");
    command
}

/// Runs [`again`] and checks that it passed `count` tests and failed none.
///
/// # Panics
///
/// Panics if it did not, with what it printed.
pub fn passes(command: &mut Command, count: usize) -> Output {
    let output = command.output().expect("the binary can be started");
    let text = text(&output);
    let line = format!("test result: ok. {count} passed; 0 failed;");
    assert!(output.status.success() && text.contains(&line), "expected {line:?} in\n{text}");
    output
}

/// Runs [`again`] and checks that it failed; what it printed.
///
/// # Panics
///
/// Panics if it passed.
pub fn fails(command: &mut Command) -> String {
    let output = command.output().expect("the binary can be started");
    let text = text(&output);
    assert!(!output.status.success() && text.contains("test result: FAILED"), "{text}");
    text
}

/// The text of an error of a lab without its last line.
pub trait Said {
    /// Checks that the last line is the place of the call that has failed, and leaves it out.
    ///
    /// # Panics
    ///
    /// Panics if the error names no place, or one in another package.
    fn said(&self) -> String;
}

impl Said for netns_test::Error {
    fn said(&self) -> String {
        let (place, text) = (self.location(), self.to_string());
        let place = place.unwrap_or_else(|| panic!("it names no place: {text}"));
        assert!(place.file().starts_with("tests/tests/"), "{text}");
        let said = text.strip_suffix(&format!("\n  at {place}"));
        said.unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

/// Both streams of a program that has ended.
#[must_use]
pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A program's stdout.
///
/// # Panics
///
/// Panics if the program cannot be started or fails.
#[expect(clippy::must_use_candidate, reason = "often run for its effect")]
pub fn stdout_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Copies this program to `place`, so that it can be started there.
///
/// cp(1) writes the copy: a child that another thread forks meanwhile would have it open for
/// writing, and `execve(2)` would return ETXTBSY.
///
/// # Panics
///
/// Panics if a path is not UTF-8, or if `cp` fails.
pub fn copy_this_program(place: &Path) {
    let own = std::env::current_exe().expect("the path of this program");
    let [own, place] = [&*own, place].map(|path| path.to_str().expect("a path in UTF-8"));
    stdout_of("cp", &[own, place]);
}

/// The value of a field of the calling thread's `status` in `/proc`.
///
/// The thread's, not the process's: the main thread blocks all signals for the moment in
/// which it starts another one.
///
/// # Panics
///
/// Panics if there is no such field.
#[must_use]
pub fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").expect("a /proc");
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field}")).trim().to_owned()
}

/// The namespaces of every thread of this process, as the links in `/proc`.
///
/// # Panics
///
/// Panics if a link cannot be read.
#[must_use]
pub fn namespaces_of_threads() -> BTreeSet<PathBuf> {
    let mut namespaces = BTreeSet::new();
    for task in fs::read_dir("/proc/self/task").expect("a /proc") {
        let links = task.map(|task| task.path().join("ns")).and_then(fs::read_dir);
        // A thread may end meanwhile.
        let Ok(links) = links else { continue };
        namespaces.extend(links.flatten().filter_map(|link| fs::read_link(link.path()).ok()));
    }
    namespaces
}

/// The children of all threads of a process.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let lists: Vec<String> = texts.collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// The fork server of this process, which takes a moment after the start to name itself.
#[must_use]
pub fn fork_server() -> u32 {
    let named = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "netns-test\n")
    };
    eventually(LIMIT, "the fork server has its name", || {
        children(std::process::id()).into_iter().find(named)
    })
}

/// Returns whether a process sleeps: a fork server that does has handled all requests.
#[must_use]
pub fn is_asleep(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tS")))
}

/// Returns whether this process is root on the machine, or in the container, that it runs on.
#[must_use]
pub fn is_root() -> bool {
    status("Uid").starts_with("0\t")
}

/// Writes past libtest's capture what is not tested here, and why.
///
/// # Panics
///
/// Panics if stderr cannot be written.
pub fn left_out(what: &str, reason: &str) {
    use std::io::Write as _;
    // One write, so that lines of several tests do not mix.
    let line = format!("LEFT OUT: {what}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

/// As [`left_out`], of what a real root may do everywhere that `CI=true` is set.
///
/// # Panics
///
/// Panics if it is set, and this process is root.
pub fn missing(what: &str, reason: &str) {
    let is_promised = is_root() && std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_promised, "{what}: {reason}, and CI=true says that root may");
    left_out(what, reason);
}

/// Makes an empty directory below the machine's temporary one.
///
/// Its name is new: an ended process of another user may have had the number of this one, and left
/// its directory, and bodies of several runs have equal numbers.
///
/// # Panics
///
/// Panics if it cannot be made.
#[must_use]
pub fn scratch(name: &str) -> PathBuf {
    let own = format!("netns-test-{}-{name}", std::process::id());
    for attempt in 0_u32.. {
        let path = std::env::temp_dir().join(format!("{own}-{attempt}"));
        match fs::create_dir(&path) {
            Ok(()) => return path,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("make {}: {error}", path.display()),
        }
    }
    unreachable!("fewer directories than numbers")
}

/// Returns the device and inode of the control groups that are mounted, or `None` where none are.
///
/// Their number changes with what the machine does meanwhile.
#[must_use]
pub fn control_groups() -> Option<(u64, u64)> {
    const ROOT: &str = "/sys/fs/cgroup";
    let has_some = fs::read_dir(ROOT).is_ok_and(|mut groups| groups.next().is_some());
    let data = has_some.then(|| fs::metadata(ROOT)).and_then(Result::ok)?;
    Some((data.dev(), data.ino()))
}
