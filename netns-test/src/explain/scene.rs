//! The scene of a failure: what failed, on which thread, and the state of networks and processes
//! then. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::link::Way;
use crate::evidence::facts::network::{Network, Socket};
use crate::evidence::facts::process::{Process, Thread};
use crate::evidence::facts::{Facts, Look, Reason};
use crate::evidence::here;
use crate::explain::path::Map;
use crate::explain::sockets::{is_loopback, plain};
use crate::explain::trouble::{self, Source, Trouble};

/// Length of a thread's name in the kernel.
const NAME: usize = 15;

/// A failure, and the state then.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) ending: &'a Ending,
    pub(crate) facts: &'a Facts,
    pub(crate) processes: &'a [Process],
    pub(crate) networks: &'a [Network],
    pub(crate) ways: &'a [Way],
    pub(crate) trouble: Trouble,
    /// Way in which the message says the trouble.
    pub(crate) source: Source,
    /// Message of the failure.
    pub(crate) message: &'a str,
    /// Source of the statement that has failed; empty if it is not known.
    pub(crate) statement: &'a str,
    /// Position of the panic that is looked at.
    pub(crate) panic: Option<usize>,
    /// Node of the thread that has failed; none if it is the test's own, or unknown.
    pub(crate) node: Option<&'a str>,
    /// Time of the failure.
    pub(crate) at: Duration,
    /// Whether the sockets are those before any was closed by the end of the test.
    pub(crate) has_sockets: bool,
    /// Whether not all of the state was read in time.
    pub(crate) is_cut: bool,
}

impl<'a> Scene<'a> {
    /// Returns the scene of the end of the test.
    pub(crate) fn of_end(ending: &'a Ending, facts: &'a Facts) -> Self {
        let message = ending.message.as_str();
        let is_limit = ending.kind == EndKind::TimedOut
            || message.contains("did not end within its timeout")
            || facts.look().is_some_and(|look| look.reason == Reason::TimeLimit);
        let panic = if is_limit { None } else { last_panic(ending, facts) };
        let mut scene = Self::of(ending, facts, message, panic);
        scene.statement = if panic.is_some() { &ending.statement } else { "" };
        if is_limit {
            (scene.trouble, scene.source) = (Trouble::TimeLimit, Source::Error);
        }
        scene
    }

    /// Returns the scene of a panic, by its position in the events.
    pub(crate) fn of_panic(ending: &'a Ending, facts: &'a Facts, panic: usize) -> Self {
        let message = facts.events[panic].detail("message").unwrap_or_default();
        Self::of(ending, facts, message, Some(panic))
    }

    fn of(ending: &'a Ending, facts: &'a Facts, message: &'a str, panic: Option<usize>) -> Self {
        let event = panic.map(|at| &facts.events[at]);
        let at = event.map_or(facts.ended, |event| event.at);
        let look = look(facts, event);
        let (trouble, source) = trouble::of(message);
        let mut scene = Self {
            ending,
            facts,
            processes: look.map_or(&[], |look| &look.processes),
            networks: look.map_or(&[], |look| &look.networks),
            ways: look.map_or(&[], |look| &look.ways),
            trouble,
            source,
            message,
            statement: "",
            panic,
            node: None,
            at,
            has_sockets: look.is_some_and(|look| look.reason != Reason::End),
            is_cut: look.is_none_or(|look| look.is_cut),
        };
        scene.node = event.and_then(|event| scene.node_of_event(event));
        scene
    }

    fn node_of_event(&self, event: &'a Event) -> Option<&'a str> {
        if !event.node.is_empty() {
            return Some(&event.node);
        }
        let node = self.body()?.threads.iter().find(|thread| thread.tid == event.thread);
        node.and_then(|thread| self.node_of(thread)).filter(|node| !node.is_empty())
    }

    /// Returns the process of the test's function.
    pub(crate) fn body(&self) -> Option<&'a Process> {
        self.processes.iter().find(|process| process.is_body)
    }

    /// Returns the thread of the test's function.
    pub(crate) fn test_thread(&self) -> Option<&'a Thread> {
        let body = self.body()?;
        let test = self.ending.test.as_bytes();
        let start = &test[..test.len().min(NAME)];
        let mut named = body.threads.iter().filter(|thread| thread.name.as_bytes() == start);
        let first = named.next()?;
        named.next().is_none().then_some(first)
    }

    /// Returns the node of a thread; empty for the network of the test itself.
    pub(crate) fn node_of(&self, thread: &Thread) -> Option<&'a str> {
        let is_it = |network: &&Network| network.inode == thread.network && thread.network != 0;
        self.networks.iter().find(is_it).map(|network| network.node.as_str())
    }

    /// Returns the network of a node; of the test itself if `node` is empty.
    pub(crate) fn network(&self, node: &str) -> Option<&'a Network> {
        self.networks.iter().find(|network| network.node == node)
    }

    /// Returns the networks that take part: in a lab those of its nodes, and that of the test if it
    /// is all there is or one of the nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &'a Network> {
        let is_alone = self.facts.lab().is_none_or(|lab| lab.nodes.is_empty());
        self.networks.iter().filter(move |network| is_alone || !network.node.is_empty())
    }

    /// Returns the node that has an address, as the node `from` sees it. A loopback address is that
    /// of `from`.
    pub(crate) fn owner(&self, address: IpAddr, from: Option<&'a str>) -> Option<&'a str> {
        if is_loopback(address) {
            return from;
        }
        self.map().owner_for(address, from)
    }

    /// Returns the networks and the lab, to walk through them.
    pub(crate) fn map(&self) -> Map<'a> {
        Map { networks: self.networks, lab: self.facts.lab() }
    }

    /// Returns the processes that have a socket open.
    pub(crate) fn holders(&self, inode: u64) -> Vec<&'a Process> {
        let has = |process: &&Process| {
            process.descriptors.iter().any(|one| inode != 0 && one.socket() == Some(inode))
        };
        self.processes.iter().filter(has).collect()
    }

    /// Returns who has a socket open: `echo-server (process 7)`, or `the test`.
    pub(crate) fn holder(&self, inode: u64) -> Option<String> {
        self.holders(inode).first().map(|process| process_name(process))
    }

    /// Returns whether no code can have changed the sockets of a node between `since` and the
    /// failure: no thread of the test was on it meanwhile, and no program is.
    pub(crate) fn is_unchanged(&self, node: &str, since: Option<Duration>) -> bool {
        let event = self.panic.map(|at| &self.facts.events[at]);
        let visit = event.and_then(|event| here::parse(event.detail("visits")?, node));
        let is_left = |since| visit.is_some_and(|visit| visit.threads == 0 && visit.last <= since);
        let mut threads = self.processes.iter().flat_map(|process| &process.threads);
        let is_there = |thread: &Thread| self.node_of(thread).is_none_or(|there| there == node);
        self.has_sockets
            && !node.is_empty()
            && since.is_some_and(|since| since <= self.at && is_left(since))
            && !threads.any(is_there)
    }

    /// Returns the events of a kind that happened before the failure, with their positions.
    pub(crate) fn events(&self, kind: EventKind) -> impl Iterator<Item = (usize, &'a Event)> {
        let all = self.facts.events.iter().enumerate();
        let at = self.at;
        all.filter(move |(_, event)| event.kind == kind && event.at <= at)
    }

    /// Returns the socket at the other end of a connection, and its network.
    pub(crate) fn peer(&self, socket: &Socket) -> Option<(&'a Network, &'a Socket)> {
        let (local, remote) = (socket.local?, socket.remote?);
        let is_peer = |other: &&Socket| {
            other.protocol == socket.protocol
                && other.inode != socket.inode
                && same(other.local, remote)
                && same(other.remote, local)
        };
        let mut all = self
            .networks
            .iter()
            .filter_map(|network| Some((network, network.sockets.iter().find(is_peer)?)));
        all.next().or_else(|| self.translated_peer(socket))
    }

    /// Returns the socket at the other end of a connection that a NAT translates, if it can be no
    /// other one.
    fn translated_peer(&self, socket: &Socket) -> Option<(&'a Network, &'a Socket)> {
        let map = self.map();
        let has = |one: &&Network| one.sockets.iter().any(|other| other.inode == socket.inode);
        let own = self.networks.iter().find(has).filter(|_| map.has_nats())?;
        // From inside to outside.
        let joins = |(at, one): (&Network, &Socket), (there, other): (&Network, &Socket)| {
            let ends = [one.local?, one.remote?, other.local?, other.remote?];
            let [local, remote, server, client] =
                ends.map(|end| SocketAddr::new(plain(end.ip()), end.port()));
            let forwarded = map.forwarded(Some(&at.node), remote, one.protocol);
            let (_, nat) = map.hidden_of(&there.node, &at.node, local.ip())?;
            let is_it = forwarded.map_or(remote, |found| found.to) == server
                && nat.has_external(client.ip());
            is_it.then_some(local.port() == client.port())
        };
        let all = self.networks.iter().flat_map(|network| {
            network
                .sockets
                .iter()
                .filter(|one| one.inode != socket.inode)
                .map(move |one| (network, one))
        });
        let all = all.filter(|(_, one)| one.protocol == socket.protocol);
        let found = all.filter_map(|other| {
            let same = joins((own, socket), other).or_else(|| joins(other, (own, socket)))?;
            Some((same, other))
        });
        let found: Vec<_> = found.collect();
        let same = found.iter().filter(|(is_same_port, _)| *is_same_port);
        match (same.clone().count(), found.len()) {
            (1, _) => same.map(|(_, other)| *other).next(),
            (0, 1) => Some(found[0].1),
            _ => None,
        }
    }
}

/// Returns how a process is called in texts: `echo-server (process 7)`, or `the test`.
pub(crate) fn process_name(process: &Process) -> String {
    if process.is_body {
        return "the test".to_owned();
    }
    let program = process.command.first().map(|path| path.rsplit('/').next().unwrap_or(path));
    let name = program.filter(|name| !name.is_empty()).unwrap_or(&process.name);
    format!("{name} (process {})", process.pid)
}

/// Returns how a node is called in texts.
pub(crate) fn node_name(node: &str) -> &str {
    if node.is_empty() { "the test's own network" } else { node }
}

/// Returns where something is: `on server`.
pub(crate) fn on_node(node: &str) -> String {
    if node.is_empty() { "in the test's own network".to_owned() } else { format!("on {node}") }
}

fn same(one: Option<SocketAddr>, other: SocketAddr) -> bool {
    one.is_some_and(|one| plain(one.ip()) == plain(other.ip()) && one.port() == other.port())
}

/// Returns the position of the panic with which the test ended, if it did so: the last one whose
/// message the verdict has. Of a value that is no text it has none.
pub(crate) fn last_panic(ending: &Ending, facts: &Facts) -> Option<usize> {
    let message = ending.message.as_str();
    let is_value = message.is_empty() && ending.kind == EndKind::Panicked;
    let is_it = |event: &Event| {
        let text = event.detail("message").unwrap_or_default();
        event.kind == EventKind::Panic && (is_value || !text.is_empty() && message.contains(text))
    };
    facts.events.iter().rposition(is_it)
}

/// Returns the look at the time of an event; of the end if there is none.
fn look<'a>(facts: &'a Facts, event: Option<&Event>) -> Option<&'a Look> {
    let then = event.and_then(|event| {
        let mut looks = facts.looks.iter();
        looks.find(|look| look.reason == Reason::Panic && look.at >= event.at)
    });
    then.or_else(|| facts.look())
}
