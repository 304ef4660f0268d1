//! The wait until every interface carries packets: the kernel takes a cable into use a moment after
//! both of its ends are up, in a worker of its own.

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
        let Some(late) = places.iter().find(is_late) else { return Ok(()) };
        if Instant::now() > deadline {
            let object = name_of(plan, node, &plan.interface(*late).name);
            let reason = format!("it is up, and carries nothing after {LIMIT:?}");
            return Err(Failure::new("wait for", object, reason).into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}
