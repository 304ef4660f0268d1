//! The wait until interfaces carry packets.
//!
//! The kernel activates a veth pair in a worker thread, a moment after both ends are up, and new
//! IPv6 addresses in another one. A packet before that waits a second for the next try of a
//! neighbour request, or has no route.

use std::time::{Duration, Instant};

use crate::error::{Failure, Kind, Result};
use crate::lab::fabric::node::Made;
use crate::lab::fabric::on_thread;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::labels::name_of;
use crate::lab::plan::{InterfaceKind, InterfacePlan, Plan};
use crate::netlink::Netlink;
use crate::netlink::events::Events;
use crate::netlink::link::Interface;

/// Time limit of a wait. The kernel needs a thousandth of it.
const LIMIT: Duration = Duration::from_secs(30);

/// Number of looks before the wait listens for events: most waits end within them.
const FIRST_LOOKS: usize = 20;

/// Longest sleep between two looks without an event.
const PAUSE: Duration = Duration::from_millis(20);

/// Time that an interface with carrier has to get a link-local address. It may never get one: a
/// program may have removed it, or IPv6 may be off.
const GRACE: Duration = Duration::from_millis(200);

/// Interface that is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    pub(crate) index: u32,
    /// Name in errors: `eth0 of server`.
    pub(crate) label: String,
    /// Whether the wait skips the interface while it is down or has no carrier.
    pub(crate) may_be_down: bool,
}

/// Waits until all interfaces of all nodes carry packets.
pub(crate) fn wait(plan: &Plan, made: &[&Made], indexes: &Indexes) -> Result<()> {
    let mut each = made.iter().enumerate();
    each.try_for_each(|(node, made)| wait_on(made, &awaited(plan, node, indexes, |_| true)))
}

/// Returns the interfaces of a node that `is_wanted` accepts, for a wait.
pub(crate) fn awaited(
    plan: &Plan,
    node: usize,
    indexes: &Indexes,
    is_wanted: impl Fn(&InterfacePlan) -> bool,
) -> Vec<Awaited> {
    let all = plan.nodes()[node].interfaces.iter().enumerate();
    // A bridge without ports never has a carrier.
    let is_bridge = |one: &InterfacePlan| matches!(one.kind, InterfaceKind::Bridge { .. });
    let wanted = all.filter(|(_, one)| !is_bridge(one) && is_wanted(one));
    let awaited = wanted.map(|(at, one)| Awaited {
        index: indexes.at(node, at),
        label: name_of(plan, node, &one.name),
        may_be_down: false,
    });
    awaited.collect()
}

/// Waits until interfaces of one node carry packets.
///
/// # Errors
///
/// At once if an interface is gone, or if it is down or has no carrier and is not
/// [allowed](Awaited::may_be_down) to be.
pub(crate) fn wait_on(made: &Made, awaited: &[Awaited]) -> Result<()> {
    let start = Instant::now();
    let late = |there: &[Interface]| {
        let (mut not_in_use, mut in_use) = (None, Vec::new());
        for own in awaited {
            let found = own.find(there);
            let one = found.ok_or_else(|| own.failure("it is not there any more"))?;
            match why_never(one, there) {
                Some(_) if own.may_be_down => {}
                Some(why) => return Err(own.failure(why).into()),
                None if is_in_use(one) => in_use.push((own, one)),
                None => not_in_use = not_in_use.or(Some(own)),
            }
        }
        Ok(match not_in_use {
            Some(late) => Some((late, "it is up, and carries nothing")),
            None => deaf(&made.netlink, &in_use, start)?
                .map(|late| (late, "an IPv6 address of it is not usable yet")),
        })
    };
    wait_until(made, late)
}

/// Waits until no interface carries packets, since the other ends are down.
pub(crate) fn wait_off(made: &Made, awaited: &[Awaited]) -> Result<()> {
    wait_until(made, |there| {
        let is_late = |own: &&Awaited| own.find(there).is_some_and(is_in_use);
        Ok(awaited.iter().find(is_late).map(|late| (late, "it carries packets")))
    })
}

/// Looks at the interfaces until none is late: a few times in a row, then after each event of the
/// kernel.
fn wait_until<'a>(
    made: &Made,
    late: impl Fn(&[Interface]) -> Result<Option<(&'a Awaited, &'static str)>>,
) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let (mut looks, mut events) = (0, None);
    loop {
        let Some((late, reason)) = late(&made.netlink.interfaces()?)? else { return Ok(()) };
        if Instant::now() > deadline {
            let why = format!("{reason} after {LIMIT:?}");
            return Err(late.failure(&why).of(Kind::Timeout).into());
        }
        looks += 1;
        match &events {
            None if looks < FIRST_LOOKS => std::thread::sleep(Duration::from_micros(50)),
            // Events are recorded from now on, so that the next look misses none.
            None => events = Some(listen(made)),
            Some(Some(events)) => events.wait(PAUSE)?,
            Some(None) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Listens for events in the network of a node. Returns none if a thread is refused there.
fn listen(made: &Made) -> Option<Events> {
    let network = made.place.network_alone().ok()?;
    on_thread::within(&network, "a network", Events::open).ok()
}

/// Returns the reason why an interface will not carry packets, however long the wait. The kernel
/// sets the carrier of both ends at once when the second one comes up.
fn why_never(one: &Interface, there: &[Interface]) -> Option<&'static str> {
    let is_on_another = matches!(one.kind.as_deref(), Some("vlan" | "macvlan"));
    let lower = one.lower.filter(|_| is_on_another);
    let lower = lower.and_then(|lower| there.iter().find(|other| other.index == lower));
    match lower {
        _ if !one.is_up => Some("it is down"),
        Some(lower) if why_never(lower, there).is_some() => {
            Some("the interface that it is on carries nothing")
        }
        None if !one.has_carrier => Some("it has no carrier: the other end is down"),
        // A VLAN or a macvlan follows its lower interface with a delay.
        _ => None,
    }
}

impl Awaited {
    fn find<'a>(&self, there: &'a [Interface]) -> Option<&'a Interface> {
        there.iter().find(|one| one.index == self.index)
    }

    /// Returns the same wait, which skips the interface while it is down.
    pub(crate) fn if_up(self) -> Self {
        Self { may_be_down: true, ..self }
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::new("wait for", self.label.as_str(), reason)
    }
}

/// Returns whether the kernel has activated an interface. For a veth end that is its operational
/// state (`IF_OPER_UP` of RFC 2863).
fn is_in_use(one: &Interface) -> bool {
    if one.kind.as_deref() == Some("veth") { one.says_running } else { one.is_running }
}

/// Returns an interface with an IPv6 address that is not usable yet. A link-local address appears
/// only once the interface has a carrier. An interface without neighbour discovery, such as `lo`,
/// has none, but gets local routes as late as others.
fn deaf<'a>(
    netlink: &Netlink,
    all: &[(&'a Awaited, &Interface)],
    start: Instant,
) -> Result<Option<&'a Awaited>> {
    if all.is_empty() {
        return Ok(None);
    }
    let found = netlink.settled()?;
    let may_come = found.has_ipv6 && start.elapsed() < GRACE;
    let is_late = |own: &Awaited, one: &Interface| {
        let has_link_local = found.link_local.contains(&own.index);
        found.late.contains(&own.index) || may_come && one.is_asked && !has_link_local
    };
    Ok(all.iter().find(|(own, one)| is_late(own, one)).map(|(late, _)| *late))
}
