//! Neighbour entries for partitions of one way.
//!
//! A node that drops the packets of another one drops its neighbour advertisements and
//! solicitations (RFC 4861), too, and does not answer its ARP requests. It could send nothing to
//! the other one, and what that sends would wait for an Ethernet address, and arrive when the
//! partition has ended. So both have permanent entries for each other while the partition lasts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::addr::link_local::{is_link_local, link_local};
use crate::addr::mac::Mac;
use crate::error::Result;
use crate::lab::fabric::node::Namespaces;
use crate::netlink::neigh;

/// A permanent neighbour entry: index of the interface, IP address, Ethernet address.
pub(super) type Entry = (u32, IpAddr, [u8; 6]);

/// Returns the entries by which a node reaches another one on the segments of both.
pub(super) fn wanted(near: &Namespaces, far: &Namespaces) -> Result<BTreeSet<Entry>> {
    let interfaces = near.netlink.interfaces()?;
    let is_up = |index: u32| interfaces.iter().any(|one| one.index == index && one.is_up);
    let is_usable = |address: IpAddr| !address.is_loopback() && !is_link_local(address);
    let (near, far_interfaces) = (near.netlink.addresses()?, far.netlink.interfaces()?);
    let far = far.netlink.addresses()?;
    let mut entries = BTreeSet::new();
    // An interface that is down has no entries.
    for own in near.iter().filter(|own| is_usable(own.cidr.address()) && is_up(own.index)) {
        let is_near = |index: u32| {
            let mut there = far.iter().filter(|other| other.index == index);
            there.any(|other| own.cidr.subnet().contains(other.cidr.address()))
        };
        for interface in far_interfaces.iter().filter(|one| is_near(one.index)) {
            let octets = interface.mac.as_deref().and_then(|mac| mac.try_into().ok());
            let Some(mac) = octets.and_then(|octets| Mac::new(octets).ok()) else { continue };
            let there = far.iter().filter(|other| other.index == interface.index);
            let addresses = there.map(|other| other.cidr.address()).chain([link_local(mac)]);
            entries.extend(addresses.map(|address| (own.index, address, mac.octets())));
        }
    }
    Ok(entries)
}

/// Adds the entries of a node that are missing, and removes those that are no longer wanted. An
/// entry that another program has removed is not removed again.
pub(super) fn set(
    node: (&str, &Namespaces),
    wanted: &BTreeSet<Entry>,
    had: &BTreeSet<Entry>,
) -> Result<()> {
    let (name, here) = node;
    let object = |(_, address, _): &Entry| format!("the neighbour {address} of {name}");
    for old in had.difference(wanted) {
        let (index, address, _) = *old;
        // The interface may be gone, and its entries with it.
        drop(here.netlink.ask_all(&[neigh::remove(object(old), index, address)]));
    }
    let requests = wanted.iter().map(|new| {
        let (index, address, mac) = *new;
        neigh::set_permanent(object(new), (index, address), mac)
    });
    Ok(here.netlink.ask_all(&requests.collect::<Vec<_>>())?)
}
