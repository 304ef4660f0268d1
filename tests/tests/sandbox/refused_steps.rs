//! Every step refused in turn: the error names it, and all is as before.

use std::fs;
use std::path::PathBuf;
use std::thread;

use netns_test::{NetNs, Sandbox, SandboxUser, netns_test};
use netns_test_tests::children;
use netns_test_tests::confine::{Filter, filter_this_thread};

/// A sandbox that takes every step there is.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().hostname("name").user(SandboxUser::Root).tmpfs("/mnt");
    sandbox.bind("/usr", "/media").read_only("/media")
}

/// State of the caller that a refused start must not change.
#[derive(Debug, PartialEq)]
struct State {
    descriptors: usize,
    mounts: String,
    namespaces: Vec<PathBuf>,
    children: Vec<u32>,
}

impl State {
    fn now() -> Self {
        let names = ["ipc", "mnt", "net", "pid", "user", "uts"];
        let link = |name: &str| fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap(),
            namespaces: names.map(link).into(),
            children: children(std::process::id()),
        }
    }
}

/// The error of a command that is started under `filter`.
fn refused(sandbox: &Sandbox, filter: Filter) -> String {
    let before = State::now();
    let error = thread::scope(|scope| {
        let start = || {
            filter_this_thread(filter).unwrap();
            let own = || fs::read_link("/proc/thread-self/ns/net").unwrap();
            let before = own();
            let error = sandbox.command("true").status().unwrap_err();
            assert_eq!(own(), before);
            error.to_string()
        };
        scope.spawn(start).join().unwrap()
    });
    assert_eq!(State::now(), before, "{filter:?}");
    error
}

/// In a body, whose process has no other thread that opens files meanwhile.
#[netns_test]
fn every_refused_step_is_named() {
    let call = Filter::Call;
    let (perm, nosys) = (libc::EPERM, libc::ENOSYS);
    let steps = [
        (call(libc::SYS_signalfd4, libc::EMFILE), "signalfd the program's process: EMFILE"),
        (call(libc::SYS_pidfd_open, nosys), "pidfd_open the caller's process: ENOSYS"),
        (Filter::Systemd, "clone user namespace: EPERM"),
        (call(libc::SYS_prctl, perm), "prctl PR_SET_DUMPABLE the program's process: EPERM"),
        (call(libc::SYS_mount, libc::EACCES), "make private the mounts of the program: EACCES"),
        (call(libc::SYS_openat2, nosys), "openat2 "),
        (call(libc::SYS_fsopen, perm), "fsopen … on …: EPERM"),
        (call(libc::SYS_fsconfig, perm), "fsconfig … on …: EPERM"),
        (call(libc::SYS_fsmount, perm), "fsmount … on …: EPERM"),
        (call(libc::SYS_move_mount, perm), "move_mount … on …: EPERM"),
        (call(libc::SYS_open_tree, perm), "open_tree "),
        (call(libc::SYS_mount_setattr, nosys), "mount_setattr /media, read-only: ENOSYS"),
        (call(libc::SYS_setsid, perm), "setsid the program's process: EPERM"),
        (call(libc::SYS_sethostname, perm), "sethostname name: EPERM"),
        (call(libc::SYS_socket, perm), "socket lo: EPERM"),
        (call(libc::SYS_ioctl, perm), "ioctl SIOCSIFFLAGS lo: EPERM"),
        (call(libc::SYS_execve, libc::ENOEXEC), "start true: ENOEXEC"),
    ];
    for (filter, expected) in steps {
        let error = refused(&sandbox(), filter);
        // The first file system is that on `/proc`, or one that hides a daemon's socket of this machine.
        let line = error.lines().next().unwrap();
        let is_there = expected.split('…').all(|part| line.contains(part));
        assert!(is_there, "{filter:?}: expected {expected:?} in\n{error}");
    }
}

#[netns_test]
fn every_refused_step_of_a_root_is_named() {
    let root = netns_test_tests::scratch("refused");
    for directory in ["proc", "sys", "dev", "mnt", "media"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    let place = root.display();
    let call = |number| Filter::Call(number, libc::EPERM);
    let steps = [
        (call(libc::SYS_open_tree), format!("open_tree {place}: EPERM")),
        (call(libc::SYS_move_mount), format!("move_mount {place}: EPERM")),
        (call(libc::SYS_fsconfig), "fsconfig tmpfs on /dev: EPERM".into()),
        (call(libc::SYS_symlinkat), "symlink /dev/fd: EPERM".into()),
        (call(libc::SYS_mkdirat), "mkdir /dev/pts: EPERM".into()),
        (call(libc::SYS_fchdir), format!("chdir to {place}: EPERM")),
        (call(libc::SYS_pivot_root), format!("pivot_root to {place}: EPERM")),
        (call(libc::SYS_umount2), format!("umount to {place}: EPERM")),
    ];
    for (filter, expected) in steps {
        let error = refused(&sandbox().rootfs(&root), filter);
        assert!(error.contains(&expected), "{filter:?}: expected {expected:?} in\n{error}");
    }
    // A program's own words about what it lacks.
    let error = sandbox().rootfs(&root).command("/bin/sh").status().unwrap_err().to_string();
    assert!(error.starts_with("start /bin/sh: ENOENT"), "{error}");
    assert!(error.contains(&format!("is not in {place}")), "{error}");
    fs::remove_dir_all(&root).unwrap();
}

#[netns_test]
fn a_network_that_may_not_be_joined_is_named() {
    let shared = NetNs::new().unwrap();
    let sandbox = Sandbox::new().netns(&shared);
    let error = refused(&sandbox, Filter::Call(libc::SYS_setns, libc::EPERM));
    assert!(error.starts_with(&format!("setns {shared}: EPERM")), "{error}");
    assert!(error.contains("it takes CAP_SYS_ADMIN over the namespace"), "{error}");
}

/// The process has no chance to report anything.
#[netns_test]
fn a_kill_by_seccomp_is_named() {
    let error = refused(&sandbox(), Filter::Deadly);
    let message = "start the program: its process was killed by SIGSYS before exec";
    assert!(error.starts_with(message), "{error}");
    assert!(error.contains("cause: "), "{error}");
}

/// Killed on the way, whoever it is: a program that has not begun has not ended either.
#[netns_test]
fn a_helper_killed_during_setup_is_named() {
    for call in [libc::SYS_signalfd4, libc::SYS_openat2, libc::SYS_setsid] {
        let error = refused(&Sandbox::new(), Filter::DeadlyCall(call));
        let message = "start the program: its process was killed by SIGSYS before exec";
        assert!(error.starts_with(message), "{call}: {error}");
    }
}

#[netns_test]
fn a_limit_on_namespaces_is_named_with_its_cause() {
    fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    let before = State::now();
    let error = Sandbox::new().command("true").status().unwrap_err().to_string();
    assert!(error.starts_with("clone user namespace: ENOSPC"), "{error}");
    assert!(error.contains("/proc/sys/user/max_user_namespaces = 0"), "{error}");
    assert_eq!(State::now(), before);
}

/// With room for one descriptor more each time, until there is enough.
#[netns_test]
fn a_full_table_of_descriptors_is_an_error_that_leaves_nothing() {
    let open = State::now().descriptors as u64;
    let mut refusals = 0;
    for room in 0..64 {
        // The listing of the table is one of them.
        set_limit(libc::RLIMIT_NOFILE, open - 1 + room);
        let started = Sandbox::new().command("true").status();
        set_limit(libc::RLIMIT_NOFILE, 1024);
        assert_eq!(State::now().descriptors as u64, open, "{room}");
        assert_eq!(children(std::process::id()), <[u32; 0]>::default());
        match started {
            Ok(status) => {
                assert!(status.success() && refusals > 3, "{refusals}");
                return;
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("EMFILE") || text.contains("ENFILE"), "{room}: {text}");
                refusals += 1;
            }
        }
    }
    panic!("it never started");
}

fn set_limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one structure.
    assert_eq!(unsafe { libc::getrlimit(resource, &raw mut limit) }, 0);
    limit.rlim_cur = soft;
    // SAFETY: the kernel reads one structure.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}
