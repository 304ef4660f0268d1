//! The `/run` of a body: every directory is its own, files of the machine's are read and never
//! written, sockets of the machine's services are there but for those of resolvers.
//!
//! The machine is one of the test's own making: a mount namespace with another `/run`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::confine::{Confinement, Filter, Who};
use netns_test_tests::{LIMIT, again, eventually, is_root, left_out, passes, scratch, stdout_of};

/// Starts a program as a user without rights to files beyond those of its id. (The kernel has root
/// map its id with `CAP_SETFCAP` only.)
const ORDINARY: [&str; 3] = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"];

/// Runs a test of this file on a machine that it makes itself.
fn on_a_machine(test: &str) -> Command {
    again(&["unshare", "-Urm"], &["--exact", &format!("run_dir::{test}"), "--test-threads=1"])
}

/// Covers `/run` with directories, files and sockets as daemons have them. Returns the listeners.
fn make_machine() -> Vec<UnixListener> {
    stdout_of("mount", &["-t", "tmpfs", "none", "/run"]);
    for directory in ["postgresql", "one/two/three", "lock", "nscd", "systemd/units", "user/7"] {
        fs::create_dir_all(Path::new("/run").join(directory)).unwrap();
    }
    // A file system in memory is part of the machine's state, wherever it is mounted.
    stdout_of("mount", &["-t", "tmpfs", "none", "/run/lock"]);
    for (file, mode) in FILES {
        let path = Path::new("/run").join(file);
        fs::write(&path, file).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write("/run/one/large", vec![b'x'; 1 << 20]).unwrap();
    fs::write("/run/one/program", "#!/bin/sh\necho it runs\n").unwrap();
    fs::set_permissions("/run/one/program", fs::Permissions::from_mode(0o755)).unwrap();
    symlink("two", "/run/one/link").unwrap();
    symlink("/run/one/two/three", "/run/absolute").unwrap();
    stdout_of("mkfifo", &["/run/one/fifo"]);
    let bind = |path: &&str| UnixListener::bind(Path::new("/run").join(path)).unwrap();
    let listeners = SOCKETS.iter().map(bind).collect();
    for directory in ["postgresql", "one/two", "one/two/three"] {
        let closed = fs::Permissions::from_mode(0o555);
        fs::set_permissions(Path::new("/run").join(directory), closed).unwrap();
    }
    listeners
}

const FILES: [(&str, u32); 6] = [
    ("daemon.pid", 0o444),
    ("one/two/three/daemon.pid", 0o444),
    ("lock/daemon", 0o644),
    ("nscd/nscd.pid", 0o644),
    ("systemd/units/unit", 0o644),
    ("user/7/file", 0o600),
];

const SOCKETS: [&str; 4] =
    ["service.sock", "postgresql/.s.PGSQL.5432", "one/two/three/service.sock", "nscd/socket"];

/// Lists all below `/run`, with what is known of each.
fn state() -> BTreeMap<PathBuf, String> {
    fn add(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let (path, data) = (entry.path(), entry.metadata().unwrap());
            let content = if data.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let times = (data.mtime(), data.mtime_nsec(), data.ino());
            found.insert(path.clone(), format!("{:o} {times:?} {content:?}", data.mode()));
            if data.is_dir() {
                add(&path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    add(Path::new("/run"), &mut found);
    found
}

/// Runs bodies on a machine, as its root and as an ordinary user.
fn passes_there_as_both(test: &str, count: usize) {
    let _listeners = make_machine();
    let before = state();
    for around in [&[][..], &ORDINARY] {
        passes(&mut again(around, &[&format!("run_dir::{test}")]), count);
        assert_eq!(state(), before, "around: {around:?}");
    }
}

#[test]
fn a_body_writes_everywhere_and_the_machine_stays_as_it_was() {
    passes(&mut on_a_machine("machine_of_who_writes"), 1);
}

/// Linux before 5.12 has no such call, and old filters do not know it.
#[test]
fn the_machine_is_read_only_without_mount_setattr() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let mut run = on_a_machine("machine_of_who_writes");
        let who = if is_root() { Who::Root } else { Who::User };
        Confinement::of(who).filter(Filter::Call(libc::SYS_mount_setattr, errno)).apply(&mut run);
        passes(&mut run, 1);
    }
}

#[test]
#[ignore = "run by a_body_writes_everywhere_and_the_machine_stays_as_it_was"]
fn machine_of_who_writes() {
    passes_there_as_both("writes_everywhere", 1);
}

#[netns_test]
#[ignore = "run by a_body_writes_everywhere_and_the_machine_stays_as_it_was"]
fn writes_everywhere() {
    for (file, _) in FILES {
        let path = Path::new("/run").join(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), file);
        let is_of_manager = file.starts_with("systemd/");
        assert_eq!(fs::write(&path, "written by a test").is_err(), is_of_manager, "{file}");
        assert_eq!(fs::remove_file(&path).is_err(), is_of_manager, "{file}");
        let new = path.with_extension("new");
        assert_eq!(fs::write(new, "by a test").is_err(), is_of_manager, "{file}");
    }
    for directory in [".", "postgresql", "one/link", "absolute", "lock", "user", "user/7"] {
        let directory = Path::new("/run").join(directory);
        fs::write(directory.join("new"), "by a test").unwrap();
        fs::create_dir(directory.join("directory")).unwrap();
        UnixListener::bind(directory.join("new.sock")).unwrap();
    }
    // It is another one, also with a name that is taken.
    fs::remove_file("/run/postgresql/.s.PGSQL.5432").unwrap();
    UnixListener::bind("/run/postgresql/.s.PGSQL.5432").unwrap();
    assert!(fs::write("/run/one/large", "by a test").is_err());
    assert!(fs::write("/run/one/program", "by a test").is_err());
    for path in ["daemon.pid", "one/two/three/daemon.pid", "lock/daemon", "user/7/file"] {
        let of_host = Path::new("/run/.host").join(path);
        assert!(fs::write(&of_host, "by a test").is_err(), "{path}");
        assert!(fs::remove_file(&of_host).is_err(), "{path}");
    }
    for directory in [".", "postgresql", "one/two", "lock", "systemd", "user/7"] {
        let new = Path::new("/run/.host").join(directory).join("new");
        assert!(fs::write(&new, "").is_err(), "{}", new.display());
        assert!(UnixListener::bind(&new).is_err(), "{}", new.display());
    }
}

#[test]
fn what_the_machine_has_is_found() {
    passes(&mut on_a_machine("machine_of_who_reads"), 1);
}

#[test]
#[ignore = "run by what_the_machine_has_is_found"]
fn machine_of_who_reads() {
    passes_there_as_both("finds_what_there_is", 1);
}

#[netns_test]
#[ignore = "run by what_the_machine_has_is_found"]
fn finds_what_there_is() {
    for socket in ["service.sock", "postgresql/.s.PGSQL.5432", "one/two/three/service.sock"] {
        UnixStream::connect(Path::new("/run").join(socket)).unwrap();
    }
    UnixStream::connect("/run/one/link/three/service.sock").unwrap();
    UnixStream::connect("/run/absolute/service.sock").unwrap();
    for path in ["/run/nscd/socket", "/run/.host/nscd/socket", "/var/run/nscd/socket"] {
        assert!(UnixStream::connect(path).is_err(), "{path}");
    }
    let mut large = fs::File::open("/run/one/large").unwrap();
    assert_eq!(large.read_to_end(&mut Vec::new()).unwrap(), 1 << 20);
    assert_eq!(stdout_of("/run/one/program", &[]), "it runs\n");
    assert_eq!(fs::read_to_string("/run/absolute/daemon.pid").unwrap(), "one/two/three/daemon.pid");
    // It is the end of something of the machine's that waits.
    assert!(!fs::symlink_metadata("/run/one/fifo").is_ok_and(|data| data.file_type().is_fifo()));
    assert_eq!(fs::metadata("/run/user/7/file").unwrap().mode() & 0o777, 0o600);
}

/// Daemons with default settings, of two tests at the same time.
#[test]
fn two_bodies_bind_the_same_path_and_reach_their_own() {
    passes(&mut on_a_machine("machine_of_two"), 1);
}

#[test]
#[ignore = "run by two_bodies_bind_the_same_path_and_reach_their_own"]
fn machine_of_two() {
    let place = scratch("run_dir");
    let _listeners = make_machine();
    let before = state();
    for around in [&[][..], &ORDINARY] {
        let mut run = again(around, &["run_dir::serves_", "--test-threads=2"]);
        passes(run.env("MEETING_PLACE", &place), 2);
        assert_eq!(state(), before, "around: {around:?}");
        for entry in fs::read_dir(&place).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::remove_dir_all(place).unwrap();
}

fn serve(own: &str, other: &str) {
    let place = PathBuf::from(std::env::var_os("MEETING_PLACE").unwrap());
    let path = "/run/one/two/three/default.sock";
    let listener = UnixListener::bind(path).unwrap();
    fs::write("/run/one/two/three/owner", own).unwrap();
    fs::write(place.join(own), "").unwrap();
    eventually(LIMIT, "the other test serves, too", || place.join(other).exists());
    let stream = UnixStream::connect(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener.accept().unwrap();
    drop(stream);
    assert_eq!(fs::read_to_string("/run/one/two/three/owner").unwrap(), own);
}

#[netns_test]
#[ignore = "run by two_bodies_bind_the_same_path_and_reach_their_own"]
fn serves_here() {
    serve("here", "there");
}

#[netns_test]
#[ignore = "run by two_bodies_bind_the_same_path_and_reach_their_own"]
fn serves_there() {
    serve("there", "here");
}

/// A disk that is mounted there is no state of the machine's: projects may be on it.
#[test]
fn a_disk_below_run_is_as_it_is_elsewhere() {
    passes(&mut on_a_machine("machine_with_a_disk"), 1);
}

#[test]
#[ignore = "run by a_disk_below_run_is_as_it_is_elsewhere"]
fn machine_with_a_disk() {
    let disk = scratch("disk");
    if matches!(stdout_of("stat", &["-f", "-c", "%T", disk.to_str().unwrap()]).trim(), "tmpfs") {
        return left_out("a disk below /run", "temporary files are in memory");
    }
    let _listeners = make_machine();
    for (name, options) in [("disk", "rw"), ("read-only", "ro")] {
        let place = format!("/run/one/{name}");
        fs::create_dir(&place).unwrap();
        stdout_of("mount", &["--bind", disk.to_str().unwrap(), &place]);
        stdout_of("mount", &["-o", &format!("remount,bind,{options}"), &place]);
    }
    for around in [&[][..], &ORDINARY] {
        passes(&mut again(around, &["run_dir::writes_on_a_disk"]), 1);
        assert_eq!(fs::read_to_string(disk.join("new")).unwrap(), "by a test");
        fs::remove_file(disk.join("new")).unwrap();
    }
    fs::remove_dir_all(disk).unwrap();
}

#[netns_test]
#[ignore = "run by a_disk_below_run_is_as_it_is_elsewhere"]
fn writes_on_a_disk() {
    assert!(fs::write("/run/one/read-only/new", "by a test").is_err());
    fs::write("/run/one/disk/new", "by a test").unwrap();
}

/// A body that starts tests of its own is a machine for them.
#[test]
fn sandboxes_within_sandboxes_find_the_same() {
    passes(&mut on_a_machine("machine_of_the_outer"), 1);
}

#[test]
#[ignore = "run by sandboxes_within_sandboxes_find_the_same"]
fn machine_of_the_outer() {
    passes_there_as_both("outer_sandbox", 1);
}

#[netns_test]
#[ignore = "run by sandboxes_within_sandboxes_find_the_same"]
fn outer_sandbox() {
    passes(&mut again(&[], &["--exact", "run_dir::finds_what_there_is"]), 1);
    passes(&mut again(&[], &["--exact", "run_dir::writes_everywhere"]), 1);
    finds_what_there_is_here();
}

fn finds_what_there_is_here() {
    UnixStream::connect("/run/one/two/three/service.sock").unwrap();
    assert!(!Path::new("/run/new").exists());
}

/// Root's daemons may change to the user that the machine's directory belongs to.
#[netns_test]
fn owners_and_modes_are_kept_as_far_as_they_are_mapped() {
    let Ok(entries) = fs::read_dir("/run/.host") else { return };
    let is_mapped = is_root() && stdout_of("cat", &["/proc/self/uid_map"]).contains("4294967295");
    for entry in entries.flatten() {
        let (name, data) = (entry.file_name(), entry.metadata().unwrap());
        let Ok(own) = fs::symlink_metadata(Path::new("/run").join(&name)) else { continue };
        if data.is_dir() && own.is_dir() {
            assert_eq!(own.mode(), data.mode() | 0o700, "{}", name.display());
            if is_mapped {
                assert_eq!((own.uid(), own.gid()), (data.uid(), data.gid()), "{}", name.display());
            }
        }
    }
}
