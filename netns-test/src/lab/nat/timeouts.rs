//! Time-outs of flows in the kernel's table of connections: those of the node's NATs, so that a
//! mapping and its flows expire at the same time.

use std::fs;

use crate::addr::sysctl::Sysctl;
use crate::error::Failure;
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::NatTimeouts;
use crate::sys::errno;

/// States of a TCP connection that is being opened or closed.
const TRANSITORY: [&str; 8] = [
    "syn_sent",
    "syn_recv",
    "fin_wait",
    "close_wait",
    "last_ack",
    "time_wait",
    "max_retrans",
    "unacknowledged",
];

/// The kernel's time-out after a reset, in seconds.
const CLOSE: u32 = 10;

/// Writes the sysctls in the network of the calling thread.
pub(super) fn write(node: &NodePlan) -> Result<(), Failure> {
    for (name, value) in of(node) {
        let name = Sysctl::new(&format!("net.netfilter.nf_conntrack_{name}"));
        let (path, value) = (name.path(), value.to_string());
        if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
            continue;
        }
        fs::write(&path, &value)
            .map_err(|error| errno::failure("write", format!("{name} of {}", node.name), &error))?;
    }
    Ok(())
}

/// Returns names and seconds. The longest of several NATs counts.
fn of(node: &NodePlan) -> Vec<(String, u32)> {
    let longest = |of: fn(&NatTimeouts) -> u32| {
        node.nats.iter().map(|nat| of(&nat.timeouts)).max().unwrap_or(0)
    };
    if node.nats.is_empty() {
        return Vec::new();
    }
    let (udp, icmp) = (longest(|one| one.udp), longest(|one| one.icmp));
    let transitory = longest(|one| one.tcp_transitory);
    let mut all = vec![
        ("udp_timeout".to_owned(), udp),
        ("udp_timeout_stream".to_owned(), udp),
        ("icmp_timeout".to_owned(), icmp),
        ("tcp_timeout_established".to_owned(), longest(|one| one.tcp_established)),
        ("tcp_timeout_close".to_owned(), transitory.min(CLOSE)),
    ];
    all.extend(TRANSITORY.map(|state| (format!("tcp_timeout_{state}"), transitory)));
    all
}
