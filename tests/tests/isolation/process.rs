//! The process of a body: like that of an ordinary test in every respect but its
//! namespaces.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use netns_test::netns_test;
use netns_test_tests::{LIMIT, again, eventually, passes, scratch, status, stdout_of, text};

#[netns_test]
fn open_files_are_the_standard_streams() {
    let mut open: Vec<u32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    open.sort_unstable();
    // The last is the listing's own.
    assert_eq!(open, [0, 1, 2, 3]);
    let inherited = stdout_of("ls", &["/proc/self/fd"]);
    assert_eq!(inherited.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[netns_test]
fn the_thread_has_the_name_of_the_test() {
    let name = "process::the_thread_has_the_name_of_the_test";
    assert_eq!(std::thread::current().name(), Some(name));
}

/// Process attributes that an ordinary test and a body see, with the same unusual start.
#[test]
fn a_body_finds_what_an_ordinary_test_finds() {
    let facts = |name: &str| {
        let mut run = again(&[], &["--exact", name, "--nocapture", "--test-threads=2"]);
        run.env("A_VARIABLE", "a\nvalue").current_dir("/usr");
        // SAFETY: only calls that are async-signal-safe.
        unsafe { run.pre_exec(unusual_start) };
        let output = run.output().unwrap();
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        let facts = text.lines().filter_map(|line| line.strip_prefix("fact ")?.split_once(" = "));
        facts.map(|(fact, value)| (fact.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    };
    let mut ordinary = facts("process::ordinary_facts");
    let mut body = facts("process::facts_of_a_body");
    assert!(ordinary.len() > 10, "{ordinary:?}");
    for facts in [&mut ordinary, &mut body] {
        let arguments = facts.remove("arguments").unwrap();
        assert!(arguments.contains("--nocapture"), "{arguments}");
    }
    assert_eq!(body, ordinary);
}

fn unusual_start() -> std::io::Result<()> {
    // SAFETY: async-signal-safe.
    unsafe { libc::umask(0o027) };
    // SAFETY: async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    let limit = libc::rlimit { rlim_cur: 300, rlim_max: 400 };
    // SAFETY: the limit lives through the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR1) };
    // SAFETY: initialised; no old set is asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
    Ok(())
}

#[test]
#[ignore = "run by a_body_finds_what_an_ordinary_test_finds"]
fn ordinary_facts() {
    print_facts();
}

#[netns_test]
#[ignore = "run by a_body_finds_what_an_ordinary_test_finds"]
fn facts_of_a_body() {
    print_facts();
}

fn print_facts() {
    for field in ["Umask", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs"] {
        println!("fact {field} = {}", status(field));
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    for line in limits.lines() {
        println!("fact limit {} = {line}", &line[..25]);
    }
    // Not the thread's: the process's, as `ps` shows it.
    println!("fact name = {:?}", fs::read_to_string("/proc/self/comm").unwrap());
    println!("fact directory = {:?}", std::env::current_dir().unwrap());
    println!("fact arguments = {:?}", std::env::args().collect::<Vec<_>>());
    let variables: BTreeMap<_, _> = std::env::vars_os().collect();
    println!("fact environment = {variables:?}");
    let by_c_library = stdout_of("printenv", &["A_VARIABLE"]);
    println!("fact inherited = {by_c_library:?}");
}

/// Tests that run at one time have different process ids: each makes a file named by it.
#[test]
fn process_ids_differ() {
    let scratch = scratch("pids");
    let mut run = again(&[], &["process::has_an_id_of_its_own_", "--test-threads=4"]);
    passes(run.env("MEETING_PLACE", &scratch), 4);
    fs::remove_dir_all(scratch).unwrap();
}

fn meet_three_others() {
    let place = std::path::PathBuf::from(std::env::var_os("MEETING_PLACE").unwrap());
    fs::write(place.join(std::process::id().to_string()), "").unwrap();
    eventually(LIMIT, "four tests have met", || fs::read_dir(&place).unwrap().count() == 4);
}

macro_rules! has_an_id_of_its_own {
    ($($name:ident)*) => {$(
        #[netns_test]
        #[ignore = "run by process_ids_differ"]
        fn $name() {
            meet_three_others();
        }
    )*};
}

has_an_id_of_its_own! {
    has_an_id_of_its_own_a has_an_id_of_its_own_b has_an_id_of_its_own_c has_an_id_of_its_own_d
}

/// The body is not process 1, for which signals mean something else.
#[netns_test]
fn signals_mean_what_they_mean() {
    assert!(std::process::id() > 1);
    assert_eq!(status("PPid"), "1");
    let aborted = std::process::Command::new("sh").args(["-c", "kill -ABRT $$"]).status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&aborted), Some(libc::SIGABRT));
}

static CONSTRUCTED: AtomicU32 = AtomicU32::new(0);
static ANSWERS: std::sync::Mutex<Option<std::sync::mpsc::Receiver<u32>>> =
    std::sync::Mutex::new(None);

/// A constructor of the user's program, which even starts a thread.
#[ctor::ctor(unsafe)]
fn constructor() {
    CONSTRUCTED.fetch_add(1, Ordering::Relaxed);
    let (answer, answers) = std::sync::mpsc::channel();
    std::thread::spawn(move || answer.send(42));
    *ANSWERS.lock().unwrap() = Some(answers);
}

#[netns_test]
fn constructors_of_the_program_have_run_once() {
    assert_eq!(CONSTRUCTED.load(Ordering::Relaxed), 1);
    let answers = ANSWERS.lock().unwrap().take().unwrap();
    assert_eq!(answers.recv(), Ok(42));
}

#[netns_test]
fn a_body_may_become_a_session_leader() {
    // SAFETY: makes a session.
    assert!(unsafe { libc::setsid() } > 0, "{}", std::io::Error::last_os_error());
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// Sends SIGUSR1 by `send`: this process gets it, one of another session does not.
fn signals_its_group(send: impl FnOnce() -> libc::c_int) {
    let mut other = std::process::Command::new("setsid");
    let other = other.args(["sh", "-c", "echo started; exec sleep 1000"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = [0; 8];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut line).unwrap();
    // SAFETY: the handler is an atomic addition.
    unsafe { libc::signal(libc::SIGUSR1, handle as extern "C" fn(_) as libc::sighandler_t) };
    assert_eq!(send(), 0, "{}", std::io::Error::last_os_error());
    eventually(LIMIT, "the signal is handled", || HANDLED.load(Ordering::SeqCst) > 0);
    // The first of two signals is the one that ends it.
    // SAFETY: sends a signal to a child.
    assert_eq!(unsafe { libc::kill(other.id().try_into().unwrap(), libc::SIGTERM) }, 0);
    let status = other.wait().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(libc::SIGTERM));
}

fn group() -> libc::pid_t {
    // SAFETY: always allowed.
    unsafe { libc::getpgrp() }
}

fn kill_group() {
    // SAFETY: sends a signal that is handled.
    signals_its_group(|| unsafe { libc::killpg(group(), libc::SIGUSR1) });
}

#[netns_test]
fn a_signal_to_the_own_group_stays_there() {
    assert!(group() > 1);
    assert_ne!(group(), std::process::id().cast_signed(), "it leads no group");
    kill_group();
}

#[netns_test]
fn a_signal_to_group_0_stays_in_the_own_group() {
    // SAFETY: sends a signal that is handled.
    signals_its_group(|| unsafe { libc::kill(0, libc::SIGUSR1) });
}

#[netns_test]
fn a_body_may_lead_its_group() {
    // SAFETY: makes a group.
    assert_eq!(unsafe { libc::setpgid(0, 0) }, 0, "{}", std::io::Error::last_os_error());
    assert_eq!(group(), std::process::id().cast_signed());
    kill_group();
}

#[netns_test]
fn children_are_in_the_group_of_the_body() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id().cast_signed();
    // SAFETY: asks for a number.
    assert_eq!(unsafe { libc::getpgid(pid) }, group());
    // SAFETY: asks for no status; the child has not ended.
    assert_eq!(unsafe { libc::waitpid(0, std::ptr::null_mut(), libc::WNOHANG) }, 0);
    // SAFETY: makes a group for a child, and takes the child back. It may have called exec(2) already.
    let moved = unsafe { libc::setpgid(pid, 0) } == 0;
    assert!(moved || std::io::Error::last_os_error().raw_os_error() == Some(libc::EACCES));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Also processes of spares, which waited for their test.
#[test]
fn spares_have_groups_of_their_own() {
    let names = ["a_signal_to_the_own_group", "a_signal_to_group_0", "a_body_may_"];
    for spares in ["0", "2"] {
        let mut run = std::process::Command::new(std::env::current_exe().unwrap());
        run.args(names).args(["children_are_in", "--test-threads=1"]);
        run.env("NETNS_TEST_SPARES", spares).env_remove("RUST_TEST_THREADS");
        passes(&mut run, 5);
    }
}
