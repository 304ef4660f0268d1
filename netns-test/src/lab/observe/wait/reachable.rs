//! The wait until another node answers.

use std::io;
use std::net::IpAddr;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::addr::cidr::family;
use crate::error::{Failure, Kind, Result};
use crate::lab::observe::wait::limit::{Deadline, There, Wait};
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::observe::wait::obstacles;
use crate::lab::run::node::{Here, Node};
use crate::lab::run::spawner::Common;
use crate::lab::topology::NodeId;
use crate::sys::errno;
use crate::sys::net::ping::{Echo, Heard};

/// How long an answer is waited for before the next request: at first, and later. The first answer
/// takes much less than that; a network that is not there yet is not to be flooded.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// How long an answer is waited for from each node on the way, when all is over: the kernel sends an
/// ICMP error to the same node once a second, after the first six (`icmp_ratelimit` of icmp(7)).
const LAST: Duration = Duration::from_millis(1200);

/// No plan has a way that is longer.
const MOST_HOPS: u8 = 64;

/// Whom to wait for: a node of the lab, by its id, as a [`Node`] or by its name; or one address.
#[derive(Clone, Debug)]
pub struct Peer(Who);

#[derive(Clone, Debug)]
enum Who {
    Name(String),
    Address(IpAddr),
    Node(NodeId),
}

impl From<NodeId> for Peer {
    fn from(node: NodeId) -> Self {
        Self(Who::Node(node))
    }
}

impl From<&Node> for Peer {
    fn from(host: &Node) -> Self {
        Self(Who::Name(host.name().to_owned()))
    }
}

impl From<&str> for Peer {
    fn from(text: &str) -> Self {
        Self(text.parse().map_or_else(|_| Who::Name(text.to_owned()), Who::Address))
    }
}

impl From<&String> for Peer {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(Who::Address(address))
    }
}

impl From<std::net::Ipv4Addr> for Peer {
    fn from(address: std::net::Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<std::net::Ipv6Addr> for Peer {
    fn from(address: std::net::Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl<'lab, M: WaitMode> Wait<'lab, Node, M> {
    /// Waits until another node answers an ICMP echo request: over IPv4 and over IPv6, if it has addresses of
    /// both. The peer is a node of the lab, a node's name, or one address. A node or name means its planned
    /// addresses, without later changes.
    ///
    /// # Errors
    ///
    /// At once for a name that the lab does not have. At the limit, with the last node on the path that
    /// answers, its ICMP error, and the partitions, links and nodes that the lab knows to be in the way.
    #[track_caller]
    pub fn reachable(&self, other: impl Into<Peer>) -> M::Output<'lab, ()> {
        let peer = other.into().0;
        self.on_node(Location::caller(), move |node, deadline| answers(node, &peer, deadline))
    }
}

fn answers(node: &Node, peer: &Who, deadline: &Deadline) -> Result<()> {
    let addresses = addresses(node, peer)?;
    let here = node.here()?;
    let each = || addresses.iter().try_for_each(|to| reach(node, &here, *to, deadline));
    There::on(&here, node).run(each)
}

/// Its first address of each family.
fn addresses(host: &Node, who: &Who) -> Result<Vec<IpAddr>> {
    let name = match who {
        Who::Address(address) => return Ok(vec![*address]),
        Who::Name(name) => name,
        Who::Node(node) => &name_of(host, *node)?,
    };
    let entries = host.common.entries();
    let own = |is_v4: bool| {
        let mut all = entries.iter().filter(move |(address, _)| address.is_ipv4() == is_v4);
        all.find(|(_, known)| known == name).map(|(address, _)| *address)
    };
    let found: Vec<_> = [own(true), own(false)].into_iter().flatten().collect();
    if found.is_empty() {
        let mut known: Vec<_> = entries.iter().map(|(_, name)| name.as_str()).collect();
        known.retain(|name| !name.starts_with("localhost"));
        known.dedup();
        let failure = Failure::new(
            "wait for",
            format!("{name} to answer {}", host.name()),
            "the lab has no node of this name that has an address",
        );
        return Err(failure.advise(format!("nodes with addresses: {}", known.join(", "))).into());
    }
    Ok(found)
}

fn name_of(host: &Node, node: NodeId) -> Result<String> {
    let fabric = host.fabric();
    let known = fabric.as_ref().and_then(|fabric| Some((fabric, fabric.plan.position(node)?)));
    known.map(|(fabric, at)| fabric.plan.nodes()[at].name.clone()).ok_or_else(|| {
        let object = format!("a node to answer {}", host.name());
        Failure::new("wait for", object, "it is not in the lab: its id is of another").into()
    })
}

/// On a thread of the host.
fn reach(host: &Node, here: &Arc<Here>, to: IpAddr, deadline: &Deadline) -> Result<()> {
    let common = &host.common;
    let subject = format!("{} to answer {} over {}", named(common, to), host.name(), family(to));
    let failed = |error: io::Error| errno::failure("wait for", &subject, &error);
    let echo = Echo::open(to).map_err(failed)?;
    let [mut interval, longest] = INTERVALS;
    let mut refusal = None;
    loop {
        let is_last = deadline.is_over();
        let most = interval.min(deadline.left()).max(Duration::from_millis(1));
        interval = longest.min(interval * 2);
        match ask(&echo, None, most, |heard| matches!(heard, Heard::Answer)).map_err(failed)? {
            Ok(_) => return Ok(()),
            Err(told) => refusal = told.or(refusal),
        }
        host.must_be_still(here, &subject)?;
        if is_last {
            break;
        }
    }
    if deadline.is_stopped() {
        return Err(Failure::new("wait for", &subject, "the wait was stopped").into());
    }
    let Some((way, told)) = trace(host, &echo).map_err(failed)? else { return Ok(()) };
    let failure = Failure::new("wait for", &subject, format!("no answer {deadline}"));
    let failure = obstacles(host, to).into_iter().fold(failure, Failure::advise);
    let failure = failure.of(Kind::Timeout);
    let refusal = told.or(refusal);
    // A node that has no way on can be silent for good while it is asked every second: its refusals
    // are counted twice (ip_error and icmp_send of the kernel).
    let refuser = || refusal.as_ref()?.by.filter(|by| is_other(host, *by));
    let last = way.or_else(refuser).map(|last| named(common, last));
    let failure = failure.advise(match last {
        Some(last) => format!("last node that has answered: {last}"),
        None => "no node on the way has answered".to_owned(),
    });
    let failure = match refusal {
        Some(refusal) => failure.advise(format!("last refusal: {}", refusal.told(common))),
        None => failure,
    };
    Err(failure.into())
}

/// What the lab knows to be in the way; nothing where it cannot look.
fn obstacles(host: &Node, to: IpAddr) -> Vec<String> {
    let found = host.fabric().and_then(|fabric| {
        let at = fabric.plan.nodes().iter().position(|node| node.name == host.name())?;
        obstacles::between(&fabric, at, to).ok()
    });
    let found = found.unwrap_or_default().into_iter();
    found.map(|obstacle| format!("in the way: {obstacle}")).collect()
}

/// What a node, or this one's kernel, has said.
struct Refusal {
    by: Option<IpAddr>,
    error: io::Error,
}

impl Refusal {
    /// `home (10.0.0.1): EHOSTUNREACH (No route to host)`
    fn told(&self, common: &Common) -> String {
        let error = errno::describe(&self.error);
        self.by.map_or(error.clone(), |by| format!("{}: {error}", named(common, by)))
    }
}

/// Sends a request and listens until the time is over, or what is heard is wanted; or else the last
/// refusal.
fn ask(
    echo: &Echo,
    hops: Option<u8>,
    most: Duration,
    is_wanted: impl Fn(&Heard) -> bool,
) -> io::Result<Result<Heard, Option<Refusal>>> {
    let end = Deadline::new(most);
    let refused = |error| Refusal { by: None, error };
    let mut refusal = echo.send(hops)?.map(refused);
    while !end.is_over() {
        match echo.hear(end.left())? {
            Some(heard) if is_wanted(&heard) => return Ok(Ok(heard)),
            Some(Heard::Refusal { by, error }) => refusal = Some(Refusal { by, error }),
            Some(Heard::Answer | Heard::Hop(_)) | None => {}
        }
    }
    Ok(Err(refusal))
}

/// The last node on the way that answers, and the refusal that ends it; none if the other end does.
fn trace(host: &Node, echo: &Echo) -> io::Result<Option<(Option<IpAddr>, Option<Refusal>)>> {
    let mut last = None;
    for hops in 1..=MOST_HOPS {
        let (end, mut refusal) = (Deadline::new(LAST), None);
        let heard = loop {
            let [_, interval] = INTERVALS;
            match ask(echo, Some(hops), interval, |_| true)? {
                Ok(heard) => break Some(heard),
                Err(told) => refusal = told,
            }
            if refusal.is_some() || end.is_over() {
                break None;
            }
        };
        match heard {
            Some(Heard::Answer) => return Ok(None),
            Some(Heard::Hop(by)) => last = Some(by),
            Some(Heard::Refusal { by, error }) => {
                last = by.filter(|by| is_other(host, *by)).or(last);
                return Ok(Some((last, Some(Refusal { by, error }))));
            }
            None => return Ok(Some((last, refusal))),
        }
    }
    Ok(Some((last, None)))
}

fn is_other(host: &Node, address: IpAddr) -> bool {
    host.common.name_of(address).as_deref() != Some(host.name())
}

/// `home (10.0.0.1)`
fn named(common: &Common, address: IpAddr) -> String {
    match common.name_of(address) {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    }
}
