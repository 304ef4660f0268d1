//! Names as root of the machine has them, outside of any body, beside the real `ip`: with the
//! user, network and process ids of the machine. Only the mounts are a copy, with nothing in
//! `/run`, so that also a crash leaves the machine as it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use netns_test::{NamedNetNs, NetNs};
use netns_test_tests::confine::{Confinement, SYS_ADMIN, Who};
use netns_test_tests::{again, is_root, left_out, missing, passes, status, stdout_of};

use crate::names;

/// Which namespaces the machine's own processes are in, but for that of mounts.
const OF_THE_MACHINE: [&str; 3] = ["net", "pid", "user"];

/// Variable with the links to them, for the program below.
const LINKS: &str = "NETNS_TEST_TESTS_LINKS";

#[test]
fn names_interoperate_with_ip_on_the_host() {
    let what = "names_interoperate_with_ip_on_the_host";
    if !is_root() {
        return left_out(what, "only root can do it");
    }
    if let Err(reason) = is_root_of_the_machine() {
        return missing(what, &reason);
    }
    let before = traces();
    let mut command = again(&[], &["--exact", "host::as_root_of_the_machine"]);
    command.env(LINKS, links());
    Confinement::of(Who::Root).empty_run().apply(&mut command);
    passes(&mut command, 1);
    assert_eq!(traces(), before);
}

#[test]
#[ignore = "run by names_interoperate_with_ip_on_the_host"]
fn as_root_of_the_machine() -> netns_test::Result<()> {
    assert_eq!(std::env::var(LINKS).unwrap(), links(), "the namespaces are the machine's");
    let own = NetNs::current()?;
    let before = directory_mounts();
    // Neither the directory nor its mount is there yet.
    assert!(!Path::new("/run/netns").exists());
    names::made_here()?;
    assert_eq!(new_mounts(&before), 1);
    NamedNetNs::create("kept")?.keep();
    assert!(stdout_of("ip", &["netns", "list"]).starts_with("kept"));
    stdout_of("ip", &["netns", "delete", "kept"]);
    // No interface of the machine is touched: both ends are made in the namespace.
    names::made_by_ip(|| {
        stdout_of("ip", &["-n", "green", "link", "add", "v1", "type", "veth"]);
        stdout_of("ip", &["-n", "green", "link", "show", "v1"]);
    })?;
    // `ip` has found the directory prepared, and here it is found as `ip` has prepared it.
    assert_eq!(new_mounts(&before), 1);
    stdout_of("umount", &["-l", "/run/netns"]);
    fs::remove_dir("/run/netns").unwrap();
    stdout_of("ip", &["netns", "add", "first"]);
    let second = NamedNetNs::create("second")?;
    assert_eq!(NamedNetNs::list()?, ["first", "second"]);
    assert_eq!(new_mounts(&before), 1);
    drop(second);
    stdout_of("ip", &["netns", "delete", "first"]);
    assert_eq!(fs::read_dir("/run/netns").unwrap().count(), 0);
    assert_eq!(NetNs::current()?, own);
    Ok(())
}

/// Checks that this is uid 0 in the user namespace that the machine, or a container that has none of
/// its own, begins with.
fn is_root_of_the_machine() -> Result<(), String> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    if map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"] {
        return Err(format!("root is another user outside: {}", map.trim()));
    }
    let held = u64::from_str_radix(&status("CapEff"), 16).unwrap();
    if held >> SYS_ADMIN & 1 == 0 {
        return Err("root has no CAP_SYS_ADMIN".to_owned());
    }
    Ok(())
}

fn links() -> String {
    let link = |kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    OF_THE_MACHINE.map(|kind| link(kind).display().to_string()).join(" ")
}

/// The mounts of the caller that have to do with names, and the names.
fn traces() -> (BTreeSet<String>, Vec<String>, bool) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_of_names = |line: &&str| [" /run ", " /run/netns"].iter().any(|at| line.contains(at));
    let mounts = mounts.lines().filter(is_of_names).map(str::to_owned).collect();
    (mounts, NamedNetNs::list().unwrap(), Path::new("/run/netns").exists())
}

/// Counts the mounts at `/run/netns` that are not in `before`, and checks that each is shared.
fn new_mounts(before: &[String]) -> usize {
    let new = directory_mounts().into_iter().filter(|line| !before.contains(line));
    new.inspect(|line| assert!(line.contains("shared:"), "{line}")).count()
}

/// Lists the mounts at `/run/netns`, also those of a machine where `ip netns add` was run, below an
/// empty `/run`.
fn directory_mounts() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_it = |line: &&str| line.split(' ').nth(4) == Some("/run/netns");
    mounts.lines().filter(is_it).map(str::to_owned).collect()
}
