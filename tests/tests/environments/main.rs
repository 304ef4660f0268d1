//! Every environment in which namespaces are refused or restricted, made for real, and what
//! a person reads of a test that is run there.
//!
//! `environments/NAME.txt` holds the words. After a change that is meant, run these tests
//! with `UPDATE_EXPECTED=1` as root and read the difference. A new environment begins with an
//! empty file.

mod normal;

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::confine::{
    self, Confinement, ControlGroup, Filter, OF_DOCKER, SETFCAP, SYS_ADMIN, Who,
};
use netns_test_tests::{is_root, scratch, status, text};

/// An environment by its name, with the words that are expected there.
macro_rules! place {
    ($name:ident, $who:ident) => {
        Place {
            name: stringify!($name),
            who: Who::$who,
            expected: include_str!(concat!(stringify!($name), ".txt")),
        }
    };
}

/// Tests that run the body below each in an environment: its name, whose child the program
/// is, how it is confined.
macro_rules! environments {
    ($($name:ident: $who:ident, $confine:expr;)*) => {$(
        #[test]
        fn $name() {
            place!($name, $who).shows($confine);
        }
    )*};
}

environments! {
    nothing_is_refused: User, |it| it;
    nothing_is_refused_to_root: Root, |it| it;

    // Filters of system calls.
    docker: User, |it| it.filter(Filter::Docker);
    docker_as_root: Root, |it| it.capabilities(of_docker).filter(Filter::Docker);
    docker_on_ubuntu: User, |it| on_ubuntu(it).filter(Filter::Docker);
    systemd: User, |it| it.filter(Filter::Systemd);
    systemd_as_root: Root, |it| it.filter(Filter::Systemd);
    systemd_that_kills: User, |it| it.filter(Filter::Deadly);
    systemd_that_kills_as_root: Root, |it| it.filter(Filter::Deadly);
    no_such_system_calls: User, |it| it.filter(Filter::Absent);
    no_such_system_calls_as_root: Root, |it| it.filter(Filter::Absent);
    no_sockets: User, |it| it.filter(Filter::Sockets(libc::EPERM));
    no_sockets_as_root: Root, |it| it.filter(Filter::Sockets(libc::EPERM));
    no_sockets_by_eacces: User, |it| it.filter(Filter::Sockets(libc::EACCES));
    no_sockets_on_ubuntu: User, |it| on_ubuntu(it).filter(Filter::Sockets(libc::EPERM));
    clone_is_refused_by_eacces: User, |it| it.filter(Filter::Namespaces(libc::EACCES));
    clone_is_refused_by_eopnotsupp: User, |it| it.filter(Filter::Namespaces(libc::EOPNOTSUPP));
    no_mounts: User, |it| it.filter(Filter::Mounts);
    no_mounts_as_root: Root, |it| it.filter(Filter::Mounts);

    // Limits.
    no_user_namespaces: User, |it| it.namespace_limit("user", 0);
    no_user_namespaces_as_root: Root, |it| it.namespace_limit("user", 0);
    no_net_namespaces: User, |it| it.namespace_limit("net", 0);

    // Chroots.
    chroot: User, Confinement::chroot;
    chroot_as_root: Root, Confinement::chroot;
    chroot_as_root_of_a_user_namespace: User, |it| it.mounts_as_root().chroot();
    chroot_as_root_without_sys_admin: Root, |it| it.chroot().capabilities(|c| c != SYS_ADMIN);
    chroot_with_a_filter_on_unshare: User, |it| {
        it.chroot().filter(Filter::Call(libc::SYS_unshare, libc::EPERM))
    };
    chroot_without_devices: User, Confinement::chroot_without_devices;
    sandbox_without_devices: User, Confinement::empty_dev;
    chroot_into_mount_point: User, Confinement::chroot_into_mount_point;
    chroot_into_mount_point_as_root: Root, Confinement::chroot_into_mount_point;
    chroot_into_mount_point_with_a_filter: User, |it| {
        it.chroot_into_mount_point().filter(Filter::Unrelated)
    };

    // Ids.
    user_is_unmapped: User, Confinement::unmapped;
    root_is_unmapped: Root, Confinement::unmapped;
    group_is_unmapped: User, Confinement::unmapped_group;

    // `/proc` and `/sys`.
    no_proc: User, Confinement::no_proc;
    no_proc_as_root: Root, Confinement::no_proc;
    read_only_proc: User, Confinement::read_only_proc;
    proc_of_docker: User, Confinement::proc_of_docker;
    proc_of_docker_as_root: Root, Confinement::proc_of_docker;
    read_only_sys: User, Confinement::read_only_sys;
    covered_sys: User, Confinement::covered_sys;

    // Capabilities.
    root_without_setfcap: Root, |it| it.capabilities(|c| c != SETFCAP);
    root_without_sys_admin: Root, |it| it.capabilities(|c| c != SYS_ADMIN);
    root_without_both: Root, |it| it.capabilities(|c| c != SETFCAP && c != SYS_ADMIN);
    docker_without_its_filter: Root, |it| {
        it.proc_of_docker().read_only_sys().capabilities(of_docker)
    };
}

/// Environments in which a tracer takes capabilities away.
#[cfg(target_arch = "x86_64")]
mod traced {
    use super::*;

    environments! {
        capabilities_are_lost: User, Confinement::losing_capabilities;
        capabilities_are_lost_as_root: Root, Confinement::losing_capabilities;
        capabilities_are_lost_on_ubuntu: User, |it| on_ubuntu(it).losing_capabilities();
        capabilities_are_lost_with_a_filter: User, |it| {
            it.filter(Filter::Unrelated).losing_capabilities()
        };
        capabilities_are_lost_with_a_filter_as_root: Root, |it| {
            it.filter(Filter::Unrelated).losing_capabilities()
        };
    }
}

/// Root of a container, with the capabilities that it leaves.
fn of_docker(capability: u32) -> bool {
    OF_DOCKER.contains(&capability)
}

/// The sysctl that Ubuntu has set. It says nothing of who refuses what.
fn on_ubuntu(confinement: Confinement) -> Confinement {
    confinement.pretended_sysctl("kernel/apparmor_restrict_unprivileged_userns", "1")
}

/// All at the same time: each of them waits for five seconds for something to come free.
#[test]
fn exhausted_resources_are_named_after_retries() {
    std::thread::scope(|scope| {
        scope.spawn(|| place!(few_files, User).shows(|it| it.open_files(8)));
        scope.spawn(|| place!(few_processes, User).shows(|it| it.processes(1)));
        scope.spawn(few_processes_in_a_control_group);
        let place = place!(last_user_namespace, User);
        scope.spawn(move || place.shows(Confinement::last_user_namespace));
        let place = place!(deepest_user_namespace, User);
        scope.spawn(move || place.shows(Confinement::deepest_user_namespace));
    });
}

/// As Docker does with `--pids-limit`.
fn few_processes_in_a_control_group() {
    if !is_root() {
        return;
    }
    let place = place!(few_processes_in_a_control_group, Root);
    let group = match ControlGroup::with_processes(place.name, 2) {
        Ok(group) => group,
        Err(error) => {
            return left_out(place.name, &format!("no control group can be made: {error}"));
        }
    };
    let directory = Scratch::new(place.name);
    let command = Command::new(directory.program());
    let shown = place.run(Confinement::of(place.who).member_of(&group), command);
    place.compare(&shown);
    if group.is_of_version_2() {
        let evidence = format!("{}/pids.max = 2", place.name);
        assert!(shown.contains(&evidence), "{evidence:?} is not in\n{shown}");
    }
}

/// An ordinary user's program that may be run and not read, whose files in `/proc` are
/// root's.
#[test]
fn unreadable_program() {
    let place = place!(unreadable_program, User);
    let directory = Scratch::new(place.name);
    let program = directory.copy(0o111);
    place.compare(&place.run(Confinement::of(place.who), Command::new(program)));
}

/// A library that is preloaded has started a thread before the fork server is forked.
#[test]
fn threads_before_main() {
    let place = place!(threads_before_main, User);
    let directory = Scratch::new(place.name);
    let Some(library) = confine::starts_a_thread(&directory.0) else {
        // `ci/setup` installs it.
        assert!(std::env::var_os("CI").is_none(), "in CI there is a C compiler `cc`");
        return left_out(place.name, "there is no C compiler `cc`");
    };
    let mut command = Command::new(directory.program());
    command.env("LD_PRELOAD", library);
    place.compare(&place.run(Confinement::of(place.who), command));
}

/// The program of another architecture, as `cross test` runs it. The own one will do.
#[test]
fn qemu_user() {
    let place = place!(qemu_user, User);
    let qemu = format!("qemu-{}", std::env::consts::ARCH);
    if Command::new(&qemu).arg("--version").output().is_err() {
        return left_out(place.name, &format!("{qemu} (package qemu-user) is not installed"));
    }
    let directory = Scratch::new(place.name);
    let mut command = Command::new(qemu);
    command.arg(directory.program());
    place.compare(&place.run(Confinement::of(place.who), command));
}

/// Variables that change what is printed.
const REMOVED: [&str; 8] = [
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "KUBERNETES_SERVICE_HOST",
    "NETNS_TEST",
    "NETNS_TEST_SKIPPED",
    "RUST_TEST_NOCAPTURE",
    "RUST_TEST_THREADS",
    "SNAP",
];

/// An environment and what is expected of it.
struct Place {
    name: &'static str,
    who: Who,
    expected: &'static str,
}

impl Place {
    fn shows(&self, confine: impl FnOnce(Confinement) -> Confinement) {
        if self.who == Who::Root && !is_root() {
            return;
        }
        if self.who == Who::Root && !has_capabilities() {
            return left_out(self.name, "root has not all capabilities here");
        }
        let directory = Scratch::new(self.name);
        let command = Command::new(directory.program());
        self.compare(&self.run(confine(Confinement::of(self.who)), command));
    }

    /// Returns the output about the body, which `command` runs.
    fn run(&self, confinement: Confinement, mut command: Command) -> String {
        command.args(["--ignored", "--test-threads=1", "--exact", "body"]);
        command.env("RUST_BACKTRACE", "0").env("NETNS_TEST_REPORT", "off");
        for name in REMOVED {
            command.env_remove(name);
        }
        confinement.apply(&mut command);
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let (text, status) = (text(&output), output.status);
        let shown = normal::section(&text, "body");
        shown.unwrap_or_else(|| panic!("{}: {status}\n{text}", self.name)).to_owned()
    }

    fn compare(&self, shown: &str) {
        let (name, seen, expected) = (self.name, normal::normal(shown), self.expected);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/environments");
            let path = Path::new(directory).join(name).with_extension("txt");
            std::fs::write(path, seen).unwrap();
            return;
        }
        assert!(seen == expected, "in {name} this is seen:\n{seen}\nand not:\n{expected}");
    }
}

/// A directory that goes with the value, also when its test fails.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(scratch(name))
    }

    /// This program, where any user may run it.
    fn program(&self) -> PathBuf {
        let own = std::env::current_exe().unwrap();
        let is_open = |path: &Path| {
            let mode = path.metadata().unwrap().permissions().mode();
            let needed = if path.is_dir() { 0o001 } else { 0o005 };
            mode & needed == needed
        };
        if own.ancestors().all(is_open) { own } else { self.copy(0o755) }
    }

    /// Copied by another program: a child that a test beside this one forks meanwhile would
    /// hold the copy open for writing, and what is being written cannot be run.
    fn copy(&self, mode: u32) -> PathBuf {
        let (own, copy) = (std::env::current_exe().unwrap(), self.0.join("tests"));
        let status = Command::new("cp").arg(own).arg(&copy).status().unwrap();
        assert!(status.success(), "cp: {status}");
        std::fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Capabilities that environments of root's child take away or need.
fn has_capabilities() -> bool {
    let held = u64::from_str_radix(&status("CapEff"), 16).unwrap();
    [SYS_ADMIN, SETFCAP].iter().all(|capability| held >> capability & 1 == 1)
}

fn left_out(name: &str, reason: &str) {
    netns_test_tests::left_out(&format!("the environment {name}"), reason);
}

/// Fails, so that what is printed of it is seen: where it runs, that, and what the sandbox
/// lacks.
#[netns_test]
#[ignore = "run by the tests above"]
fn body() {
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    panic!("the body runs, with the interfaces {:?}", interfaces());
}

fn interfaces() -> Vec<String> {
    let names = (1..100).filter_map(|index| {
        let mut name = [0_u8; libc::IF_NAMESIZE];
        // SAFETY: a name takes at most so many bytes.
        let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
        let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?;
        (!found.is_null()).then(|| name.to_string_lossy().into_owned())
    });
    names.collect()
}
