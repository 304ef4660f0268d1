//! The sysctls of nodes, where `/proc/sys` may be read-only: what is so already is not written, and without
//! some a node can do.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Diagnosis, Failure, Result};
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::on_thread;
use crate::lab::plan::{InterfaceKind, NodePlan};
use crate::lab::topology::NodeKind;
use crate::sys::net::devconf;
use crate::sys::ns::ns_set::Place;
use crate::sys::{errno, fds};

/// What every node has: IPv6 also where the machine has turned it off, link-local addresses that are
/// usable at once, and addresses that stay when a program takes an interface down and up again.
const COMMON: [(&str, &str, &str); 3] = [
    ("all", "disable_ipv6", "0"),
    ("default", "accept_dad", "0"),
    ("all", "keep_addr_on_down", "1"),
];

/// A machine that forwards hands that on to new namespaces.
const NO_FORWARDING: (&str, &str) = ("net/ipv4/ip_forward", "0");

/// Sets those of a node, which is not the caller's own, but for those of interfaces that are not there
/// yet, in the network of the calling thread. Gives what it does without.
pub(crate) fn set_up(node: &NodePlan) -> Result<Vec<Limitation>, Failure> {
    let mut limitations: Vec<_> = restore_defaults().into_iter().collect();
    limitations.extend(write_common(node, None)?);
    let is_host = node.kind == NodeKind::Host;
    let (path, value) = NO_FORWARDING;
    let own = is_host.then(|| (path.to_owned(), value)).into_iter();
    limitations.extend(set(node, own.chain(sysctls_of(node, false)))?);
    Ok(limitations)
}

/// Writes the kernel's own settings of interfaces where the machine has handed on others.
fn restore_defaults() -> Option<Limitation> {
    // Without a `/proc` nothing of it can be written, which the next steps tell.
    let proc = fds::open_place(Path::new("/proc")).ok()?;
    let refused = devconf::restore(&proc).err()?;
    let why = errno::describe(&refused.error);
    Some(Limitation::new(
        "settings of interfaces on",
        format!("are the machine's: write {}: {why}", refused.path()),
    ))
}

/// Sets what every node has, in the network of the calling thread: for all interfaces, or for one.
pub(crate) fn write_common(
    node: &NodePlan,
    interface: Option<&str>,
) -> Result<Vec<Limitation>, Failure> {
    // A kernel without IPv6 has no such file.
    let there = common(interface).filter(|(path, _)| fs::exists(below(path)).unwrap_or(true));
    set(node, there)
}

/// What the caller's own network will do without, if it is that of the calling thread.
pub(crate) fn lacking(node: &NodePlan) -> Vec<Limitation> {
    let wanted = common(None).map(|(path, value)| (path, value as &str));
    let wanted = wanted.chain(sysctls_of(node, false));
    let lacking = wanted.filter(|(path, value)| !is_so(path, value)).filter_map(|(path, value)| {
        let open = fs::OpenOptions::new().write(true).open(below(&path));
        open.err().and_then(|error| without(node, &path, value, &error))
    });
    lacking.collect()
}

/// Sets those sysctls of a node that name one of these interfaces, which are there now.
pub(crate) fn set_of_interfaces(node: &NodePlan, place: &Place, interfaces: &[&str]) -> Result<()> {
    let all = sysctls_of(node, true);
    let wanted: Vec<_> =
        all.filter(|(path, _)| names_one(path, |part| interfaces.contains(&part))).collect();
    set_there(node, place, wanted)
}

/// Sets these sysctls of a node.
pub(crate) fn set_sysctls(
    node: &NodePlan,
    place: &Place,
    sysctls: &[(String, String)],
) -> Result<()> {
    let all = sysctls.iter().map(|(name, value)| (path_of(name), value.as_str()));
    set_there(node, place, all.collect())
}

/// The plan's own of a node, as paths below `/proc/sys`.
pub(crate) fn sysctls_of(
    node: &NodePlan,
    of_interfaces: bool,
) -> impl Iterator<Item = (String, &str)> {
    let all = node.sysctls.iter().map(|(name, value)| (path_of(name), value.as_str()));
    let is_name = |part: &str| node.interfaces.iter().any(|interface| interface.name == part);
    all.filter(move |(path, _)| names_one(path, is_name) == of_interfaces)
}

/// What the refusal of a sysctl means for a node, if it can do without.
pub(crate) fn without(
    node: &NodePlan,
    path: &str,
    value: &str,
    error: &io::Error,
) -> Option<Limitation> {
    let (before, after) = match path.strip_prefix("net/")?.split('/').collect::<Vec<_>>()[..] {
        ["ipv4", "ip_forward"] if value == "0" => ("IPv4 is forwarded by", "as by the machine"),
        // A loose filter lets in what can be answered, and so does any where there is but one way.
        ["ipv4", "conf", "all" | "default", "rp_filter"]
            if value == "0" && (cables(node) < 2 || is_so(path, "2")) =>
        {
            ("packets are filtered by their sources on", "as on the machine")
        }
        ["ipv6", "conf", _, "accept_dad"] if value == "0" => {
            ("link-local addresses of", "take a second to be usable")
        }
        ["ipv6", "conf", _, "keep_addr_on_down"] if value == "1" => {
            ("IPv6 addresses of", "go when a program takes the interface down")
        }
        _ => return None,
    };
    let why = errno::describe(error);
    Some(Limitation::new(before, format!("{after}: write {}: {why}", below(path))))
}

pub(crate) fn refused(node: &NodePlan, path: &str, error: &io::Error) -> Failure {
    let failure = errno::failure("write", format!("{} of {}", below(path), node.name), error);
    let is_locked = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    Failure { diagnosis: is_locked.then(|| Box::new(locked())), ..failure }
}

/// `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same (sysctl(8)).
pub(crate) fn path_of(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { name.replace('.', "/") }
}

pub(crate) fn below(path: &str) -> String {
    format!("/proc/sys/{path}")
}

fn common(interface: Option<&str>) -> impl Iterator<Item = (String, &'static str)> {
    COMMON.into_iter().map(move |(all, name, value)| {
        (format!("net/ipv6/conf/{}/{name}", interface.unwrap_or(all)), value)
    })
}

/// Whether a sysctl has this value already.
///
/// To write it all the same is no way to be sure: the kernel takes its lock on all networks for some, and
/// has the writer spin until that is free.
fn is_so(path: &str, value: &str) -> bool {
    let has = |path: &str| fs::read_to_string(below(path)).is_ok_and(|now| now.trim_end() == value);
    // Of IPv6, what is written for all is for those to come, too.
    has(path) && (!path.contains("ipv6/conf/all/") || has(&path.replace("/all/", "/default/")))
}

fn set_there(node: &NodePlan, place: &Place, sysctls: Vec<(String, &str)>) -> Result<()> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let label = format!("the network of {}", node.name);
    on_thread::within(place, &label, || set(node, sysctls.into_iter()))?;
    Ok(())
}

/// Sets sysctls in the network of the calling thread. Gives what the node does without.
fn set(
    node: &NodePlan,
    sysctls: impl Iterator<Item = (String, impl AsRef<str>)>,
) -> Result<Vec<Limitation>, Failure> {
    let mut limitations = Vec::new();
    for (path, value) in sysctls.filter(|(path, value)| !is_so(path, value.as_ref())) {
        if let Err(error) = fs::write(below(&path), value.as_ref()) {
            let limitation = without(node, &path, value.as_ref(), &error);
            limitations.push(limitation.ok_or_else(|| refused(node, &path, &error))?);
        }
    }
    Ok(limitations)
}

/// How many interfaces a node has that lead elsewhere.
fn cables(node: &NodePlan) -> usize {
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

/// Whether a part of the path is the name of an interface.
fn names_one(path: &str, is_name: impl Fn(&str) -> bool) -> bool {
    path.split('/').any(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::topology::Topology;

    #[test]
    fn what_nodes_can_do_without() {
        let mut net = Topology::new();
        let [host, router] = [net.host("host"), net.router("router")];
        net.link(host, router);
        net.link(router, host);
        let lone = net.host("lone");
        net.link(lone, router);
        let plan = net.plan().unwrap();
        let refused = io::Error::from_raw_os_error(30);
        let can = |node, path: &str, value: &str| {
            let node = &plan.nodes()[plan.position(node).unwrap()];
            without(node, &path_of(path), value, &refused).is_some()
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
        // Those with several interfaces only where the filter is loose.
        let is_loose = is_so("net/ipv4/conf/all/rp_filter", "2");
        assert_eq!(can(host, "net.ipv4.conf.all.rp_filter", "0"), is_loose);
    }
}
