//! Port mapping of a NAT, checked and as numbers. Pure.

use std::fmt;

use crate::lab::topology::PortMappingProtocol;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::port_mapping::{PortMapping, PortMappingFault, text};

/// Port mapping that the router of a NAT serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortMappingPlan {
    /// Protocols; at least one.
    pub protocols: Vec<PortMappingProtocol>,
    /// Longest lease of PCP and NAT-PMP in seconds.
    pub longest_lease: u32,
    /// Fault of the server.
    pub fault: Option<PortMappingFault>,
}

impl PortMappingPlan {
    /// Returns whether a protocol is served.
    pub(crate) fn serves(&self, protocol: PortMappingProtocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

/// Writes `port mapping by PCP and UPnP`.
impl fmt::Display for PortMappingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.protocols, self.longest_lease.into(), self.fault))
    }
}

/// Returns the plan of the port mapping of a NAT. Adds mistakes, each as a reason with advice.
pub(crate) fn planned(nat: &Nat, mistakes: &mut Vec<String>) -> Option<PortMappingPlan> {
    let declared = nat.port_mapping.as_ref()?;
    let PortMapping { longest_lease, fault, .. } = declared;
    let protocols = declared.served();
    if protocols.is_empty() {
        mistakes.push("port mapping without a protocol; add `pcp`, `nat_pmp` or `upnp`".to_owned());
    }
    let knows_one = |one: &&PortMappingProtocol| **one != PortMappingProtocol::Pcp;
    if let Some(protocol) = protocols.iter().find(knows_one).filter(|_| nat.pool.len() > 1) {
        mistakes.push(format!(
            "{protocol} reports one external address to hosts, and the pool has {}; serve PCP alone, or \
             give the pool one address",
            nat.pool.len()
        ));
    }
    let is_whole = longest_lease.subsec_nanos() == 0 && !longest_lease.is_zero();
    let seconds = u32::try_from(longest_lease.as_secs()).ok().filter(|_| is_whole);
    if seconds.is_none() {
        mistakes.push(format!(
            "the longest lease is {longest_lease:?}; give whole seconds, from 1 to {}",
            u32::MAX
        ));
    }
    Some(PortMappingPlan { protocols, longest_lease: seconds.unwrap_or(1), fault: *fault })
}
