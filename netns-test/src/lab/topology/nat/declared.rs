//! Declarations of NATs, forwarded ports and firewalls as the topology stores them. Pure.

use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::Transport;

/// A declared NAT of a router.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredNat {
    /// `None` for the id of another topology.
    pub(crate) router: Option<usize>,
    pub(crate) link: Option<usize>,
    pub(crate) nat: Nat,
}

/// A declared port forward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredForward {
    pub(crate) router: Option<usize>,
    pub(crate) link: Option<usize>,
    pub(crate) protocol: Transport,
    pub(crate) external_port: u16,
    pub(crate) to: Option<usize>,
    pub(crate) to_port: u16,
}

/// A declared firewall of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredFirewall {
    pub(crate) node: Option<usize>,
    pub(crate) firewall: Firewall,
}
