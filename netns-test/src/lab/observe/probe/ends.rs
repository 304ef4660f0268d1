//! UDP sockets of a probe on several nodes, and the numbered datagrams between them.
//!
//! A datagram that must arrive is sent until it does, or the deadline comes. That one does not
//! arrive is decided by a marker: a datagram that was sent after it on the same way, and that is
//! known to pass. The two can still be exchanged if the processor that has the first one is busy,
//! so the pair is sent several times, with growing pauses; and more often if datagrams are lost.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Failure, Result};
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::lab::observe::probe::rounds::Rounds;
use crate::lab::observe::wait::deadline::Deadline;
use crate::lab::run::node::Node;
use crate::sys::errno;

/// First and longest interval between two datagrams of which one must arrive, where these are not
/// delayed.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// Time in which a mapping that was just used cannot end. A round that takes longer does not count.
const FRESH: Duration = Duration::from_millis(700);

/// First bytes of a datagram of a probe.
const MAGIC: [u8; 8] = *b"netnsnat";

/// A UDP socket of a probe.
#[derive(Debug)]
pub(crate) struct End {
    socket: UdpSocket,
    node: String,
    pub(crate) address: SocketAddr,
}

/// Received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    number: u64,
    pub(crate) from: SocketAddr,
}

/// A probe in progress: its nodes, its deadline, the number of the last datagram.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    nodes: Vec<(Node, Arc<Namespaces>)>,
    deadline: &'a Deadline,
    number: Cell<u64>,
    /// Number of datagrams that had to arrive, and of those that have.
    counts: Cell<[u64; 2]>,
    /// Times at which datagrams were sent, by number, and how long late ones were on their way.
    sent: RefCell<HashMap<u64, Instant>>,
    delay: Cell<Duration>,
    /// Error of the last datagram that could not be sent.
    refusal: RefCell<Option<String>>,
}

/// An end and the peer that has heard it, so that the peer may send to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) inside: &'a End,
    pub(crate) outside: &'a End,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(nodes: &[&Node], deadline: &'a Deadline) -> Result<Self> {
        let here = |node: &&Node| Ok((node.share(), node.here()?));
        let nodes = nodes.iter().map(here).collect::<Result<_>>()?;
        Ok(Self {
            nodes,
            deadline,
            number: Cell::new(0),
            counts: Cell::default(),
            sent: RefCell::default(),
            delay: Cell::default(),
            refusal: RefCell::default(),
        })
    }

    /// Opens sockets on the node at `at`, which is one of the server's if it has an address.
    pub(crate) fn open<const COUNT: usize>(
        &self,
        at: usize,
        address: IpAddr,
    ) -> Result<[End; COUNT]> {
        let (node, here) = &self.nodes[at];
        on_thread::within(&here.place, node.name(), || {
            let ends: Result<Vec<End>> = (0..COUNT).map(|_| End::open(node, address)).collect();
            Ok(ends?.try_into().unwrap_or_else(|_| unreachable!("there are as many")))
        })
    }

    /// Returns the address by which the node at `at` is reached as a server: its first one in the
    /// plan that it still has, or else the first one that it has.
    pub(crate) fn server_address(&self, at: usize, is_ipv4: bool) -> Result<IpAddr> {
        let (node, here) = &self.nodes[at];
        let now: Vec<IpAddr> =
            here.netlink.addresses()?.iter().map(|one| one.cidr.address()).collect();
        let is_usable =
            |one: &&IpAddr| one.is_ipv4() == is_ipv4 && !one.is_loopback() && !is_link_local(**one);
        let planned = &node.fabric().plan.nodes()[node.position()].addresses;
        let mut planned = planned.iter().filter(|one| now.contains(one));
        let found = planned.find(is_usable).or_else(|| now.iter().find(is_usable));
        found.copied().ok_or_else(|| {
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            self.failure(format!("{} has no {family} address", node.name())).into()
        })
    }

    /// Sends from `pair.inside` until its peer hears it, and returns the source that it sees.
    pub(crate) fn outward(&self, pair: Pair<'_>) -> Result<SocketAddr> {
        let Pair { inside, outside } = pair;
        Ok(self.until_heard(inside, outside.address, outside)?.from)
    }

    /// Does the same, and sends back until that is heard, too: packets of the peer to the source
    /// are known to pass from then on.
    pub(crate) fn there_and_back(&self, pair: Pair<'_>) -> Result<SocketAddr> {
        let Pair { inside, outside } = pair;
        let first = self.number.get();
        for attempt in 0.. {
            // Each time anew, as the source may change.
            let seen = self.outward(pair)?;
            self.send(outside, seen);
            if self.hear(inside, self.interval(attempt), first)?.is_some() {
                return Ok(seen);
            }
            self.go_on(|| lost(outside, inside, seen))?;
        }
        unreachable!("the deadline comes before that")
    }

    /// Returns what `pair.inside` hears of a datagram that `from` sends to the source which its
    /// peer sees. The marker is an answer of `marker.outside`, on the node of `from`, to another
    /// socket of the inside node.
    pub(crate) fn inward(
        &self,
        pair: Pair<'_>,
        from: &End,
        marker: Pair<'_>,
    ) -> Result<Option<Heard>> {
        self.marked(pair.inside, marker, |probe| {
            let seen = probe.outward(pair)?;
            probe.send(from, seen);
            Ok(())
        })
    }

    /// Calls `send` and sends a marker after it, until it is certain enough that nothing arrives.
    /// Returns what `at` hears of what was sent.
    pub(crate) fn marked(
        &self,
        at: &End,
        marker: Pair<'_>,
        send: impl Fn(&Self) -> Result<()>,
    ) -> Result<Option<Heard>> {
        let first = self.number.get();
        let before = self.counts.get();
        let mut rounds = Rounds::new();
        while !rounds.are_enough() {
            let start = Instant::now();
            send(self)?;
            let is_fresh = start.elapsed() < FRESH.max(self.delay.get() * 4);
            self.there_and_back(marker)?;
            let heard = self.hear(at, rounds.pause(), first)?;
            if heard.is_some() {
                return Ok(heard);
            }
            let [sent, arrived] = self.counts.get();
            rounds.add(is_fresh, [sent - before[0], arrived - before[1]]);
            let why =
                "too many datagrams are lost, or the machine is too busy, to know what arrives";
            self.go_on(|| why.to_owned())?;
        }
        Ok(None)
    }

    /// Sends one datagram. An error is as a loss; it is reported if the deadline comes.
    pub(crate) fn send(&self, from: &End, to: SocketAddr) {
        self.number.set(self.number.get() + 1);
        self.sent.borrow_mut().insert(self.number.get(), Instant::now());
        let bytes = [MAGIC, self.number.get().to_be_bytes()].concat();
        if let Err(error) = from.socket.send_to(&bytes, to) {
            let reason = errno::describe(&error);
            self.refusal.replace(Some(format!("last error of {}: {reason}", from.node)));
        }
    }

    /// Returns an error at the deadline, and when a node is powered off.
    pub(crate) fn go_on(&self, why: impl FnOnce() -> String) -> Result<()> {
        for (node, here) in &self.nodes {
            node.must_be_still(here, &self.object())?;
        }
        if !self.deadline.is_over() {
            return Ok(());
        }
        let failure = self.failure(format!("{} {}", why(), self.deadline));
        let failure = self.refusal.take().into_iter().fold(failure, Failure::advise);
        Err(failure.of(self.deadline.kind()).into())
    }

    pub(crate) fn failure(&self, reason: impl Into<String>) -> Failure {
        Failure::new("wait for", self.object(), reason)
    }

    fn object(&self) -> String {
        format!("a probe of the NAT of {}", self.nodes[0].0.name())
    }

    /// Sends from one end to an address until `at` hears it.
    fn until_heard(&self, from: &End, to: SocketAddr, at: &End) -> Result<Heard> {
        let first = self.number.get();
        for attempt in 0.. {
            self.send(from, to);
            if let Some(heard) = self.hear(at, self.interval(attempt), first)? {
                return Ok(heard);
            }
            self.go_on(|| lost(from, at, to))?;
        }
        unreachable!("the deadline comes before that")
    }

    /// Returns the time in which a datagram must arrive before it is sent again.
    fn interval(&self, attempt: u32) -> Duration {
        let [shortest, longest] = INTERVALS.map(|one| one.max(self.delay.get() * 2));
        let [sent, _] = self.counts.get();
        self.counts.set([sent + 1, self.counts.get()[1]]);
        longest.min(shortest * 2_u32.pow(attempt.min(8)))
    }

    /// Receives a datagram that was sent after the number `first`.
    fn hear(&self, at: &End, most: Duration, first: u64) -> Result<Option<Heard>> {
        let heard = at.hear(most, |number| number > first)?;
        if let Some(Heard { number, .. }) = heard {
            let [sent, arrived] = self.counts.get();
            self.counts.set([sent, arrived + 1]);
            let on_the_way = self.sent.borrow().get(&number).map(Instant::elapsed);
            // A busy machine is so for a while only.
            self.delay.set(on_the_way.unwrap_or_default().max(self.delay.get() * 3 / 4));
        }
        Ok(heard)
    }
}

impl End {
    /// Opens a socket in the network of the calling thread. An inside end has the unspecified
    /// address.
    fn open(node: &Node, address: IpAddr) -> Result<Self> {
        let object = format!("udp {address} of {}", node.name());
        let open = || {
            let socket = UdpSocket::bind((address, 0))?;
            Ok((socket.local_addr()?, socket))
        };
        let opened: io::Result<_> = open();
        let (address, socket) = opened.map_err(|error| errno::failure("bind", object, &error))?;
        Ok(Self { socket, node: node.name().to_owned(), address })
    }

    /// Returns the address from which the node sends to another one. The end hears that one only
    /// afterwards.
    pub(crate) fn source_to(&self, to: SocketAddr) -> Result<IpAddr> {
        let source = || {
            self.socket.connect(to)?;
            self.socket.local_addr()
        };
        let source = source().map_err(|error| {
            errno::failure("find", format!("a route to {to} of {}", self.node), &error)
        })?;
        Ok(source.ip())
    }

    /// Receives for at most `most`, until a number is wanted.
    pub(crate) fn hear(
        &self,
        most: Duration,
        is_wanted: impl Fn(u64) -> bool,
    ) -> Result<Option<Heard>> {
        let end = Instant::now() + most;
        let mut bytes = [0; 64];
        let failed = |error| {
            let object = format!("a datagram of {}", self.node);
            errno::failure("receive", object, &error)
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Zero would be no limit. What has arrived is received also when the time is over.
            let left = left.max(Duration::from_micros(1));
            self.socket.set_read_timeout(Some(left)).map_err(failed)?;
            match self.socket.recv_from(&mut bytes) {
                Ok((length, from)) => match number(&bytes[..length]) {
                    Some(number) if is_wanted(number) => return Ok(Some(Heard { number, from })),
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error).into()),
            }
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let number = bytes.strip_prefix(&MAGIC)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

fn lost(from: &End, at: &End, to: SocketAddr) -> String {
    format!("no datagram of {} to {to} has reached {}", from.node, at.node)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}
