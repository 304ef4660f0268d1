//! Features that nodes lack in a container that hides or locks the machine's `/sys`, or where ping
//! cannot be allowed: the lab is built, and lists them.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::confine::{Confinement, Filter, Who, filter_this_thread};
use netns_test_tests::{again, control_groups, fails, is_root, passes, stdout_of, text};

use super::two_hosts;
use crate::net::{Mesh, switched};

/// A test of this file, run in a container that `confine` describes.
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
    assert!(
        !text(&output).contains("not isolated"),
        "message without a failure: {}",
        text(&output)
    );
    let message = fails(&mut contained(&[], "lacks_and_fails", confine));
    assert!(message.contains(&format!("netns-test: not isolated: {READ_ONLY}")), "{message}");
}

#[test]
fn a_refused_sys_is_noted_with_a_failure() {
    let confine = Confinement::covered_sys;
    let output = passes(&mut contained(&[], "lacks_a_sys", confine), 1);
    assert!(
        !text(&output).contains("not isolated"),
        "message without a failure: {}",
        text(&output)
    );
    let message = fails(&mut contained(&[], "lacks_and_fails", confine));
    let line = format!("netns-test: not isolated: {COVERED}");
    assert_eq!(message.matches(&line).count(), 1, "once for two labs: {message}");
}

/// A program that is no test's body has to ask, or reads it on stderr.
#[test]
fn a_plain_program_gets_the_note_too() {
    let mut command = contained(&["unshare", "-Urnm"], "asks", Confinement::covered_sys);
    let message = text(&passes(command.arg("--nocapture"), 1));
    assert_eq!(
        message.matches(&format!("netns-test: not isolated: {COVERED}")).count(),
        2,
        "{message}"
    );
}

/// As in a container of Docker's: hosts and switches do without, a router cannot.
#[test]
fn without_sysctls_hosts_stand_and_routers_do_not() {
    let confine = Confinement::proc_of_docker;
    passes(&mut contained(&[], "builds_without_sysctls", confine), 1);
    passes(&mut contained(&[], "joins_a_lab_without_sysctls", confine), 1);
    let message = fails(&mut contained(&[], "forwards", confine));
    assert!(message.contains("Error: write /proc/sys/net/ipv"), "{message}");
    let lines = ": EROFS (Read-only file system)\n  \
         cause: /proc/sys is read-only here, as in many containers, and this node needs the sysctl\n  \
         fix:\n    Docker: --security-opt systempaths=unconfined --user 1000:1000\n    \
         Podman: --security-opt unmask=ALL\n  more: ";
    assert!(message.contains(lines), "{message}");
    assert!(message.contains("/ENVIRONMENTS.md#masked-proc\n"), "{message}");
}

#[netns_test]
#[ignore = "run by without_sysctls_hosts_stand_and_routers_do_not"]
fn builds_without_sysctls() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    let message = lab.limitations();
    let has = |start: &str| message.iter().any(|one| one.starts_with(start));
    let refused = "/proc/sys/net/ipv6/conf";
    for start in [
        format!(
            "link-local addresses of switch, h0 and h1 take a second to be usable: write {refused}/default/accept_dad: EROFS"
        ),
        format!(
            "IPv6 addresses of switch, h0 and h1 go when a program takes the interface down: write {refused}/all/keep_addr_on_down: EROFS"
        ),
        "ping on switch, h0 and h1 needs root: write /proc/sys/net/ipv4/ping_group_range: EROFS"
            .to_owned(),
    ] {
        assert!(has(&start), "{start}: {message:#?}");
    }
    Mesh::new(&lab, &nodes).all_pairs_talk();
    let links: Vec<_> = lab.links().collect();
    links[0].down()?;
    links[0].up()?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    lab.power_off(nodes[0])?;
    lab.power_on(nodes[0])?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    // Also where `/proc` has other numbers for them.
    let (mut held, stdout) = UnixStream::pair().unwrap();
    held.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
    let mut command = lab[nodes[0]].command("sh");
    command.args(["-c", "sleep 1000 2>&1 &"]).stdout(OwnedFd::from(stdout)).status()?;
    drop(command);
    drop(lab);
    assert_eq!(held.read(&mut [0]).unwrap(), 0);
    Ok(())
}

#[netns_test]
#[ignore = "run by without_sysctls_hosts_stand_and_routers_do_not"]
fn joins_a_lab_without_sysctls() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (own, host) = (net.local(), net.host("host"));
    let link = net.link(own, host).id();
    let lab = net.build()?;
    let start = "link-local addresses of local and host take a second";
    assert!(lab.limitations().iter().any(|one| one.starts_with(start)), "{:?}", lab.limitations());
    Mesh::new(&lab, &[own, host]).all_pairs_talk();
    lab[link].down()?;
    lab[link].up()?;
    Mesh::new(&lab, &[own, host]).all_pairs_talk();
    Ok(())
}

#[netns_test]
#[ignore = "run by without_sysctls_hosts_stand_and_routers_do_not"]
fn forwards() -> netns_test::Result<()> {
    let mut net = Topology::new();
    net.router("router");
    net.build().map(drop)
}

/// The control groups are a part of it: none is left without them.
#[netns_test]
fn a_sys_without_the_control_groups_is_taken_back() {
    stdout_of("mount", &["-t", "tmpfs", "none", "/sys/fs/cgroup"]);
    let mounts = || {
        let all = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        all.lines().filter(|line| line.contains(" /sys ")).count()
    };
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            filter_this_thread(Filter::Attaching(libc::EPERM)).unwrap();
            let (lab, client, _) = two_hosts();
            lacks(&lab, COVERED);
            assert_eq!(lab[client].run(interfaces), interfaces());
            assert_eq!(lab[client].run(mounts), mounts());
        });
        refused.join().unwrap();
    });
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

/// A switch's, too.
#[netns_test]
fn every_node_has_a_sys_of_its_own() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (switch, host) = (net.switch("switch"), net.host("host"));
    let router = net.router("router");
    net.link(host, switch);
    net.link(switch, router);
    let mut lab = net.build()?;
    lab.power_off(switch)?;
    lab.power_on(switch)?;
    let late = net.switch("late");
    net.link(late, router);
    lab.extend(&net)?;
    let seen = [switch, host, router, late].map(|node| lab[node].run(interfaces));
    let expected = [
        vec!["br0", "host", "lo", "router"],
        vec!["eth0", "lo"],
        vec!["eth0", "eth1", "lo"],
        vec!["br0", "lo", "router"],
    ];
    assert_eq!(seen, expected.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    // Programs read the bridge's state there.
    lab[switch].run(|| fs::read("/sys/class/net/br0/bridge/stp_state"))?;
    Ok(())
}

/// Also of hosts that come later.
#[netns_test]
#[ignore = "run by a_refused_sys_is_noted_with_a_failure"]
fn lacks_a_sys() {
    let mut net = Topology::new();
    let (switch, client, server) = (net.switch("switch"), net.host("client"), net.host("server"));
    net.link(client, switch);
    net.link(server, switch);
    let mut lab = net.build().unwrap();
    let covered =
        "/sys of switch, client and server shows the caller's interfaces: mount sysfs: EPERM";
    lacks(&lab, covered);
    lab.power_off(server).unwrap();
    lacks(&lab, covered);
    lab.power_on(server).unwrap();
    lacks(&lab, covered);
    let late = net.host("late");
    net.link(late, switch);
    lab.extend(&net).unwrap();
    lacks(
        &lab,
        "/sys of switch, client, server and 1 more shows the caller's interfaces: mount sysfs: EPERM",
    );
}

#[netns_test]
#[ignore = "run by the tests above"]
fn lacks_and_fails() {
    drop(two_hosts());
    drop(two_hosts());
    panic!("to have the limitation shown");
}

#[test]
#[ignore = "run by a_plain_program_gets_the_note_too"]
fn asks() {
    for _ in 0..2 {
        lacks(&two_hosts().0, COVERED);
    }
}

/// The group range for all groups, and the one for the own group.
#[netns_test]
fn a_ping_that_cannot_be_allowed_is_noted() {
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
    let cores = || std::thread::available_parallelism().unwrap();
    let (lab, client, _) = two_hosts();
    assert_eq!(lab[client].run(|| (control_groups(), cores())), (control_groups(), cores()));
}
