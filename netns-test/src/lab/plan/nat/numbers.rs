//! From the value of a NAT to numbers: mistakes with advice. Pure.

use std::collections::HashSet;
use std::time::Duration;

use crate::lab::plan::nat::{NatPlan, NatTimeouts, port_mapping};
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::model::{Filtering, Ipv6Nat, Mapping};

/// Longest time-out: the kernel counts milliseconds in 31 bits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 3600);

/// Returns the plan of a NAT without what depends on inside nodes: blocks, 1:1 addresses and
/// forwards. Adds mistakes, each as a reason with advice.
pub(crate) fn planned(nat: &Nat, outside: &str, mistakes: &mut Vec<String>) -> NatPlan {
    let Nat {
        mapping,
        filtering,
        port_preservation,
        hairpinning,
        inbound_refresh,
        pool,
        is_paired,
        ports,
        block: _,
        udp_timeout,
        tcp_established_timeout,
        tcp_transitory_timeout,
        icmp_timeout,
        one_to_one: _,
        ipv6,
        port_mapping: _,
    } = nat;
    kind(nat, mistakes);
    let ipv6 = ipv6.clone().unwrap_or_else(|mistake| {
        mistakes.push(mistake.to_string());
        Ipv6Nat::Routed
    });
    let mut seen = HashSet::new();
    for address in pool.iter().filter(|address| !seen.insert(**address)) {
        mistakes.push(format!("its pool has {address} twice; name it once"));
    }
    if ports.is_empty() || *ports.start() == 0 {
        let (first, last) = (ports.start(), ports.end());
        mistakes.push(format!("ports {first} to {last}: give a range from 1 on, lowest first"));
    }
    let mut seconds = |what, time: &Duration| timeout(what, *time, mistakes);
    let timeouts = NatTimeouts {
        udp: seconds("UDP", udp_timeout),
        tcp_established: seconds("open TCP connections", tcp_established_timeout),
        tcp_transitory: seconds("transitory TCP connections", tcp_transitory_timeout),
        icmp: seconds("ICMP", icmp_timeout),
    };
    NatPlan {
        outside: outside.to_owned(),
        mapping: *mapping,
        filtering: *filtering,
        port_preservation: *port_preservation,
        hairpinning: *hairpinning,
        inbound_refresh: *inbound_refresh,
        pool: pool.clone(),
        is_paired: *is_paired,
        ports: ports.clone(),
        blocks: Vec::new(),
        timeouts,
        one_to_one: Vec::new(),
        one_to_one_nodes: Vec::new(),
        forwards: Vec::new(),
        ipv6,
        prefixes: Vec::new(),
        port_mapping: port_mapping::planned(nat, mistakes),
    }
}

/// Reports a mapping that is narrower than what its filtering lets in.
fn kind(nat: &Nat, mistakes: &mut Vec<String>) {
    let is_impossible = nat.mapping == Mapping::AddressAndPortDependent
        && nat.filtering == Filtering::EndpointIndependent;
    if is_impossible {
        let advice = "set address and port-dependent filtering, or another mapping";
        mistakes.push(format!(
            "address and port-dependent mapping with endpoint-independent filtering: a mapping \
             for one outside endpoint has no use for others; {advice}"
        ));
    }
}

fn timeout(what: &str, time: Duration, mistakes: &mut Vec<String>) -> u32 {
    if time.is_zero() {
        mistakes.push(format!("the time-out of {what} is 0; give at least one second"));
    } else if time.subsec_nanos() != 0 {
        mistakes.push(format!("the time-out of {what} is {time:?}; give whole seconds"));
    } else if time > LONGEST_TIMEOUT {
        let days = LONGEST_TIMEOUT.as_secs() / 86400;
        mistakes.push(format!("the time-out of {what} is {time:?}; give at most {days} days"));
    }
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
