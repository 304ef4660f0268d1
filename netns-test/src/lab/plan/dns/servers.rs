//! Name servers of a plan as data. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::lab::plan::dns::record::{FaultPlan, RecordPlan};
use crate::lab::topology::dns::name;

/// Address of the server that is on every node, on its interface `lo`.
pub(crate) const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// All name servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DnsPlan {
    pub(crate) servers: Vec<ServerPlan>,
    /// Servers that each node asks, as positions, in its order.
    pub(crate) used: Vec<Vec<usize>>,
    /// Consequences of the nodes.
    pub(crate) derived: Derived,
}

/// A name server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerPlan {
    /// Node that it is on; none for all that have no server of their own.
    pub(crate) node: Option<usize>,
    /// Name of the server for records NS and SOA.
    pub(crate) host: String,
    pub(crate) zones: Vec<String>,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) faults: Vec<FaultPlan>,
    pub(crate) search: Vec<String>,
    pub(crate) is_authoritative: bool,
    /// Seconds.
    pub(crate) negative_ttl: u32,
}

impl ServerPlan {
    /// Returns whether the server can have records of a name.
    pub(crate) fn has_zone_of(&self, name: &str) -> bool {
        has_zone_of((&self.zones, self.is_authoritative), name)
    }
}

/// Returns whether a server with these zones, which may be authoritative only, can have records of
/// a name.
pub(crate) fn has_zone_of((zones, is_authoritative): (&[String], bool), name: &str) -> bool {
    !is_authoritative || zones.iter().any(|zone| name::is_in(name, zone))
}

impl DnsPlan {
    /// Returns the server that is everywhere, if there is one.
    pub(crate) fn everywhere(&self) -> Option<usize> {
        self.servers.iter().position(|server| server.node.is_none())
    }

    /// Returns the server of a node, which listens in its network.
    pub(crate) fn on(&self, node: usize) -> Option<usize> {
        let own = self.servers.iter().position(|server| server.node == Some(node));
        own.or_else(|| self.everywhere())
    }
}

/// Consequences of the nodes for name servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Derived {
    /// Groups of nodes that see the same addresses: of each, the addresses of all nodes.
    pub(crate) groups: Vec<Vec<Vec<IpAddr>>>,
    /// Group of each node.
    pub(crate) of: Vec<usize>,
    /// Names of all nodes.
    pub(crate) names: Vec<String>,
    /// Of each server: the nodes by the addresses from which they ask.
    pub(crate) askers: Vec<BTreeMap<IpAddr, usize>>,
    /// Of each node: the addresses of the servers that it uses.
    pub(crate) resolvers: Vec<Vec<IpAddr>>,
    /// Of each node that uses one: the content of `/etc/hosts`.
    pub(crate) hosts: Vec<Option<String>>,
}

impl Derived {
    /// Returns the addresses at which a client reaches a node. The client is none if it is of no
    /// node.
    pub(crate) fn addresses(&self, client: usize, node: usize) -> &[IpAddr] {
        self.groups.get(self.group(Some(client))).map_or(&[], |group| &group[node])
    }

    /// Returns the group of a client; that of the outermost network if it is of no node.
    pub(crate) fn group(&self, client: Option<usize>) -> usize {
        client.and_then(|client| self.of.get(client)).copied().unwrap_or(0)
    }

    /// Returns the node that asks a server from an address.
    pub(crate) fn asker(&self, server: usize, from: IpAddr) -> Option<usize> {
        self.askers.get(server)?.get(&from).copied()
    }

    /// Returns the addresses of the servers that a node uses.
    pub(crate) fn servers_of(&self, node: usize) -> &[IpAddr] {
        self.resolvers.get(node).map_or(&[], Vec::as_slice)
    }

    /// Returns the content of `/etc/hosts` of a node that uses a server.
    pub(crate) fn hosts_of(&self, node: usize) -> Option<&str> {
        self.hosts.get(node)?.as_deref()
    }
}
