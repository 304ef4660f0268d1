//! The wait until every interface carries packets: the kernel takes a cable into use a moment after
//! both of its ends are up, in a worker of its own; in another one it takes new addresses of IPv6 into use.
//! Who asks for one before is answered a second later, or has no route.

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

/// The kernel needs a thousandth of it.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked at in short order: the kernel needs no longer as a rule.
const FIRST_LOOKS: usize = 20;

/// How long it is not looked at where nothing is told.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an interface that carries packets is waited for that has no link-local address: it may have none
/// for good, since somebody has taken it away, or IPv6.
const GRACE: Duration = Duration::from_millis(200);

/// An interface that is to carry packets.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    pub(crate) index: u32,
    /// What an error calls it.
    pub(crate) label: String,
    /// Whether it is left as it is where it is down, or has no carrier.
    pub(crate) may_be_down: bool,
}

/// Waits for every interface of the nodes.
pub(crate) fn wait(plan: &Plan, made: &[&Made], indexes: &Indexes) -> Result<()> {
    let mut each = made.iter().enumerate();
    each.try_for_each(|(node, made)| wait_on(made, &awaited(plan, node, indexes, |_| true)))
}

/// Those of a node that are wanted.
pub(crate) fn awaited(
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
        may_be_down: false,
    });
    awaited.collect()
}

/// Waits until interfaces of one node carry packets.
///
/// # Errors
///
/// At once for one that cannot any more: it is gone, or it is down, or has no carrier, and is not
/// [allowed](Awaited::may_be_down) to.
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

/// Waits until they do not, since the other ends are down.
pub(crate) fn wait_off(made: &Made, awaited: &[Awaited]) -> Result<()> {
    wait_until(made, |there| {
        let is_late = |own: &&Awaited| own.find(there).is_some_and(is_in_use);
        Ok(awaited.iter().find(is_late).map(|late| (late, "it carries packets")))
    })
}

/// Looks at the interfaces until none is late: a few times in a row, and then whenever the kernel tells that
/// something has changed.
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
            // What happens from now on is told: the next look comes after it.
            None => events = Some(listen(made)),
            Some(Some(events)) => events.wait(PAUSE)?,
            Some(None) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Listens in the network of a node; none where a thread may not be started, or not go there.
fn listen(made: &Made) -> Option<Events> {
    let network = made.place.network_alone().ok()?;
    on_thread::within(&network, "a network", Events::open).ok()
}

/// Why an interface that is there will not carry packets, whatever the kernel has still to do. The kernel
/// notes at once that both ends of a cable are up.
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
        // One that is on another follows that after a while.
        _ => None,
    }
}

impl Awaited {
    fn find<'a>(&self, there: &'a [Interface]) -> Option<&'a Interface> {
        there.iter().find(|one| one.index == self.index)
    }

    /// The same for one that may be down.
    pub(crate) fn if_up(self) -> Self {
        Self { may_be_down: true, ..self }
    }

    fn failure(&self, reason: &str) -> Failure {
        Failure::new("wait for", self.label.as_str(), reason)
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
