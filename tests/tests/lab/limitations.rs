//! What hosts do without in a container that hides or locks the machine's `/sys`, or where ping cannot be
//! allowed: the lab stands, and says so.

use std::fs;
use std::process::Command;

use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::confine::{Confinement, Filter, Who, filter_this_thread};
use netns_test_tests::{again, fails, is_root, passes, text};

use super::two_hosts;

/// A test of this file, run in a container that is made as told.
fn contained(
    around: &[&str],
    name: &str,
    confine: impl FnOnce(Confinement) -> Confinement,
) -> Command {
    let who = if is_root() { Who::Root } else { Who::User };
    let mut command = again(around, &["--exact", &format!("limitations::{name}")]);
    confine(Confinement::of(who).mounts_as_root()).apply(&mut command);
    command
}

const READ_ONLY: &str = "/sys of client and server is read-only: mount sysfs: EPERM";
const COVERED: &str = "/sys of client and server shows the caller's interfaces: mount sysfs: EPERM";

#[test]
fn a_sys_that_cannot_be_written_is_had_read_only() {
    let confine = Confinement::read_only_sys;
    let output = passes(&mut contained(&[], "sees_its_own_interfaces", confine), 1);
    assert!(!text(&output).contains("not isolated"), "told without a failure: {}", text(&output));
    let told = fails(&mut contained(&[], "lacks_and_fails", confine));
    assert!(told.contains(&format!("netns-test: not isolated: {READ_ONLY}")), "{told}");
}

#[test]
fn a_sys_that_is_refused_is_told_with_a_failure() {
    let confine = Confinement::covered_sys;
    let output = passes(&mut contained(&[], "lacks_a_sys", confine), 1);
    assert!(!text(&output).contains("not isolated"), "told without a failure: {}", text(&output));
    let told = fails(&mut contained(&[], "lacks_and_fails", confine));
    let line = format!("netns-test: not isolated: {COVERED}");
    assert_eq!(told.matches(&line).count(), 1, "once for two labs: {told}");
}

/// A program that is no test's body has to ask, or reads it on stderr.
#[test]
fn a_plain_program_is_told_too() {
    let mut command = contained(&["unshare", "-Urnm"], "asks", Confinement::covered_sys);
    let told = text(&passes(command.arg("--nocapture"), 1));
    assert_eq!(told.matches(&format!("netns-test: not isolated: {COVERED}")).count(), 2, "{told}");
}

/// As in a container of Docker's, where hosts cannot have their sysctls.
#[test]
fn without_sysctls_there_is_no_lab_and_what_helps_is_told() {
    let told = fails(&mut contained(&[], "lacks_and_fails", Confinement::proc_of_docker));
    // Of either host: they are made at the same time.
    assert!(told.contains("\nwrite /proc/sys/net/ipv6/conf/all/disable_ipv6 of "), "{told}");
    let lines = ": EROFS (Read-only file system)\n  \
         cause: /proc/sys is read-only here, as in many containers, and hosts need sysctls\n  fix:\n    \
         Docker: --security-opt systempaths=unconfined --user 1000:1000\n    \
         Podman: --security-opt unmask=ALL\n  more: ";
    assert!(told.contains(lines), "{told}");
    assert!(told.contains("/ENVIRONMENTS.md#masked-proc\n"), "{told}");
}

fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn lacks(lab: &Lab, expected: &str) {
    let limitations = lab.limitations();
    assert!(limitations.len() == 1 && limitations[0].starts_with(expected), "{limitations:?}");
}

#[netns_test]
#[ignore = "run by a_sys_that_cannot_be_written_is_had_read_only"]
fn sees_its_own_interfaces() {
    let (lab, client, _) = two_hosts();
    lacks(&lab, READ_ONLY);
    assert_eq!(lab[client].run(interfaces), ["eth0", "lo"]);
    let refused = lab[client].run(|| fs::write("/sys/class/net/eth0/mtu", "1400")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
}

/// Also of hosts that come later.
#[netns_test]
#[ignore = "run by a_sys_that_is_refused_is_told_with_a_failure"]
fn lacks_a_sys() {
    let mut net = Topology::new();
    let (switch, client, server) = (net.switch("switch"), net.host("client"), net.host("server"));
    net.link(client, switch);
    net.link(server, switch);
    let mut lab = net.build().unwrap();
    lacks(&lab, COVERED);
    lab.power_off(server).unwrap();
    lacks(&lab, COVERED);
    lab.power_on(server).unwrap();
    lacks(&lab, COVERED);
    let late = net.host("late");
    net.link(late, switch);
    lab.extend(&net).unwrap();
    lacks(
        &lab,
        "/sys of client, server and late shows the caller's interfaces: mount sysfs: EPERM",
    );
}

#[netns_test]
#[ignore = "run by the tests above"]
fn lacks_and_fails() {
    drop(two_hosts());
    drop(two_hosts());
    panic!("to have the limitation told");
}

#[test]
#[ignore = "run by a_plain_program_is_told_too"]
fn asks() {
    for _ in 0..2 {
        lacks(&two_hosts().0, COVERED);
    }
}

/// The group range for all groups, and the one for the own group.
#[netns_test]
fn ping_that_cannot_be_allowed_is_told() {
    let path = "/proc/sys/net/ipv4/ping_group_range";
    // SAFETY: always succeeds and touches no memory.
    let own = unsafe { libc::getegid() };
    let of_all = "0 2147483647".len() as u32;
    let of_own = format!("{own} {own}").len() as u32;
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            filter_this_thread(Filter::Writes(of_all, libc::EINVAL)).unwrap();
            let (lab, client, _) = two_hosts();
            assert_eq!(lab.limitations(), [""; 0]);
            let range = lab[client].run(|| fs::read_to_string(path)).unwrap();
            let bounds: Vec<u32> =
                range.split_whitespace().map(|one| one.parse().unwrap()).collect();
            assert_eq!(bounds, [own, own]);
            filter_this_thread(Filter::Writes(of_own, libc::EROFS)).unwrap();
            let (lab, _, _) = two_hosts();
            lacks(&lab, &format!("ping on client and server needs root: write {path}: EROFS"));
        });
        refused.join().unwrap();
    });
    assert_eq!(two_hosts().0.limitations(), [""; 0]);
}

/// Programs size their thread pools by them.
#[netns_test]
fn hosts_have_the_control_groups_of_the_test() {
    let groups = || fs::read_dir("/sys/fs/cgroup").map_or(0, Iterator::count);
    let cores = || std::thread::available_parallelism().unwrap();
    let (lab, client, _) = two_hosts();
    assert_eq!(lab[client].run(|| (groups(), cores())), (groups(), cores()));
}
