//! The wait until every interface carries packets: the kernel takes a cable into use a moment after
//! both of its ends are up, in a worker of its own; in another one it begins to hear those who ask for a
//! new address of IPv6. Who asks before is answered a second later.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::{Indexes, Made, name_of};
use crate::error::{Failure, Result};
use crate::lab::host::Host;
use crate::lab::plan::{InterfaceKind, Place, Plan};
use crate::netlink::Netlink;
use crate::netlink::state::Interface;

/// The kernel needs a thousandth of it.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits for every interface of a node.
pub(super) fn wait(plan: &Plan, made: &[Made], indexes: &Indexes) -> Result<()> {
    for (node, made) in made.iter().enumerate() {
        let all = 0..plan.nodes()[node].interfaces.len();
        let places = all.map(|interface| Place { node, interface }).collect::<Vec<_>>();
        wait_on(plan, node, &made.netlink, indexes, &places)?;
    }
    Ok(())
}

/// Waits for these interfaces.
pub(in crate::lab) fn wait_for(
    plan: &Plan,
    hosts: &[Host],
    indexes: &Indexes,
    places: &[Place],
) -> Result<()> {
    let mut each = places.iter();
    each.try_for_each(|place| {
        wait_on(plan, place.node, hosts[place.node].netlink(), indexes, &[*place])
    })
}

/// Waits for interfaces of one node.
fn wait_on(
    plan: &Plan,
    node: usize,
    netlink: &Netlink,
    indexes: &Indexes,
    places: &[Place],
) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let there = netlink.interfaces()?;
        let carries = |place: &Place| {
            let index = indexes.at(place.node, place.interface);
            let is_cable = matches!(plan.interface(*place).kind, InterfaceKind::Veth { .. });
            let carries = |one: &Interface| {
                if is_cable { one.says_running } else { one.is_running }
            };
            there.iter().any(|one| one.index == index && carries(one))
        };
        // A bridge without ports carries nothing, for good.
        let is_late = |place: &&Place| {
            !matches!(plan.interface(**place).kind, InterfaceKind::Bridge { .. }) && !carries(place)
        };
        let late = match places.iter().find(is_late) {
            Some(late) => Some((late, "it is up, and carries nothing")),
            None => deaf(plan, netlink, indexes, places)?
                .map(|late| (late, "it does not hear who asks for its address")),
        };
        let Some((late, reason)) = late else { return Ok(()) };
        if Instant::now() > deadline {
            let object = name_of(plan, node, &plan.interface(*late).name);
            let reason = format!("{reason} after {LIMIT:?}");
            return Err(Failure::new("wait for", object, reason).into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// One that is not yet in the group of those who are asked for one of its addresses.
fn deaf<'a>(
    plan: &Plan,
    netlink: &Netlink,
    indexes: &Indexes,
    places: &'a [Place],
) -> Result<Option<&'a Place>> {
    let wanted = |place: &Place| -> Vec<(u32, Ipv6Addr)> {
        let interface = plan.interface(*place);
        // On these nobody asks.
        if matches!(interface.kind, InterfaceKind::Loopback | InterfaceKind::Dummy) {
            return Vec::new();
        }
        let index = indexes.at(place.node, place.interface);
        let all = interface.addresses.iter().map(|address| address.address());
        all.filter_map(solicited).map(|group| (index, group)).collect()
    };
    let wanted: Vec<_> = places.iter().map(|place| (place, wanted(place))).collect();
    if wanted.iter().all(|(_, groups)| groups.is_empty()) {
        return Ok(None);
    }
    let own = netlink.groups()?;
    let deaf = wanted.iter().find(|(_, groups)| !groups.iter().all(|group| own.contains(group)));
    Ok(deaf.map(|(place, _)| *place))
}

/// The group of those who might have an address (RFC 4291, 2.7.1).
fn solicited(address: IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., high, low] = address.segments();
    Some(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_an_address() {
        let group = |address: &str| solicited(address.parse().unwrap());
        assert_eq!(group("fd00::1234:5678"), Some("ff02::1:ff34:5678".parse().unwrap()));
        assert_eq!(group("10.0.0.1"), None);
    }
}
