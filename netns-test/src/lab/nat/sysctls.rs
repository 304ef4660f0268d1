//! Sysctls of the kernel's table of connections: time-outs are those of the node's NATs, so that a
//! mapping and its flows expire at the same time, and a flow of TCP begins by a SYN only.

use std::fs;
use std::io::ErrorKind;

use crate::addr::sysctl::Sysctl;
use crate::error::Failure;
use crate::lab::nat::ruleset::{Existing, has_rules};
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::NatTimeouts;
use crate::sys::errno;

/// States of a TCP connection that is being opened or closed, with the kernel's time-outs in
/// seconds (`nf_conntrack_proto_tcp.c`).
const TRANSITORY: [(&str, u32); 8] = [
    ("syn_sent", 120),
    ("syn_recv", 60),
    ("fin_wait", 120),
    ("close_wait", 60),
    ("last_ack", 30),
    ("time_wait", 120),
    ("max_retrans", 300),
    ("unacknowledged", 300),
];

/// The kernel's time-out after a reset, in seconds.
const CLOSE: u32 = 10;

/// Writes the sysctls in the network of the calling thread, for its node or for no rules. Before
/// rules use conntrack the kernel may not have them; it is an error if they `must_be_there`.
pub(super) fn write(
    node: Option<&NodePlan>,
    there: &Existing,
    must_be_there: bool,
) -> Result<(), Failure> {
    let node = node.filter(|node| has_rules(node));
    if there.chains.is_empty() && node.is_none() {
        return Ok(());
    }
    let mut all = vec![("tcp_loose".to_owned(), u32::from(node.is_none()))];
    match node.filter(|node| !node.nats.is_empty()) {
        Some(node) => all.extend(of(node)),
        None if there.has_nat() => all.extend(defaults()),
        None => {}
    }
    for (name, value) in all {
        let name = Sysctl::new(&format!("net.netfilter.nf_conntrack_{name}"));
        let (path, value) = (name.path(), value.to_string());
        if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
            continue;
        }
        match fs::write(&path, &value) {
            Err(error) if error.kind() == ErrorKind::NotFound && !must_be_there => {}
            done => done.map_err(|error| errno::failure("write", name.to_string(), &error))?,
        }
    }
    Ok(())
}

/// Returns names and seconds. The longest of several NATs counts.
fn of(node: &NodePlan) -> Vec<(String, u32)> {
    let longest = |of: fn(&NatTimeouts) -> u32| {
        node.nats.iter().map(|nat| of(&nat.timeouts)).max().unwrap_or(0)
    };
    let (udp, icmp) = (longest(|one| one.udp), longest(|one| one.icmp));
    let transitory = longest(|one| one.tcp_transitory);
    let mut all = vec![
        ("udp_timeout".to_owned(), udp),
        ("udp_timeout_stream".to_owned(), udp),
        ("icmp_timeout".to_owned(), icmp),
        ("tcp_timeout_established".to_owned(), longest(|one| one.tcp_established)),
        ("tcp_timeout_close".to_owned(), transitory.min(CLOSE)),
    ];
    all.extend(TRANSITORY.map(|(state, _)| (format!("tcp_timeout_{state}"), transitory)));
    all
}

/// Returns names and seconds of a network without NAT.
fn defaults() -> Vec<(String, u32)> {
    const OTHERS: [(&str, u32); 5] = [
        ("udp_timeout", 30),
        ("udp_timeout_stream", 120),
        ("icmp_timeout", 30),
        ("tcp_timeout_established", 5 * 24 * 3600),
        ("tcp_timeout_close", CLOSE),
    ];
    let mut all: Vec<_> = OTHERS.map(|(name, time)| (name.to_owned(), time)).into();
    all.extend(TRANSITORY.map(|(state, time)| (format!("tcp_timeout_{state}"), time)));
    all
}
