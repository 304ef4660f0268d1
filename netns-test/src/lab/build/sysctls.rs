//! The sysctls of nodes. `/proc/sys` may be read-only: a value that is right already is not
//! written, and a node does without some of them.

use std::fs;
use std::io;
use std::path::Path;

use crate::addr::sysctl::Sysctl;
use crate::error::{Diagnosis, Failure, Result};
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::on_thread;
use crate::lab::plan::{InterfaceKind, NodePlan};
use crate::lab::topology::NodeKind;
use crate::sys::net::devconf;
use crate::sys::ns::ns_set::Place;
use crate::sys::{errno, fds};

/// IPv6 sysctls of every node, as interface, name and value: IPv6 is on also where the machine has
/// turned it off, link-local addresses are usable at once, and addresses stay when a program takes
/// an interface down and up again.
const COMMON: [(&str, &str, &str); 3] = [
    ("all", "disable_ipv6", "0"),
    ("default", "accept_dad", "0"),
    ("all", "keep_addr_on_down", "1"),
];

/// Sysctl of hosts, with its value: a new network namespace inherits the machine's.
const NO_FORWARDING: (&str, &str) = ("net.ipv4.ip_forward", "0");

/// Sets the sysctls of a node, except those of interfaces, in the network of the calling thread.
/// Returns what the node does without. The node is not the caller's own.
pub(crate) fn set_up(node: &NodePlan) -> Result<Vec<Limitation>, Failure> {
    let mut limitations: Vec<_> = restore_defaults().into_iter().collect();
    limitations.extend(write_common(node, None)?);
    let is_host = node.kind == NodeKind::Host;
    let (name, value) = NO_FORWARDING;
    let own = is_host.then(|| (Sysctl::new(name), value)).into_iter();
    limitations.extend(set(node, own.chain(sysctls_of(node, false)))?);
    Ok(limitations)
}

/// Writes the kernel's default settings of interfaces where the network has inherited others from
/// the machine.
fn restore_defaults() -> Option<Limitation> {
    // Without a `/proc` the next steps fail, with an error that names it.
    let proc = fds::open_place(Path::new("/proc")).ok()?;
    let refused = devconf::restore(&proc).err()?;
    let why = errno::describe(&refused.error);
    Some(Limitation::new(
        "settings of interfaces on",
        format!("are the machine's: write {}: {why}", refused.path()),
    ))
}

/// Sets the sysctls that every node has, for all interfaces or for one, in the network of the
/// calling thread.
pub(crate) fn write_common(
    node: &NodePlan,
    interface: Option<&str>,
) -> Result<Vec<Limitation>, Failure> {
    // A kernel without IPv6 has no such file.
    let there = common(interface).filter(|(name, _)| fs::exists(name.path()).unwrap_or(true));
    set(node, there)
}

/// Returns what the caller's own network will do without. The calling thread is in it.
pub(crate) fn lacking(node: &NodePlan) -> Vec<Limitation> {
    let wanted = common(None).map(|(name, value)| (name, value as &str));
    let wanted = wanted.chain(sysctls_of(node, false));
    let lacking = wanted.filter(|(name, value)| !is_so(name, value)).filter_map(|(name, value)| {
        let open = fs::OpenOptions::new().write(true).open(name.path());
        open.err().and_then(|error| without(node, &name, value, &error))
    });
    lacking.collect()
}

/// Sets the planned sysctls of a node that name one of these interfaces, which exist now.
pub(crate) fn set_of_interfaces(node: &NodePlan, place: &Place, interfaces: &[&str]) -> Result<()> {
    let all = sysctls_of(node, true);
    let wanted = all.filter(|(name, _)| names_one(name, |part| interfaces.contains(&part)));
    set_there(node, place, wanted.collect())
}

/// Sets these sysctls of a node.
pub(crate) fn set_sysctls(
    node: &NodePlan,
    place: &Place,
    sysctls: &[(String, String)],
) -> Result<()> {
    let all = sysctls.iter().map(|(name, value)| (Sysctl::new(name), value.as_str()));
    set_there(node, place, all.collect())
}

/// Returns the planned sysctls of a node: either those that name an interface, or the others.
pub(crate) fn sysctls_of(
    node: &NodePlan,
    of_interfaces: bool,
) -> impl Iterator<Item = (Sysctl, &str)> {
    let all = node.sysctls.iter().map(|(name, value)| (Sysctl::new(name), value.as_str()));
    let is_name = |part: &str| node.interfaces.iter().any(|interface| interface.name == part);
    all.filter(move |(name, _)| names_one(name, is_name) == of_interfaces)
}

/// Returns the limitation that a refused sysctl is for a node, or none if the node needs it.
pub(crate) fn without(
    node: &NodePlan,
    name: &Sysctl,
    value: &str,
    error: &io::Error,
) -> Option<Limitation> {
    let (before, after) = match name.parts()[..] {
        ["net", "ipv4", "ip_forward"] if value == "0" => {
            ("IPv4 is forwarded by", "as by the machine")
        }
        // A loose filter drops only packets that could not be answered. On a node with one
        // interface a strict filter does the same.
        ["net", "ipv4", "conf", "all" | "default", "rp_filter"]
            if value == "0" && (outer_interfaces(node) < 2 || is_so(name, "2")) =>
        {
            ("packets are filtered by their sources on", "as on the machine")
        }
        ["net", "ipv6", "conf", _, "accept_dad"] if value == "0" => {
            ("link-local addresses of", "take a second to be usable")
        }
        ["net", "ipv6", "conf", _, "keep_addr_on_down"] if value == "1" => {
            ("IPv6 addresses of", "go when a program takes the interface down")
        }
        _ => return None,
    };
    let why = errno::describe(error);
    Some(Limitation::new(before, format!("{after}: write {name}: {why}")))
}

/// Returns the failure of writing a sysctl of a node.
pub(crate) fn refused(node: &NodePlan, name: &Sysctl, error: &io::Error) -> Failure {
    let failure = errno::failure("write", format!("{name} of {}", node.name), error);
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        return Failure { diagnosis: Some(Box::new(locked())), ..failure };
    }
    failure
}

fn common(interface: Option<&str>) -> impl Iterator<Item = (Sysctl, &'static str)> {
    COMMON
        .into_iter()
        .map(move |(all, name, value)| (Sysctl::of_ipv6(interface.unwrap_or(all), name), value))
}

/// Returns whether a sysctl has this value already.
///
/// A sysctl that is right is not written: for some the kernel takes a lock of all networks, and the
/// writer spins until it is free.
fn is_so(name: &Sysctl, value: &str) -> bool {
    let has = |path: &str| fs::read_to_string(path).is_ok_and(|now| now.trim_end() == value);
    let path = name.path();
    // A write to `all` of IPv6 changes `default`, too.
    has(&path) && (!path.contains("ipv6/conf/all/") || has(&path.replace("/all/", "/default/")))
}

fn set_there(node: &NodePlan, place: &Place, sysctls: Vec<(Sysctl, &str)>) -> Result<()> {
    if !sysctls.is_empty() {
        on_thread::within(place, &node.name, || set(node, sysctls.into_iter()))?;
    }
    Ok(())
}

/// Sets sysctls in the network of the calling thread. Returns what the node does without.
fn set(
    node: &NodePlan,
    sysctls: impl Iterator<Item = (Sysctl, impl AsRef<str>)>,
) -> Result<Vec<Limitation>, Failure> {
    let mut limitations = Vec::new();
    for (name, value) in sysctls.filter(|(name, value)| !is_so(name, value.as_ref())) {
        if let Err(error) = fs::write(name.path(), value.as_ref()) {
            let limitation = without(node, &name, value.as_ref(), &error);
            limitations.push(limitation.ok_or_else(|| refused(node, &name, &error))?);
        }
    }
    Ok(limitations)
}

/// Counts the interfaces of a node other than `lo`.
fn outer_interfaces(node: &NodePlan) -> usize {
    let all = node.interfaces.iter();
    all.filter(|one| one.kind != InterfaceKind::Loopback).count()
}

fn locked() -> Diagnosis {
    let cause =
        "/proc/sys is read-only here, as in many containers, and this node needs the sysctl";
    let fix = "Docker: --security-opt systempaths=unconfined --user 1000:1000\n\
               Podman: --security-opt unmask=ALL";
    Diagnosis::new("masked-proc", cause).for_good(fix)
}

/// Returns whether a part of a sysctl's name is the name of an interface.
fn names_one(name: &Sysctl, is_name: impl Fn(&str) -> bool) -> bool {
    name.parts().into_iter().any(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::topology::Topology;

    #[test]
    fn a_node_does_without_sysctls_that_it_does_not_need() {
        let mut net = Topology::new();
        let [host, router] = [net.host("host"), net.router("router")];
        net.link(host, router);
        net.link(router, host);
        let lone = net.host("lone");
        net.link(lone, router);
        let plan = net.plan().unwrap();
        let refused = io::Error::from_raw_os_error(errno::EROFS);
        let can = |node, path: &str, value: &str| {
            let node = &plan.nodes()[plan.position(node).unwrap()];
            without(node, &Sysctl::new(path), value, &refused).is_some()
        };
        assert!(can(host, "net.ipv4.ip_forward", "0"));
        assert!(!can(router, "net.ipv4.ip_forward", "1"));
        assert!(!can(router, "net.ipv6.conf.all.forwarding", "1"));
        assert!(!can(host, "net.ipv6.conf.all.disable_ipv6", "0"));
        assert!(can(host, "net.ipv6.conf.default.accept_dad", "0"));
        assert!(can(host, "net/ipv6/conf/eth0.7/keep_addr_on_down", "1"));
        assert!(!can(host, "net.ipv4.tcp_syn_retries", "1"));
        assert!(can(lone, "net.ipv4.conf.all.rp_filter", "0"));
        assert!(!can(lone, "net.ipv4.conf.all.rp_filter", "1"));
        // A node with several interfaces can only if the filter is loose.
        let is_loose = is_so(&Sysctl::new("net.ipv4.conf.all.rp_filter"), "2");
        assert_eq!(can(host, "net.ipv4.conf.all.rp_filter", "0"), is_loose);
    }
}
