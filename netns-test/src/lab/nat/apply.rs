//! Applies the rules of a node, and reads back what the kernel has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::error::Failure;
use crate::lab::nat::firewall;
use crate::lab::nat::firewall::judge::Judge;
use crate::lab::nat::forget;
use crate::lab::nat::model::{FirewallCounter, LeasedPort, NatMapping, NatProtocol};
use crate::lab::nat::ruleset::{self, Existing, TABLE};
use crate::lab::nat::sets::{self, Names, number};
use crate::lab::nat::sysctls;
use crate::lab::plan::NodePlan;
use crate::lab::topology::Transport;
use crate::netlink::conntrack::{self, FlowThere};
use crate::netlink::nft::list::{Counted, ElementThere};
use crate::netlink::nft::{Batch, Element, Nft};

/// Replaces all NATs and the firewall of a node by those of its plan, or removes them if it has
/// none. The old rules are valid until the new ones are, and one error leaves all as it was.
///
/// Mappings stay if the NAT on the same place in the plan maps as before; else they are forgotten.
/// Flows that the kernel knows keep their translation. [`flush`] forgets all of that.
pub(crate) fn apply(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    on(&node.name, || {
        let there = existing(nft)?;
        sysctls::write(Some(node), &there, false)?;
        ruleset::batch(node, &there).commit(nft)?;
        // The files exist since the rules use the kernel's table of connections.
        sysctls::write(Some(node), &there, true)?;
        match there.chains.is_empty() || ruleset::has_rules(node) {
            true => Ok(()),
            // Nothing follows these flows any more: later they would be what they were now.
            false => conntrack::flush(nft),
        }
    })
}

/// State of a running node and its network besides their plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    /// Addresses that the node has.
    pub(crate) own: Vec<IpAddr>,
    /// Open TCP connections of all nodes: client and server. One of which it is not known who
    /// opened it is in both orders.
    pub(crate) open: Vec<[SocketAddr; 2]>,
}

/// Returns whether a change of rules makes use of the [open](Running::open) connections: without
/// rules, conntrack has followed none.
pub(crate) fn learns_open([before, after]: [&NodePlan; 2]) -> bool {
    !ruleset::has_rules(before) && after.nats.is_empty() && after.firewall.is_some()
}

/// Applies the NATs and the firewall of a running node in place of those `before`. If addresses
/// and ports are translated in another way, all mappings are forgotten, else only what contradicts
/// new forwarded ports. Flows that a new firewall does not let pass end.
pub(crate) fn replace(
    nft: &mut Nft,
    [before, after]: [&NodePlan; 2],
    running: &Running,
) -> Result<(), Failure> {
    let judge = Judge::of(after, &running.own);
    if learns_open([before, after]) {
        let open = running.open.iter();
        let is_admitted = |[from, to]: &&[SocketAddr; 2]| {
            judge.as_ref().is_some_and(|judge| judge.passes(sets::TCP, *from, *to))
        };
        on(&after.name, || {
            open.filter(is_admitted).try_for_each(|ends| conntrack::add_open(nft, *ends))
        })?;
    }
    apply(nft, after)?;
    if !forget::translate_alike(&before.nats, &after.nats) {
        flush(nft, after)?;
    } else if before.nats != after.nats {
        on(&after.name, || forget::contradicting(nft, [before, after]))?;
    }
    match judge {
        Some(judge) if before.firewall != after.firewall => {
            on(&after.name, || end_denied(nft, &judge))
        }
        _ => Ok(()),
    }
}

/// Removes all rules from the network of the node `name`.
pub(crate) fn remove(nft: &mut Nft, name: &str) -> Result<(), Failure> {
    on(name, || {
        let there = existing(nft)?;
        ruleset::removal().commit(nft)?;
        sysctls::write(None, &there, false)
    })
}

/// Forgets the flows that a firewall would not let pass as it is now.
fn end_denied(nft: &mut Nft, judge: &Judge<'_>) -> Result<(), Failure> {
    // As firewalls see them: before the source and after the destination was translated.
    let passes =
        |flow: &FlowThere| judge.passes(flow.protocol, flow.original.from, flow.reply.from);
    let flows = conntrack::flows(nft)?;
    let mut denied = flows.iter().filter(|flow| !passes(flow));
    denied.try_for_each(|flow| conntrack::forget(nft, flow))
}

/// Forgets all mappings and flows of a node, as a restart of the router does. Rules and counters
/// stay.
pub(crate) fn flush(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    on(&node.name, || {
        let sets: Vec<String> = nft.sets(TABLE)?.into_iter().map(|one| one.name).collect();
        forget::all(nft, node, &sets)
    })
}

/// Replaces the ports that inside hosts have leased from the NAT of a node that serves port
/// mapping. The kernel ends each by itself.
pub(crate) fn set_leases(
    nft: &mut Nft,
    node: &NodePlan,
    leases: &[LeasedPort],
) -> Result<(), Failure> {
    let mut nats = node.nats.iter().enumerate();
    let Some((index, nat)) = nats.find(|(_, nat)| nat.port_mapping.is_some()) else {
        return Ok(());
    };
    let names = Names::of(index);
    // The address counts in a pool only; else it is that of the interface.
    let address = nat.pool.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let (mut inward, mut outward, mut leased) = (Vec::new(), Vec::<Element>::new(), Vec::new());
    for one in leases {
        let (protocol, port) = ([number(one.protocol)], one.external_port.to_be_bytes());
        let (inside, inside_port) = (one.inside.ip().octets(), one.inside.port().to_be_bytes());
        let element = Element::key(&[&protocol, &port]).expires(one.expires);
        leased.push(element.clone());
        inward.push(element.to(&[&inside, &inside_port]));
        let element = Element::key(&[&inside, &protocol, &inside_port]).expires(one.expires);
        // Of two external ports of one endpoint, the first is that of its own packets.
        if outward.iter().all(|other| other.key != element.key) {
            outward.push(element.to(&[&address.octets(), &port]));
        }
    }
    let mut batch = Batch::new(TABLE);
    let sets = [(names.leases, inward), (names.leases_back, outward), (names.leased, leased)];
    for (name, elements) in sets {
        batch.flush_set(&name);
        batch.elements(&name, &elements);
    }
    on(&node.name, || batch.commit(nft))
}

/// Lists the ports that inside hosts have leased and that have not expired.
pub(crate) fn leases(nft: &mut Nft, node: &NodePlan) -> Result<Vec<LeasedPort>, Failure> {
    let mut nats = node.nats.iter().enumerate();
    let Some((index, _)) = nats.find(|(_, nat)| nat.port_mapping.is_some()) else {
        return Ok(Vec::new());
    };
    let elements = on(&node.name, || nft.elements(TABLE, &Names::of(index).leases))?;
    Ok(elements.iter().filter_map(leased_port).collect())
}

/// Lists the mappings of all NATs of a node. A forwarded port is one of them once it is used;
/// leased ports and 1:1 addresses are none.
pub(crate) fn mappings(nft: &mut Nft, node: &NodePlan) -> Result<Vec<NatMapping>, Failure> {
    let mut found = Vec::new();
    for (index, nat) in node.nats.iter().enumerate() {
        let elements = on(&node.name, || nft.elements(TABLE, &Names::of(index).inward))?;
        found.extend(elements.iter().filter_map(|one| mapping(&nat.outside, one)));
    }
    found.sort_by_key(|one: &NatMapping| (one.protocol, one.inside, one.outside));
    Ok(found)
}

/// Lists the rules of a node's firewall and NATs that drop packets, and all rules that a user has
/// written, with their counters.
pub(crate) fn counters(nft: &mut Nft, node: &NodePlan) -> Result<Vec<FirewallCounter>, Failure> {
    let written = node.firewall.as_ref().map_or(&[][..], |wall| &wall.rules);
    let mut found: Vec<(Option<u32>, FirewallCounter)> = Vec::new();
    for one in on(&node.name, || nft.counted(TABLE))? {
        let Counted { number, packets, bytes, .. } = one;
        let is_it = |(other, counter): &&mut (Option<u32>, FirewallCounter)| {
            *other == number && (number.is_some() || counter.text == one.text)
        };
        // A rule of a user is several ones in the kernel, for families and hooks.
        if let Some((_, other)) = found.iter_mut().find(is_it) {
            other.packets += packets;
            other.bytes += bytes;
            continue;
        }
        // In the kernel, a long text is cut off.
        let rule = number.and_then(|number| written.get(number as usize));
        let text = rule.map_or(one.text, |rule| firewall::text_of(&node.name, &rule.text));
        found.push((number, FirewallCounter { text, packets, bytes }));
    }
    Ok(found.into_iter().map(|(_, counter)| counter).collect())
}

/// Lists those of the firewall only.
pub(crate) fn firewall_counters(
    nft: &mut Nft,
    node: &NodePlan,
) -> Result<Vec<FirewallCounter>, Failure> {
    let start = firewall::text_of(&node.name, "");
    Ok(counters(nft, node)?.into_iter().filter(|one| one.text.starts_with(&start)).collect())
}

/// Lists those of the NATs only.
pub(crate) fn nat_counters(
    nft: &mut Nft,
    node: &NodePlan,
) -> Result<Vec<FirewallCounter>, Failure> {
    let start = firewall::text_of(&node.name, "");
    Ok(counters(nft, node)?.into_iter().filter(|one| !one.text.starts_with(&start)).collect())
}

/// Names the node in an error of `work`.
fn on<T>(node: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    work().map_err(|failure| Failure { object: format!("{} on {node}", failure.object), ..failure })
}

fn existing(nft: &mut Nft) -> Result<Existing, Failure> {
    Ok(Existing { chains: nft.chains(TABLE)?, sets: nft.sets(TABLE)? })
}

/// Parses an element of the map of leased ports: protocol, port, to address, port.
fn leased_port(element: &ElementThere) -> Option<LeasedPort> {
    let protocol = match NatProtocol::of_number(*element.key.first()?)? {
        NatProtocol::Tcp => Transport::Tcp,
        NatProtocol::Udp => Transport::Udp,
        NatProtocol::Icmp => return None,
    };
    let external_port = u16::from_be_bytes(element.key.get(4..6)?.try_into().ok()?);
    let (inside, port) = element.data.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
    let inside = SocketAddrV4::new(Ipv4Addr::from(*inside), port);
    Some(LeasedPort { protocol, external_port, inside, expires: element.expires })
}

fn mapping(interface: &str, element: &ElementThere) -> Option<NatMapping> {
    let (protocol, outside, inside) = forget::endpoints(element)?;
    Some(NatMapping {
        interface: interface.to_owned(),
        protocol: NatProtocol::of_number(protocol)?,
        inside,
        outside,
        expires: element.expires,
        leased_by: None,
    })
}
