//! The wait until every interface carries packets: the kernel takes a cable into use a moment after
//! both of its ends are up, in a worker of its own; in another one it takes new addresses of IPv6 into use.
//! Who asks for one before is answered a second later, or has no route.

use std::time::{Duration, Instant};

use super::{Indexes, Made, name_of};
use crate::error::{Failure, Result};
use crate::lab::plan::{InterfaceKind, InterfacePlan, Plan};
use crate::netlink::Netlink;
use crate::netlink::state::Interface;

/// The kernel needs a thousandth of it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long an interface that carries packets is waited for that has no link-local address: it may have none
/// for good, since somebody has taken it away, or IPv6.
const GRACE: Duration = Duration::from_millis(200);

/// An interface that is to carry packets.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Awaited {
    pub(in crate::lab) index: u32,
    /// What an error calls it.
    pub(in crate::lab) label: String,
}

/// Waits for every interface of the nodes.
pub(super) fn wait(plan: &Plan, made: &[&Made], indexes: &Indexes) -> Result<()> {
    let mut each = made.iter().enumerate();
    each.try_for_each(|(node, made)| {
        wait_on(&made.netlink, &awaited(plan, node, indexes, |_| true))
    })
}

/// Those of a node that are wanted.
pub(in crate::lab) fn awaited(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    is_wanted: impl Fn(&InterfacePlan) -> bool,
) -> Vec<Awaited> {
    let all = plan.nodes()[node].interfaces.iter().enumerate();
    // A bridge without ports carries nothing, for good.
    let is_bridge = |one: &InterfacePlan| matches!(one.kind, InterfaceKind::Bridge { .. });
    let wanted = all.filter(|(_, one)| !is_bridge(one) && is_wanted(one));
    let awaited = wanted.map(|(at, one)| Awaited {
        index: indexes.at(node, at),
        label: name_of(plan, node, &one.name),
    });
    awaited.collect()
}

/// Waits until interfaces of one node carry packets.
pub(in crate::lab) fn wait_on(netlink: &Netlink, awaited: &[Awaited]) -> Result<()> {
    let start = Instant::now();
    let late = |there: &[Interface]| {
        if let Some(gone) = awaited.iter().find(|own| own.find(there).is_none()) {
            let why = "it is not there any more";
            return Err(Failure::new("wait for", gone.label.as_str(), why).into());
        }
        let (mut not_in_use, mut in_use) = (awaited.iter(), Vec::new());
        let not_in_use = not_in_use.find(|own| match own.find(there) {
            Some(one) if is_in_use(one) => {
                in_use.push((*own, one));
                false
            }
            _ => true,
        });
        Ok(match not_in_use {
            Some(late) => Some((late, "it is up, and carries nothing")),
            None => deaf(netlink, &in_use, start)?
                .map(|late| (late, "an IPv6 address of it is not usable yet")),
        })
    };
    wait_until(netlink, late)
}

/// Waits until they do not, since the other ends are down.
pub(in crate::lab) fn wait_off(netlink: &Netlink, awaited: &[Awaited]) -> Result<()> {
    wait_until(netlink, |there| {
        let is_late = |own: &&Awaited| own.find(there).is_some_and(is_in_use);
        Ok(awaited.iter().find(is_late).map(|late| (late, "it carries packets")))
    })
}

/// Looks at the interfaces until none is late.
fn wait_until<'a>(
    netlink: &Netlink,
    late: impl Fn(&[Interface]) -> Result<Option<(&'a Awaited, &'static str)>>,
) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let Some((late, reason)) = late(&netlink.interfaces()?)? else { return Ok(()) };
        if Instant::now() > deadline {
            let reason = format!("{reason} after {LIMIT:?}");
            return Err(Failure::new("wait for", late.label.as_str(), reason).into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

impl Awaited {
    fn find<'a>(&self, there: &'a [Interface]) -> Option<&'a Interface> {
        there.iter().find(|one| one.index == self.index)
    }
}

/// A cable that says nothing yet is not in use.
fn is_in_use(one: &Interface) -> bool {
    if one.kind.as_deref() == Some("veth") { one.says_running } else { one.is_running }
}

/// One with an address of IPv6 that cannot be used yet, also a link-local one: these come once the
/// interface carries packets.
fn deaf<'a>(
    netlink: &Netlink,
    all: &[(&'a Awaited, &Interface)],
    start: Instant,
) -> Result<Option<&'a Awaited>> {
    // On others nobody asks.
    let mut asked = all.iter().filter(|(_, one)| one.is_asked).peekable();
    if asked.peek().is_none() {
        return Ok(None);
    }
    let found = netlink.settled()?;
    let may_come = found.has_ipv6 && start.elapsed() < GRACE;
    let is_late =
        |index: u32| found.late.contains(&index) || may_come && !found.link_local.contains(&index);
    Ok(asked.find(|(own, _)| is_late(own.index)).map(|(late, _)| *late))
}
