//! Applies the rules of a node, and reads back what the kernel has.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::error::Failure;
use crate::lab::nat::model::{FirewallCounter, NatMapping, NatProtocol};
use crate::lab::nat::ruleset::{self, Existing, TABLE};
use crate::lab::nat::sets::Names;
use crate::lab::nat::timeouts;
use crate::lab::plan::NodePlan;
use crate::netlink::conntrack;
use crate::netlink::nft::list::ElementThere;
use crate::netlink::nft::{Batch, Nft};

pub(super) fn apply(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    let of_node = |failure: Failure| Failure {
        object: format!("{} on {}", failure.object, node.name),
        ..failure
    };
    let there = existing(nft).map_err(of_node)?;
    ruleset::batch(node, &there).commit(nft).map_err(of_node)?;
    // The files exist since the rules use the kernel's table of connections.
    timeouts::write(node)
}

pub(super) fn flush(nft: &mut Nft, node: &NodePlan) -> Result<(), Failure> {
    let there = existing(nft)?;
    let is_there = |name: &String| there.sets.iter().any(|set| set.name == *name);
    let mut batch = Batch::new(TABLE);
    let names = (0..node.nats.len()).flat_map(|index| Names::of(index).dynamic());
    names.filter(is_there).for_each(|name| batch.flush_set(&name));
    batch.commit(nft)?;
    conntrack::flush(nft)
}

pub(super) fn mappings(nft: &mut Nft, node: &NodePlan) -> Result<Vec<NatMapping>, Failure> {
    let mut found = Vec::new();
    for (index, nat) in node.nats.iter().enumerate() {
        let elements = nft.elements(TABLE, &Names::of(index).inward)?;
        found.extend(elements.iter().filter_map(|one| mapping(&nat.outside, one)));
    }
    found.sort_by_key(|one: &NatMapping| (one.protocol, one.inside, one.outside));
    Ok(found)
}

pub(super) fn counters(nft: &mut Nft, node: &NodePlan) -> Result<Vec<FirewallCounter>, Failure> {
    let _ = node;
    let mut found: Vec<FirewallCounter> = Vec::new();
    for one in nft.counted(TABLE)? {
        // A rule of a user is several ones in the kernel, for families and hooks.
        match found.iter_mut().find(|other| other.text == one.text) {
            Some(other) => {
                other.packets += one.packets;
                other.bytes += one.bytes;
            }
            None => {
                let (packets, bytes) = (one.packets, one.bytes);
                found.push(FirewallCounter { text: one.text, packets, bytes });
            }
        }
    }
    Ok(found)
}

fn existing(nft: &mut Nft) -> Result<Existing, Failure> {
    Ok(Existing { chains: nft.chains(TABLE)?, sets: nft.sets(TABLE)? })
}

/// Parses an element of the map of external endpoints: address, protocol, port, to address, port.
fn mapping(interface: &str, element: &ElementThere) -> Option<NatMapping> {
    let (address, rest) = element.key.split_first_chunk::<4>()?;
    let protocol = NatProtocol::of_number(*rest.first()?)?;
    let port = rest.get(4..6)?;
    let (inside, inside_port) = element.data.split_first_chunk::<4>()?;
    let endpoint = |address: [u8; 4], port: &[u8]| {
        let port = u16::from_be_bytes([*port.first()?, *port.get(1)?]);
        Some(SocketAddrV4::new(Ipv4Addr::from(address), port))
    };
    Some(NatMapping {
        interface: interface.to_owned(),
        protocol,
        inside: endpoint(*inside, inside_port)?,
        outside: endpoint(*address, port)?,
        expires: element.expires,
    })
}
