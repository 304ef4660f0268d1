//! The path of a packet through the networks of a lab, over their routes, rules, interfaces and
//! settings, and what ends it. Pure.

pub(crate) mod lookup;
pub(crate) mod segment;
pub(crate) mod translate;

use std::net::{IpAddr, SocketAddr};

use crate::evidence::facts::network::{Interface, Network, Protocol};
use crate::evidence::facts::topology::LabFacts;
use crate::explain::path::lookup::{Lookup, lookup};

/// Most nodes of a path.
const HOPS: usize = 32;

/// The path of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// The source address, as it is chosen, and translated up to the end of the path.
    pub(crate) source: Option<IpAddr>,
    /// The destination at the end of the path, and the port there if one was given.
    pub(crate) to: IpAddr,
    port: Option<(Protocol, u16)>,
    /// The nodes that it passes, with the interface that it leaves by.
    pub(crate) hops: Vec<(&'a str, Option<&'a Interface>)>,
    /// Node at which it arrives, or the obstacle that ends it.
    pub(crate) end: Result<&'a str, Obstacle<'a>>,
    /// Whether all rules and settings on the way were understood.
    pub(crate) is_exact: bool,
    /// Translations on the way.
    pub(crate) crossings: Vec<Crossing<'a>>,
    /// Translations of the packet that this one answers.
    known: Vec<Crossing<'a>>,
    /// Interface of the last node by which it has come there.
    into: Option<&'a Interface>,
    /// Whether that node has translated its destination.
    has_crossed: bool,
    /// Whether all translations are known.
    is_known: bool,
}

/// Translation of an address by a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crossing<'a> {
    node: &'a str,
    /// Whether it is of the source, and not of the destination.
    is_source: bool,
    inside: IpAddr,
    external: IpAddr,
}

/// Reason for the end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle<'a> {
    /// The node has no network: it is powered off.
    Off(&'a str),
    /// The interface is down, or its other end is.
    Down {
        node: &'a str,
        interface: &'a str,
        link: Option<&'a str>,
    },
    NoRoute {
        node: &'a str,
        to: IpAddr,
    },
    /// A route or rule of the node rejects it: `blackhole default`.
    Rejected {
        node: &'a str,
        by: String,
    },
    /// The node drops packets from this source by a rule, as in a partition.
    Partition {
        node: &'a str,
        source: IpAddr,
    },
    ForwardingOff {
        node: &'a str,
        setting: String,
    },
    /// The node drops it, as its route back is over another interface.
    ReversePath {
        node: &'a str,
        interface: &'a str,
        source: IpAddr,
        setting: String,
    },
    /// No node on that interface has the address.
    NotThere {
        node: &'a str,
        interface: &'a str,
        address: IpAddr,
    },
    Loop(&'a str),
    /// The NAT of the node has neither a mapping nor a forwarded port for it.
    NotForwarded {
        node: &'a str,
        to: SocketAddr,
        protocol: Protocol,
    },
    /// The address is behind a NAT, and was sent to from outside. The node has no route to it, or
    /// is the NAT's.
    Hidden {
        node: &'a str,
        to: IpAddr,
    },
    /// The NAT of the node translates prefixes of IPv6, and the source is in none of them.
    NoExternal {
        node: &'a str,
        source: IpAddr,
    },
    /// The NAT of the node does not forward IPv6.
    Blocked(&'a str),
}

/// The networks to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map<'a> {
    pub(crate) networks: &'a [Network],
    pub(crate) lab: Option<&'a LabFacts>,
}

impl<'a> Map<'a> {
    /// Walks from a node to an address. `None` if the node is not known, or where a packet goes.
    pub(crate) fn walk(self, from: &str, source: Option<IpAddr>, to: IpAddr) -> Option<Path<'a>> {
        self.go(self.network(from)?, Path { source, ..Path::to(to) })
    }

    /// Walks from a node to a port, which a NAT may forward.
    pub(crate) fn walk_to(
        self,
        from: &str,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Option<Path<'a>> {
        let port = Some((protocol, to.port()));
        self.go(self.network(from)?, Path { port, ..Path::to(to.ip()) })
    }

    /// Walks back from the end of a path, as an answer goes.
    pub(crate) fn walk_back(self, there: &Path<'a>) -> Option<Path<'a>> {
        let from = self.network(there.end.as_ref().ok()?)?;
        let known = there.crossings.clone();
        self.go(from, Path { source: Some(there.to), known, ..Path::to(there.source?) })
    }

    fn go(self, from: &'a Network, mut path: Path<'a>) -> Option<Path<'a>> {
        let mut at = from;
        path.end = Err(Obstacle::Loop(&at.node));
        for _ in 0..HOPS {
            match self.step(at, &mut path) {
                _ if !path.is_known => return None,
                Ok(Some(next)) => at = next,
                Ok(None) => {
                    path.end = Ok(&at.node);
                    return Some(path);
                }
                Err(obstacle) => {
                    path.end = Err(obstacle);
                    return Some(path);
                }
            }
        }
        Some(path)
    }

    /// Leaves the node `at`. Returns the next node, or none if it has arrived.
    fn step(
        self,
        at: &'a Network,
        path: &mut Path<'a>,
    ) -> Result<Option<&'a Network>, Obstacle<'a>> {
        let (node, to) = (at.node.as_str(), path.to);
        if has(at, to) {
            path.hops.push((node, None));
            let lo = at.interfaces.iter().find(|one| one.name == "lo");
            let is_own = path.hops.len() == 1;
            return match lo.filter(|lo| is_own && !lo.is_up) {
                Some(lo) => Err(Obstacle::Down { node, interface: &lo.name, link: None }),
                None => Ok(None),
            };
        }
        let found = lookup(at, path.source, to);
        path.is_exact &= found.is_exact;
        let route = match found.lookup {
            Lookup::Route(route) => route,
            Lookup::Rule(rule) => {
                let by = format!("the rule \"{} {}\"", rule.selector, rule.action);
                return Err(Obstacle::Rejected { node, by });
            }
            Lookup::None => return Err(self.why_no_route(at, to, path)),
        };
        if matches!(route.kind.as_str(), "blackhole" | "unreachable" | "prohibit") {
            let by =
                format!("the route \"{} {}\"", route.kind, subnet(route.destination, route.prefix));
            return Err(Obstacle::Rejected { node, by });
        }
        let Some(out) = at.interface(route.device) else {
            path.is_exact = false;
            return Err(Obstacle::NoRoute { node, to });
        };
        path.hops.push((node, Some(out)));
        path.source = path.source.or_else(|| source(out, to));
        self.leave(at, out, path)?;
        let next_hop = route.via.unwrap_or(to);
        let down = |link| Obstacle::Down { node, interface: &out.name, link };
        if !out.is_up {
            return Err(down(self.link_of(node, &out.name)));
        }
        let next = self.owner(next_hop, (at, out));
        if !out.has_carrier {
            // The other end is down, or its node is off.
            let other = self.other_end(node, &out.name);
            return Err(match other {
                Some((other, _)) if self.network(other).is_none() => Obstacle::Off(other),
                _ => down(self.link_of(node, &out.name)),
            });
        }
        let (next, into) = next.map_err(|off| {
            off.unwrap_or(Obstacle::NotThere { node, interface: &out.name, address: next_hop })
        })?;
        self.crosses(node, &out.name, &next.node, into)?;
        self.enter(next, into, path)?;
        path.into = Some(into);
        self.arrives(next, into, path)?;
        Ok(Some(next))
    }

    /// Checks that a node takes a packet that arrives at an interface.
    fn arrives(
        self,
        at: &'a Network,
        into: &'a Interface,
        path: &mut Path<'a>,
    ) -> Result<(), Obstacle<'a>> {
        let (node, to) = (at.node.as_str(), path.to);
        if let Some(source) = path.source {
            // Rules by source are asked before the addresses of the node, in a partition.
            if let Lookup::Rule(rule) = lookup(at, Some(source), to).lookup {
                return Err(if rule.selector.contains(&source.to_string()) {
                    Obstacle::Partition { node, source }
                } else {
                    let by = format!("the rule \"{} {}\"", rule.selector, rule.action);
                    Obstacle::Rejected { node, by }
                });
            }
            reverse_path(at, into, source, path)?;
        }
        if has(at, to) {
            return Ok(());
        }
        let settings = if to.is_ipv4() {
            [format!("net/ipv4/conf/{}/forwarding", into.name), "net/ipv4/ip_forward".into()]
        } else {
            let of = |name| format!("net/ipv6/conf/{name}/forwarding");
            [of(into.name.as_str()), of("all")]
        };
        let known = settings.into_iter().find_map(|name| Some((at.setting(&name)?.trim(), name)));
        match known {
            Some(("0", setting)) => Err(Obstacle::ForwardingOff { node, setting }),
            Some(_) => Ok(()),
            None => {
                path.is_exact = false;
                Ok(())
            }
        }
    }

    /// Returns the network of a node.
    fn network(self, node: &str) -> Option<&'a Network> {
        self.networks.iter().find(|network| network.node == node)
    }

    /// Returns the node and interface that have an address, other than `asking`: of several one on
    /// the segment of its interface. If none has it, returns the node that should have it and is
    /// off.
    fn owner(
        self,
        address: IpAddr,
        (asking, out): (&Network, &Interface),
    ) -> Result<(&'a Network, &'a Interface), Option<Obstacle<'a>>> {
        let others = self.networks.iter().filter(|network| network.node != asking.node);
        let all = others.filter_map(|network| Some((network, interface(network, address)?)));
        // Behind another NAT an address may be that of another node.
        let is_here = |(network, into): &(&Network, &Interface)| {
            let places = [(asking, out), (*network, *into)];
            let [one, other] = places.map(|(of, on)| (of.node.as_str(), on.name.as_str()));
            self.share_a_realm(one, other, address.is_ipv4())
        };
        let all: Vec<_> = all.filter(is_here).collect();
        let is_near = |(network, into): &&(&'a Network, &'a Interface)| {
            self.is_on_segment((&asking.node, &out.name), (&network.node, &into.name))
        };
        if let Some(found) = all.iter().find(is_near).or(all.first()) {
            return Ok(*found);
        }
        let planned = self.lab.and_then(|lab| lab.owner_of(address));
        let planned = planned.filter(|node| self.network(&node.name).is_none());
        Err(planned.map(|node| Obstacle::Off(&node.name)))
    }
}

impl Path<'_> {
    /// Returns a path that has not begun.
    fn to(to: IpAddr) -> Self {
        Self {
            source: None,
            to,
            port: None,
            hops: Vec::new(),
            end: Err(Obstacle::Loop("")),
            is_exact: true,
            crossings: Vec::new(),
            known: Vec::new(),
            into: None,
            has_crossed: false,
            is_known: true,
        }
    }
}

/// Checks the source of a packet as `rp_filter` has it (ip-sysctl of the kernel).
fn reverse_path<'a>(
    at: &'a Network,
    into: &'a Interface,
    source: IpAddr,
    path: &mut Path<'a>,
) -> Result<(), Obstacle<'a>> {
    if source.is_ipv6() {
        return Ok(());
    }
    let value = |name: &str| {
        let setting = format!("net/ipv4/conf/{name}/rp_filter");
        let value = at.setting(&setting)?.trim().parse::<u8>().ok()?;
        Some((value, setting))
    };
    // The greater of the two applies.
    let values = [value(&into.name), value("all")];
    let Some((mode, setting)) = values.into_iter().flatten().max_by_key(|(value, _)| *value) else {
        return Ok(());
    };
    let found = lookup(at, None, source);
    path.is_exact &= found.is_exact || mode == 0;
    let is_refused = match (mode, found.lookup) {
        (0, _) => false,
        (1, Lookup::Route(route)) => route.device != into.index && route.kind == "unicast",
        (_, lookup) => !matches!(lookup, Lookup::Route(_)),
    };
    if is_refused {
        let (node, interface) = (at.node.as_str(), into.name.as_str());
        return Err(Obstacle::ReversePath { node, interface, source, setting });
    }
    Ok(())
}

/// Returns whether a node has an address.
fn has(network: &Network, address: IpAddr) -> bool {
    address.is_loopback() || interface(network, address).is_some()
}

fn interface(network: &Network, address: IpAddr) -> Option<&Interface> {
    let has = |interface: &&Interface| interface.addresses.iter().any(|one| one.address == address);
    network.interfaces.iter().find(has)
}

/// Returns the address that the kernel takes for packets that leave by an interface.
fn source(out: &Interface, to: IpAddr) -> Option<IpAddr> {
    let of_family = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
    let mut all = out.addresses.iter().map(|one| &one.address).filter(of_family);
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
        IpAddr::V4(v4) => v4.is_link_local(),
    };
    let first = all.clone().next().copied();
    all.find(|address| is_link_local(address) == is_link_local(&to)).copied().or(first)
}

/// Returns the text of a subnet, as `ip route` has it.
pub(crate) fn subnet(address: IpAddr, prefix: u8) -> String {
    if prefix == 0 { "default".to_owned() } else { format!("{address}/{prefix}") }
}
