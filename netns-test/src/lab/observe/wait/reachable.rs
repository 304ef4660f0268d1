//! Wait for another node to answer ICMP echo requests.

use std::io;
use std::net::IpAddr;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::addr::cidr::family;
use crate::error::{Failure, Kind, Result};
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::lab::observe::wait::deadline::Deadline;
use crate::lab::observe::wait::limit::Wait;
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::observe::wait::obstacles;
use crate::lab::run::node::Node;
use crate::lab::topology::NodeId;
use crate::sys::errno;
use crate::sys::net::ping::{Echo, Heard};

/// First and longest interval between requests. An answer takes much less than the first; later
/// requests are fewer, so that a network that is not up yet is not flooded.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// Time for the answer of each node on the path in the trace at the limit. After the first six ICMP
/// errors the kernel sends one a second to the same node (`icmp_ratelimit` of icmp(7)).
const LAST: Duration = Duration::from_millis(1200);

/// Longest path in a plan, in hops.
const MOST_HOPS: u8 = 64;

/// Peer of a wait: a node of the lab (its id, its [`Node`] or its name), or one address.
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
    /// Waits until another node answers an ICMP echo request: over IPv4 and over IPv6, if it has
    /// addresses of both. The peer is a node of the lab, a node's name, or one address. A node or
    /// name means its planned addresses, without later changes.
    ///
    /// # Errors
    ///
    /// At once for a name that the lab does not have. At the limit, with the last node on the path
    /// that answers, its ICMP error, and the partitions, links and nodes that the lab knows to be
    /// in the way.
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
    on_thread::within(&here.place, node.name(), each)
}

/// Returns the peer's first address of each family.
fn addresses(host: &Node, who: &Who) -> Result<Vec<IpAddr>> {
    let name = match who {
        Who::Address(address) => return Ok(vec![*address]),
        Who::Name(name) => name,
        Who::Node(node) => &name_of(host, *node)?,
    };
    let entries = host.entries();
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
    let known = fabric.plan.position(node);
    known.map(|at| fabric.plan.nodes()[at].name.clone()).ok_or_else(|| {
        let object = format!("a node to answer {}", host.name());
        Failure::new("wait for", object, "it is not in the lab: its id is of another").into()
    })
}

/// Waits until `to` answers. The calling thread is on the node.
fn reach(host: &Node, here: &Arc<Namespaces>, to: IpAddr, deadline: &Deadline) -> Result<()> {
    let subject = format!("{} to answer {} over {}", named(host, to), host.name(), family(to));
    let echo = Echo::open(to).map_err(|error| errno::failure("wait for", &subject, &error))?;
    let ended = reach_by(&echo, (host, here), (to, &subject), deadline);
    host.live().note_unroutable(echo.unroutable());
    ended
}

fn reach_by(
    echo: &Echo,
    (host, here): (&Node, &Arc<Namespaces>),
    (to, subject): (IpAddr, &str),
    deadline: &Deadline,
) -> Result<()> {
    let failed = |error: io::Error| errno::failure("wait for", subject, &error);
    let [mut interval, longest] = INTERVALS;
    let mut refusal = None;
    loop {
        let is_last = deadline.is_over();
        let most = interval.min(deadline.left()).max(Duration::from_millis(1));
        interval = longest.min(interval * 2);
        match ask(echo, None, most, |heard| matches!(heard, Heard::Answer)).map_err(failed)? {
            Ok(_) => return Ok(()),
            Err(new) => refusal = new.or(refusal),
        }
        host.must_be_still(here, subject)?;
        if is_last {
            break;
        }
    }
    if deadline.is_stopped() {
        return Err(Failure::new("wait for", subject, "the wait was stopped").into());
    }
    let failure = Failure::new("wait for", subject, format!("no answer {deadline}"));
    if deadline.kind() != Kind::Timeout {
        return Err(failure.of(deadline.kind()).into());
    }
    let Some((last, ended_by)) = trace(host, echo).map_err(failed)? else { return Ok(()) };
    let failure = obstacles(host, to).into_iter().fold(failure, Failure::advise);
    let failure = failure.of(Kind::Timeout);
    let refusal = ended_by.or(refusal);
    // A node without a route can stay silent while it gets one request a second, as the kernel
    // counts each of its ICMP errors twice (ip_error and icmp_send).
    let refuser = || refusal.as_ref()?.by.filter(|by| is_other(host, *by));
    let last = last.or_else(refuser).map(|last| named(host, last));
    let failure = failure.advise(match last {
        Some(last) => format!("last node that has answered: {last}"),
        None => "no node on the way has answered".to_owned(),
    });
    let failure = match refusal {
        Some(refusal) => failure.advise(format!("last refusal: {}", refusal.text(host))),
        None => failure,
    };
    Err(failure.into())
}

/// Returns what the lab knows to be in the way, one line each; nothing if it cannot look.
fn obstacles(host: &Node, to: IpAddr) -> Vec<String> {
    let found =
        obstacles::between(host.fabric(), host.position(), to).unwrap_or_default().into_iter();
    found.map(|obstacle| format!("in the way: {obstacle}")).collect()
}

/// ICMP error from a node on the path, or error of this node's own kernel.
struct Refusal {
    by: Option<IpAddr>,
    error: io::Error,
}

impl Refusal {
    /// Returns `home (10.0.0.1): EHOSTUNREACH (No route to host)`.
    fn text(&self, host: &Node) -> String {
        let error = errno::describe(&self.error);
        self.by.map_or(error.clone(), |by| format!("{}: {error}", named(host, by)))
    }
}

/// Sends a request and listens until `is_wanted` accepts what is heard. Returns the last refusal if
/// that does not happen in time.
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

/// Returns the last node on the path that answers, and the refusal there; none if the peer itself
/// answers.
fn trace(host: &Node, echo: &Echo) -> io::Result<Option<(Option<IpAddr>, Option<Refusal>)>> {
    let mut last = None;
    for hops in 1..=MOST_HOPS {
        let (end, mut refusal) = (Deadline::new(LAST), None);
        let heard = loop {
            let [_, interval] = INTERVALS;
            match ask(echo, Some(hops), interval, |_| true)? {
                Ok(heard) => break Some(heard),
                Err(last) => refusal = last,
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
    host.name_of(address).as_deref() != Some(host.name())
}

impl Node {
    /// Returns the name of the node that has an address, by the lab's hosts file.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<String> {
        self.entries().into_iter().find(|(own, _)| *own == address).map(|(_, name)| name)
    }

    /// Returns the addresses of all nodes, each with a name.
    pub(crate) fn entries(&self) -> Vec<(IpAddr, String)> {
        let names = self.common.names_at(self.position());
        let entries = names.lines().filter_map(|line| {
            let (address, name) = line.split_once('\t')?;
            Some((address.parse().ok()?, name.to_owned()))
        });
        entries.collect()
    }
}

/// Returns `home (10.0.0.1)`.
fn named(host: &Node, address: IpAddr) -> String {
    match host.name_of(address) {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    }
}
