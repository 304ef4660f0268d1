//! The files of a body: `/proc`, `/sys` and `/run` of its own, and no way to the host's
//! resolvers; what cannot be had is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::{again, control_groups, fails, passes, status, stdout_of};

#[netns_test]
fn proc_shows_the_test_alone() {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    assert_eq!(pids, [1, std::process::id()]);
    assert_eq!(fs::read_link("/proc/self").unwrap().to_str().unwrap(), status("Tgid"));
}

#[test]
fn control_groups_are_those_of_the_caller() {
    let cores = std::thread::available_parallelism().unwrap().to_string();
    let groups = format!("{:?}", control_groups());
    let mut run = again(&[], &["--exact", "mounts::sees_cores_and_groups"]);
    passes(run.env("CORES", cores).env("GROUPS", groups), 1);
}

#[netns_test]
#[ignore = "run by control_groups_are_those_of_the_caller"]
fn sees_cores_and_groups() {
    let cores = std::thread::available_parallelism().unwrap().to_string();
    assert_eq!(cores, std::env::var("CORES").unwrap());
    let groups = format!("{:?}", control_groups());
    assert_eq!(groups, std::env::var("GROUPS").unwrap());
}

#[netns_test]
#[ignore = "run by mounts_of_a_body_stay_there"]
fn mounts_on_mnt() {
    stdout_of("mount", &["-t", "tmpfs", "from-a-body", "/mnt"]);
    assert!(fs::read_to_string("/proc/self/mountinfo").unwrap().contains("from-a-body"));
}

#[test]
fn mounts_of_a_body_stay_there() {
    mounts_on_mnt();
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("from-a-body"));
}

/// In a mount namespace of the test's own there can be resolvers, whoever runs it.
#[test]
fn resolvers_cannot_be_reached() {
    let around = ["unshare", "--map-root-user", "--mount"];
    passes(&mut again(&around, &["--exact", "mounts::with_resolvers", "--test-threads=1"]), 1);
}

#[test]
#[ignore = "run by resolvers_cannot_be_reached"]
fn with_resolvers() {
    stdout_of("mount", &["-t", "tmpfs", "none", "/run"]);
    fs::create_dir_all("/run/systemd/resolve").unwrap();
    fs::create_dir_all("/run/netns").unwrap();
    fs::create_dir_all("/run/nscd").unwrap();
    fs::write("/run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n").unwrap();
    fs::write("/run/netns/of-the-host", "").unwrap();
    let _sockets =
        ["/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/run/service.sock"]
            .map(|path| UnixListener::bind(path).unwrap());
    UnixStream::connect("/run/nscd/socket").unwrap();
    // SAFETY: always allowed; this is the only test of its process.
    unsafe { libc::umask(0o077) };
    looks_for_resolvers();
    UnixStream::connect("/run/nscd/socket").unwrap();
}

#[netns_test]
#[ignore = "run by resolvers_cannot_be_reached"]
fn looks_for_resolvers() {
    for base in ["/run", "/var/run", "/run/.host"] {
        for socket in ["systemd/resolve/io.systemd.Resolve", "nscd/socket"] {
            let path = format!("{base}/{socket}");
            assert!(UnixStream::connect(&path).is_err(), "{path} can be reached");
        }
    }
    UnixStream::connect("/run/service.sock").unwrap();
    let stub = fs::read_to_string("/run/systemd/resolve/stub-resolv.conf").unwrap();
    assert_eq!(stub, "nameserver 127.0.0.53\n");
    let mode = fs::metadata("/run/systemd/resolve/stub-resolv.conf").unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "programs of other users cannot read it");
    assert!(fs::read_dir("/run/netns").is_err(), "names of the host's namespaces are seen");
    stdout_of("ip", &["netns", "add", "inner"]);
}

/// A container hides parts of `/proc` by mounts over it; the kernel then allows no new one.
#[test]
fn a_masked_proc_is_noted_with_a_failure() {
    let masked =
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /proc/driver && exec \"$0\" \"$@\""];
    passes(&mut again(&masked, &["--exact", "mounts::passes_and_leaves_a_program"]), 1);
    let text = fails(&mut again(&masked, &["--exact", "mounts::fails_there"]));
    let line = "netns-test: not isolated: /proc shows the host's processes: mount proc: EPERM";
    assert!(text.contains(line), "{text}");
}

/// The same for `/sys`.
#[test]
fn a_masked_sys_is_noted_with_a_failure() {
    let masked =
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /sys/kernel && exec \"$0\" \"$@\""];
    passes(&mut again(&masked, &["--exact", "mounts::passes_and_leaves_a_program"]), 1);
    let text = fails(&mut again(&masked, &["--exact", "mounts::fails_there"]));
    let line = "netns-test: not isolated: /sys shows the host's interfaces: mount sysfs: EPERM";
    assert!(text.contains(line), "{text}");
}

#[netns_test]
#[ignore = "run by a_masked_proc_is_noted_with_a_failure"]
#[expect(clippy::zombie_processes, reason = "it is to be left behind")]
fn passes_and_leaves_a_program() {
    std::net::TcpListener::bind("127.0.0.1:80").unwrap();
    Command::new("sleep").arg("1000").spawn().unwrap();
}

#[netns_test]
#[ignore = "run by a_masked_proc_is_noted_with_a_failure"]
fn fails_there() {
    panic!("to have the limitation shown");
}
