//! An exhausted resource is waited for while it can come free, and named in the end.

use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::{again, call_all, fails, is_root, many, passes};

/// An isolated test.
const ONE: &str = "one_test_holds_for_a_moment";

/// Fifty of them.
const FIFTY: &str = "fifty_tests_hold_for_a_moment";

/// Starts the rest of its arguments with a limit on one kind of namespace.
fn limited(kind: &str, limit: u32) -> [String; 5] {
    let script =
        format!("echo {limit} > /proc/sys/user/max_{kind}_namespaces && exec \"$0\" \"$@\"");
    ["unshare".into(), "-Ur".into(), "sh".into(), "-c".into(), script]
}

#[test]
fn a_forbidden_namespace_is_named_with_its_limit() {
    std::thread::scope(|scope| {
        for kind in ["user", "net", "mnt", "pid", "uts", "ipc"] {
            scope.spawn(move || {
                let limit = limited(kind, 0);
                // Or it would go on without a user namespace.
                let ordinary = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
                let around = [&limit.each_ref().map(String::as_str)[..], &ordinary].concat();
                let text = fails(&mut again(&around, &["--exact", ONE]));
                let lines = [
                    format!("clone {kind} namespace: ENOSPC (No space left on device)"),
                    format!("cause: this machine allows no {kind} namespaces"),
                    format!("/proc/sys/user/max_{kind}_namespaces = 0"),
                    format!("fix until reboot: sudo sysctl -w user.max_{kind}_namespaces="),
                ];
                for line in lines {
                    assert!(text.contains(&line), "{line:?} is not in\n{text}");
                }
            });
        }
    });
}

/// Nothing can come free where nothing is allowed: no test waits for that.
#[test]
fn what_is_forbidden_is_refused_to_each_test_at_once() {
    let limit = limited("net", 0);
    let around = limit.each_ref().map(String::as_str);
    let text = fails(&mut again(&around, &["--exact", "fifty_tests_fail"]));
    assert!(text.contains("50 tests failed"), "{text}");
    let message = "the test was not started: clone net namespace: ENOSPC";
    assert_eq!(text.matches(message).count(), 50, "{text}");
    // The whole story once.
    assert_eq!(text.matches("fix until reboot:").count(), 1, "{text}");
}

#[test]
fn fifty_tests_share_twenty_namespaces() {
    let limit = limited("net", 20);
    passes(&mut many(&limit.each_ref().map(String::as_str), FIFTY, 50), 1);
}

#[test]
fn forty_descriptors_are_enough_for_fifty_tests() {
    let around = ["prlimit", "--nofile=40"];
    passes(&mut many(&around, FIFTY, 16), 1);
}

/// Requests that wait hold descriptors of the server, which must not run out of them.
#[test]
fn few_namespaces_and_few_descriptors_are_enough_together() {
    let mut around: Vec<String> = limited("net", 3).into();
    around.extend(["prlimit".into(), "--nofile=64:400".into()]);
    let around: Vec<&str> = around.iter().map(String::as_str).collect();
    passes(&mut many(&around, FIFTY, 50), 1);
    let around = [&around[..5], &["prlimit", "--nofile=64:64"]].concat();
    passes(&mut many(&around, FIFTY, 50), 1);
}

/// The size of files is limited, and a file in memory is a file.
#[test]
fn no_file_need_be_written() {
    passes(&mut again(&["prlimit", "--fsize=0"], &["--exact", ONE]), 1);
}

/// A runtime needs descriptors; without them the body has not begun, and so not panicked.
#[test]
fn a_body_without_a_runtime_does_not_pass_as_panicking() {
    let mut run = again(&[], &["--exact", "should_panic_in_a_runtime"]);
    let text = fails(run.env("FEW_DESCRIPTORS", "1"));
    assert!(text.contains("build the test's tokio runtime: EMFILE"), "{text}");
    passes(&mut again(&[], &["--exact", "should_panic_in_a_runtime"]), 1);
}

/// Runs in every body, before it.
#[ctor::ctor(unsafe)]
fn constructor() {
    if std::env::var_os("FEW_DESCRIPTORS").is_some() && std::process::id() != 1 && !is_runner() {
        let limit = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
        // SAFETY: the limit lives through the call.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// A body's parent is process 1 of its namespace.
fn is_runner() -> bool {
    netns_test_tests::status("PPid") != "1"
}

#[netns_test]
#[should_panic]
#[ignore = "run by a_body_without_a_runtime_does_not_pass_as_panicking"]
async fn should_panic_in_a_runtime() {
    panic!("as it should");
}

/// The step is the call that has failed.
#[test]
fn too_few_descriptors_are_named_with_their_limit() {
    // Calls that take a descriptor, by the step that is reported.
    const CALLS: [&str; 5] = ["socketpair ", "pipe ", "fcntl ", "open ", "receive "];
    std::thread::scope(|scope| {
        for limit in 4..=15 {
            scope.spawn(move || {
                let around = ["prlimit", &format!("--nofile={limit}")];
                let text = fails(&mut again(&around, &["--exact", ONE]));
                let line = text.lines().find(|line| line.contains("EMFILE (Too many open files)"));
                let (_, step) = line.and_then(|line| line.split_once("not started: ")).unwrap();
                assert!(CALLS.iter().any(|call| step.starts_with(call)), "{limit}: {text}");
                let evidence = format!("Max open files in /proc/self/limits = {limit}\n");
                assert!(text.contains(&evidence), "{limit}: {text}");
            });
        }
    });
}

/// Processes of the harness need a stack of some pages.
#[test]
fn a_stack_that_is_too_small_is_named() {
    for limit in [24 << 10, 36 << 10] {
        let around = ["prlimit", &format!("--stack={limit}")];
        let run = &mut again(&around, &["--exact", ONE]);
        let output = run.output().unwrap();
        let text = netns_test_tests::text(&output);
        // How much is needed depends on the build. The test runner needs some, too.
        let is_runner = output.status.code().is_none();
        let is_named = is_runner || text.contains("raise `ulimit -s`");
        assert!(output.status.success() || is_named, "{limit}: {text}");
    }
}

/// Root is not limited in its processes, so this runs as another user then.
#[test]
fn too_few_processes_are_named_with_their_limit() {
    let limit = ["prlimit", "--nproc=1"];
    let scratch = netns_test_tests::scratch("nproc");
    let (own, copy) = (std::env::current_exe().unwrap(), scratch.join("tests"));
    // Not by this process: a child forked meanwhile would have the file open for writing.
    netns_test_tests::stdout_of("cp", &[own.to_str().unwrap(), copy.to_str().unwrap()]);
    let other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let around = if is_root() { [other.as_slice(), &limit].concat() } else { limit.into() };
    let mut command = Command::new(around[0]);
    command.args(&around[1..]).arg(&copy).args(["--ignored", "--test-threads=1", "--exact"]);
    let text = fails(command.arg(ONE));
    assert!(text.contains("EAGAIN"), "{text}");
    assert!(text.contains("Max processes in /proc/self/limits = 1"), "{text}");
    std::fs::remove_dir_all(scratch).unwrap();
}

/// The kernel kills by SIGKILL what has used up its time, as the OOM killer does.
#[test]
fn a_limit_on_processor_time_is_named() {
    let text = fails(&mut again(&["prlimit", "--cpu=1:1"], &["--exact", "never_ends"]));
    assert!(text.contains("used up the 1 s of processor time"), "{text}");
    assert!(text.contains("ulimit -t") && !text.contains("memory"), "{text}");
    let text = fails(&mut again(&["prlimit", "--cpu=1:9"], &["--exact", "never_ends"]));
    assert!(text.contains("SIGXCPU") && text.contains("ulimit -t"), "{text}");
}

#[netns_test]
#[ignore = "run by a_limit_on_processor_time_is_named"]
fn never_ends() {
    loop {
        std::hint::spin_loop();
    }
}

/// A test runs where its runner is, or not at all.
#[test]
fn a_working_directory_that_may_not_be_searched_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    // Root may search it.
    let around = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let scratch = netns_test_tests::scratch("closed");
    let run = again(if is_root() { &around } else { &[] }, &["--exact", ONE]);
    let script = "cd \"$0\" && chmod 0 . && exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(&scratch).arg(run.get_program()).args(run.get_args());
    let text = fails(&mut shell);
    std::fs::set_permissions(&scratch, std::fs::Permissions::from_mode(0o700)).unwrap();
    let message = "the test was not started: open the working directory: EACCES";
    assert!(text.contains(message), "{text}");
    assert!(text.contains("run them in a directory that it may"), "{text}");
    std::fs::remove_dir_all(scratch).unwrap();
}

/// Root that may not map the id 0, nor do without, as in a container that drops all capabilities.
#[test]
fn a_missing_capability_of_root_is_named() {
    if !is_root() {
        return;
    }
    let around =
        ["setpriv", "--bounding-set=-setfcap,-sys_admin", "--inh-caps=-setfcap,-sys_admin"];
    let text = fails(&mut again(&around, &["--exact", ONE]));
    assert!(text.contains("write /proc/self/uid_map: EPERM"), "{text}");
    assert!(text.contains("cause: root without CAP_SETFCAP"), "{text}");
}

/// A root that is a mount point looks like any other from inside. A process outside shows it.
#[test]
fn a_chroot_into_a_mount_point_is_named_if_its_parent_is_outside() {
    let root = netns_test_tests::scratch("root");
    let script = "mount --rbind / \"$NEW_ROOT\" && chroot \"$NEW_ROOT\" \
                  setpriv --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"; exit $?";
    let mut run = again(&["unshare", "-Urm", "sh", "-c", script], &["--exact", ONE]);
    let text = fails(run.env("NEW_ROOT", &root));
    std::fs::remove_dir(&root).unwrap();
    let expected = [
        "clone user namespace: EPERM",
        "cause: this process is in a chroot\n",
        "/mountinfo = the mount at / of this process is at ",
    ];
    for line in expected {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

/// A machine without `/dev/null` cannot have a server, and says so.
#[test]
fn a_server_that_cannot_start_says_why() {
    let script = "mount -t tmpfs none /dev && exec \"$0\" \"$@\"";
    let around = ["unshare", "-Urm", "sh", "-c", script];
    let text = fails(&mut again(&around, &["--exact", ONE]));
    assert!(text.contains("open /dev/null: ENOENT"), "{text}");
    assert!(text.contains("cause: this sandbox has no /dev/null"), "{text}");
    assert!(text.contains("bwrap --dev /dev"), "{text}");
}

/// Fifty isolated tests, as many at a time as the run says.
#[test]
#[ignore = "run by the tests above"]
fn fifty_tests_hold_for_a_moment() {
    call_all(HUNDRED[..5].as_flattened());
}

/// As many, two at a time, whose panics are counted.
#[test]
#[ignore = "run by what_is_forbidden_is_refused_to_each_test_at_once"]
fn fifty_tests_fail() {
    let fails = |test: &&fn()| std::panic::catch_unwind(**test).is_err();
    let failed = move |tests: &[fn()]| tests.iter().filter(fails).count();
    let (one, other) = HUNDRED[..5].as_flattened().split_at(25);
    let other = std::thread::spawn(move || failed(other));
    panic!("{} tests failed", failed(one) + other.join().unwrap());
}

netns_test_tests::hundred_tests!(crate::holds_for_a_moment);

#[netns_test]
#[ignore = "run by the tests above"]
fn one_test_holds_for_a_moment() -> netns_test::Result<()> {
    holds_for_a_moment()
}

fn holds_for_a_moment() -> netns_test::Result<()> {
    std::net::TcpListener::bind("0.0.0.0:80").unwrap();
    Ok(())
}
