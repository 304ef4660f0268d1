//! Mappings and flows that a node forgets. No packet comes in meanwhile, which could bring back
//! what is forgotten.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::error::Failure;
use crate::lab::nat::ruleset::{self, TABLE};
use crate::lab::nat::sets::{self, Names, OneNat};
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::netlink::conntrack::{self, FlowThere};
use crate::netlink::nft::list::ElementThere;
use crate::netlink::nft::rule::{DESTINATION_NAT, SOURCE_NAT};
use crate::netlink::nft::set::concatenated;
use crate::netlink::nft::{Batch, Nft};

/// Most attempts, where packets that had come in before bring back what was forgotten.
const ATTEMPTS: usize = 16;

/// Forgets all mappings and flows of a node, whose table has these sets.
pub(super) fn all(nft: &mut Nft, node: &NodePlan, sets: &[String]) -> Result<(), Failure> {
    let names = (0..node.nats.len()).flat_map(|index| Names::of(index).dynamic());
    let names: Vec<String> = names.filter(|name| sets.contains(name)).collect();
    if names.is_empty() {
        return conntrack::flush(nft);
    }
    let empty = |batch: &mut Batch| names.iter().for_each(|name| batch.flush_set(name));
    let mut batch = Batch::new(TABLE);
    ruleset::hold(&mut batch);
    empty(&mut batch);
    batch.commit(nft)?;
    held(nft, |nft| {
        for _ in 0..ATTEMPTS {
            conntrack::flush(nft)?;
            let mut lists = names.iter().map(|name| nft.elements(TABLE, name));
            if lists.try_fold(true, |is_empty, list| list.map(|all| is_empty && all.is_empty()))? {
                break;
            }
            let mut batch = Batch::new(TABLE);
            empty(&mut batch);
            batch.commit(nft)?;
        }
        Ok(())
    })
}

/// Forgets what contradicts the forwarded ports of `after`: mappings of other inside endpoints to
/// these ports, with their flows, and mappings that forwards of `before` have made.
pub(super) fn contradicting(nft: &mut Nft, [before, after]: [&NodePlan; 2]) -> Result<(), Failure> {
    let nats = OneNat::all(after);
    let of_nat = |one: &OneNat<'_>| {
        let old = before.nats.iter().find(|old| old.outside == one.nat.outside);
        let old = old.map_or(&[][..], |old| &old.forwards);
        old.iter().filter(|old| !one.nat.forwards.contains(old)).copied().collect()
    };
    let gone: Vec<Vec<PortForwardPlan>> = nats.iter().map(of_nat).collect();
    let (mut is_held, mut done) = (false, Ok(false));
    for _ in 0..ATTEMPTS {
        done = some_contradicting(nft, (&nats, &gone), &mut is_held);
        if !matches!(done, Ok(false)) {
            break;
        }
    }
    match is_held {
        true => held(nft, |_| done.map(drop)),
        false => done.map(drop),
    }
}

/// Forgets what contradicts now. Returns true if there is nothing.
fn some_contradicting(
    nft: &mut Nft,
    (nats, gone): (&[OneNat<'_>], &[Vec<PortForwardPlan>]),
    is_held: &mut bool,
) -> Result<bool, Failure> {
    let found = conntrack::flows(nft)?;
    let is_wrong = |flow: &&FlowThere| nats.iter().any(|nat| contradicts(nat, flow));
    let flows: Vec<&FlowThere> = found.iter().filter(is_wrong).collect();
    let mut elements = Vec::new();
    for (nat, gone) in nats.iter().zip(gone) {
        elements.extend(contradicting_elements(nft, nat, gone)?);
    }
    if flows.is_empty() && elements.is_empty() {
        return Ok(true);
    }
    if !*is_held {
        let mut batch = Batch::new(TABLE);
        ruleset::hold(&mut batch);
        batch.commit(nft)?;
        *is_held = true;
    }
    flows.iter().try_for_each(|flow| conntrack::forget(nft, flow))?;
    elements.iter().try_for_each(|(set, key)| Batch::forget_element(nft, TABLE, set, key))?;
    Ok(false)
}

/// Does `work`, and lets packets in again after it.
fn held(nft: &mut Nft, work: impl FnOnce(&mut Nft) -> Result<(), Failure>) -> Result<(), Failure> {
    let done = work(nft);
    let mut batch = Batch::new(TABLE);
    ruleset::let_go(&mut batch);
    done.and(batch.commit(nft))
}

/// Returns the elements of a NAT that contradict its forwards, and those that forwards have made
/// which are `gone`: sets and keys.
fn contradicting_elements(
    nft: &mut Nft,
    one: &OneNat<'_>,
    gone: &[PortForwardPlan],
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    let is_wrong = |protocol: u8, external: u16, inside: SocketAddrV4| {
        let is_of = |forward: &&PortForwardPlan| is_port(forward, protocol, external);
        one.nat.forwards.iter().find(is_of).is_some_and(|forward| target(forward) != inside)
            || gone.iter().filter(is_of).any(|forward| target(forward) == inside)
    };
    for element in nft.elements(TABLE, &one.names.inward)? {
        let Some((protocol, outer, inner)) = endpoints(&element) else { continue };
        if is_wrong(protocol, outer.port(), inner) {
            let address = if one.has_pool() { *outer.ip() } else { Ipv4Addr::UNSPECIFIED };
            let port = outer.port().to_be_bytes();
            let in_use = concatenated(&[&address.octets(), &[protocol], &port]);
            found.push((one.names.inward.clone(), element.key));
            found.push((one.names.ports.clone(), in_use));
        }
    }
    for element in nft.elements(TABLE, &one.names.outward)? {
        let Some((protocol, inner, outer)) = endpoints(&element) else { continue };
        if is_wrong(protocol, outer.port(), inner) {
            found.push((one.names.outward.clone(), element.key));
        }
    }
    Ok(found)
}

/// Returns whether a flow uses a forwarded port of a NAT, and another inside endpoint.
fn contradicts(one: &OneNat<'_>, flow: &FlowThere) -> bool {
    let others = one.node.nats.iter().filter(|other| other.outside != one.nat.outside);
    let of_others = others.flat_map(|other| {
        other.pool.iter().copied().chain(sets::address_of(one.node, &other.outside))
    });
    let mut of_others = of_others.chain(one.nat.one_to_one.iter().map(|(external, _)| *external));
    let mut is_of_other = |at: SocketAddr| of_others.any(|other| IpAddr::V4(other) == at.ip());
    let mut is_wrong = |outer: SocketAddr, inner: SocketAddr| {
        let of_port = |one: &&PortForwardPlan| is_port(one, flow.protocol, outer.port());
        let forward = one.nat.forwards.iter().find(of_port);
        forward.is_some_and(|one| SocketAddr::V4(target(one)) != inner) && !is_of_other(outer)
    };
    (flow.status & DESTINATION_NAT != 0 && is_wrong(flow.original.to, flow.reply.from))
        || (flow.status & SOURCE_NAT != 0 && is_wrong(flow.reply.to, flow.original.from))
}

fn is_port(forward: &PortForwardPlan, protocol: u8, external: u16) -> bool {
    (sets::number(forward.protocol), forward.external_port) == (protocol, external)
}

fn target(forward: &PortForwardPlan) -> SocketAddrV4 {
    SocketAddrV4::new(forward.to, forward.port)
}

/// Parses an element of the maps of endpoints: address, protocol, port, to address and port.
pub(super) fn endpoints(element: &ElementThere) -> Option<(u8, SocketAddrV4, SocketAddrV4)> {
    let (address, rest) = element.key.split_first_chunk::<4>()?;
    let (protocol, port) = (*rest.first()?, rest.get(4..6)?);
    let (other, other_port) = element.data.split_first_chunk::<4>()?;
    let endpoint = |address: [u8; 4], port: &[u8]| {
        let port = u16::from_be_bytes([*port.first()?, *port.get(1)?]);
        Some(SocketAddrV4::new(Ipv4Addr::from(address), port))
    };
    Some((protocol, endpoint(*address, port)?, endpoint(*other, other_port)?))
}

/// Returns whether NATs translate addresses and ports alike, apart from ports that lead to a
/// certain inside endpoint.
pub(crate) fn translate_alike(some: &[NatPlan], others: &[NatPlan]) -> bool {
    let translation =
        |nat: &NatPlan| NatPlan { forwards: Vec::new(), port_mapping: None, ..nat.clone() };
    some.iter().map(translation).eq(others.iter().map(translation))
}
