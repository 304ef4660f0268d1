//! Facts of small labs, for the tests of causes. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::event::{Detail, Event, EventKind};
use crate::evidence::facts::network::*;
use crate::evidence::facts::process::{Call, Descriptor, Process, Thread};
use crate::evidence::facts::topology::*;
use crate::evidence::facts::{Facts, Look, Reason};
use crate::explain::cause::{Cause, Certainty};

/// Name of the test, and of its thread.
pub(crate) const TEST: &str = "test";

/// Id of the process of the test, and of its thread.
pub(crate) const BODY: u32 = 3;
pub(crate) const THREAD: u32 = 4;

/// Facts of a lab, to be changed.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) ending: Ending,
    pub(crate) facts: Facts,
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Returns a route of the main table.
pub(crate) fn route(subnet: &str, via: Option<&str>, device: u32) -> Route {
    let (destination, prefix) = subnet.split_once('/').unwrap();
    Route {
        destination: address(destination),
        prefix: prefix.parse().unwrap(),
        via: via.map(address),
        device,
        table: 254,
        metric: 0,
        kind: "unicast".into(),
        is_usable: true,
    }
}

impl Sample {
    /// Returns a lab of `client` (10.0.0.1) and `server` (10.0.0.2) on the link `lan`.
    pub(crate) fn pair() -> Self {
        Self::of(&[("client", "10.0.0.1", None), ("server", "10.0.0.2", None)], &["lan"])
    }

    /// Returns a lab of `client` (10.0.0.1), `router` (10.0.0.254, 10.0.1.254) and `server`
    /// (10.0.1.2).
    pub(crate) fn routed() -> Self {
        let mut sample = Self::of(
            &[
                ("client", "10.0.0.1", Some("10.0.0.254")),
                ("router", "10.0.0.254", None),
                ("router", "10.0.1.254", None),
                ("server", "10.0.1.2", Some("10.0.1.254")),
            ],
            &["lan", "wan"],
        );
        let router = sample.network("router");
        router.settings.push(Setting { name: "net/ipv4/ip_forward".into(), value: "1".into() });
        sample
    }

    /// Returns the lab of [`routed`](Self::routed), with a NAT of `router` that hides `client`, and
    /// forwards TCP port 8080 to its port 80. `server` has no route to `client`.
    pub(crate) fn hidden() -> Self {
        let mut sample = Self::routed();
        let lab = &mut sample.facts.labs[0];
        lab.nodes[0].interfaces[0].realm = 1;
        lab.nodes[1].interfaces[0].realm = 1;
        let forward = LabForward { protocol: Protocol::Tcp, port: 8080, to: end("10.0.0.1:80") };
        lab.nodes[1].nats.push(LabNat {
            outside: "eth1".into(),
            external: vec![address("10.0.1.254")],
            one_to_one: Vec::new(),
            forwards: vec![forward],
            is_symmetric: false,
            is_hairpinning: false,
            ipv6: LabIpv6::Routed,
            prefixes: Vec::new(),
        });
        sample.network("server").routes.retain(|route| route.via.is_none());
        sample
    }

    /// Returns a lab: per end its node, address and default route; two ends a link.
    fn of(ends: &[(&str, &str, Option<&str>)], links: &[&str]) -> Self {
        let (mut lab, mut look) = (LabFacts::default(), Look::default());
        lab.links = links.iter().map(link).collect();
        look.networks.push(network("", 10));
        for (position, (name, own, default)) in ends.iter().enumerate() {
            let at = lab.nodes.iter().position(|node| node.name == *name).unwrap_or_else(|| {
                let kind = if *name == "router" { "router" } else { "host" };
                let (name, kind) = ((*name).to_owned(), kind.to_owned());
                look.networks.push(network(&name, 11 + lab.nodes.len() as u64));
                lab.nodes.push(LabNode { name, kind, interfaces: Vec::new(), nats: Vec::new() });
                lab.nodes.len() - 1
            });
            let count = lab.nodes[at].interfaces.len();
            let (interface, index) = (format!("eth{count}"), count as u32 + 2);
            let link = position as u32 / 2;
            lab.links[link as usize]
                .ends
                .push(LabEnd { node: at as u32, interface: interface.clone() });
            lab.nodes[at].interfaces.push(LabInterface {
                name: interface.clone(),
                link: Some(link),
                addresses: vec![address(own)],
                mac: String::new(),
                realm: 0,
                realm_of_ipv6: 0,
            });
            let live = &mut look.networks[at + 1];
            live.interfaces.push(device(&interface, index, &[(own, 24)]));
            let subnet = format!("{}.0/24", own.rsplit_once('.').unwrap().0);
            live.routes.push(route(&subnet, None, index));
            live.routes.extend(default.map(|via| route("0.0.0.0/0", Some(via), index)));
        }
        look.at = Duration::from_secs(11);
        look.processes.push(body());
        let facts = Facts {
            began: Some(Duration::from_secs(10)),
            ended: Duration::from_secs(12),
            labs: vec![lab],
            looks: vec![look],
            ..Facts::default()
        };
        Self { ending: Ending { test: TEST.into(), ..Ending::default() }, facts }
    }

    /// Ends the test by a panic of its thread.
    pub(crate) fn panics(mut self, message: &str) -> Self {
        self.panic_on("", THREAD, 10_900, message);
        self.ending.kind = EndKind::Panicked;
        self.ending.message = message.to_owned();
        self.look().reason = Reason::Panic;
        self
    }

    /// Ends the test by its time limit.
    pub(crate) fn hangs(mut self) -> Self {
        self.ending.kind = EndKind::TimedOut;
        self.ending.message = "the test did not end within its timeout of 1s".into();
        self.look().reason = Reason::TimeLimit;
        self
    }

    /// Notes the last visits of nodes with the last panic: `0 10700 server`, in milliseconds.
    pub(crate) fn visited(&mut self, rows: &[&str]) {
        let row = |row: &&str| {
            let parts: Vec<&str> = row.split(' ').collect();
            format!("{} {}000000 {}", parts[0], parts[1], parts[2])
        };
        let text = rows.iter().map(row).collect::<Vec<_>>().join("\n");
        let panic = self.facts.events.iter_mut().rfind(|event| event.kind == EventKind::Panic);
        panic.unwrap().details.push(Detail { name: "visits".into(), value: text });
    }

    pub(crate) fn panic_on(&mut self, node: &str, thread: u32, at_ms: u64, message: &str) {
        let event = self.event(EventKind::Panic, node, at_ms, "");
        event.thread = thread;
        *event = event.clone().with("message", message).with("place", "tests/lan.rs:1:2");
    }

    pub(crate) fn event(
        &mut self,
        kind: EventKind,
        node: &str,
        at_ms: u64,
        text: &str,
    ) -> &mut Event {
        let (node, text, at) = (node.into(), text.into(), Duration::from_millis(at_ms));
        self.facts.events.push(Event { at, kind, node, text, ..Event::default() });
        self.facts.events.last_mut().unwrap()
    }

    pub(crate) fn look(&mut self) -> &mut Look {
        &mut self.facts.looks[0]
    }

    pub(crate) fn network(&mut self, node: &str) -> &mut Network {
        self.look().networks.iter_mut().find(|network| network.node == node).unwrap()
    }

    pub(crate) fn interface(&mut self, node: &str, name: &str) -> &mut Interface {
        self.network(node).interfaces.iter_mut().find(|one| one.name == name).unwrap()
    }

    pub(crate) fn count(&mut self, node: &str, name: &str, value: u64) {
        self.network(node).counters.push(Count { name: name.into(), value });
    }

    pub(crate) fn set(&mut self, node: &str, name: &str, value: &str) {
        let settings = &mut self.network(node).settings;
        settings.retain(|one| one.name != name);
        settings.push(Setting { name: name.into(), value: value.into() });
    }

    /// Adds a socket, open as descriptor `inode` of the test's process.
    pub(crate) fn socket(
        &mut self,
        node: &str,
        inode: u64,
        local: &str,
        remote: &str,
    ) -> &mut Socket {
        let target = format!("socket:[{inode}]");
        self.body().descriptors.push(Descriptor {
            number: inode as i32,
            target,
            watched: Vec::new(),
        });
        let remote = remote.parse().ok();
        let state = if remote.is_some() { SocketState::Established } else { SocketState::Listen };
        let local = Some(end(local));
        let protocol = Protocol::Tcp;
        let socket = Socket { protocol, local, remote, state, inode, ..Socket::default() };
        let sockets = &mut self.network(node).sockets;
        sockets.push(socket);
        sockets.last_mut().unwrap()
    }

    /// Adds a UNIX socket, which the test's process has open.
    pub(crate) fn unix(&mut self, node: &str, inode: u64, path: &str) {
        let socket = self.socket(node, inode, "0.0.0.0:0", "");
        (socket.protocol, socket.local, socket.path) = (Protocol::Unix, None, path.to_owned());
    }

    /// Adds a UDP socket.
    pub(crate) fn datagrams(&mut self, node: &str, inode: u64, local: &str) -> &mut Socket {
        let socket = self.socket(node, inode, local, "");
        (socket.protocol, socket.state) = (Protocol::Udp, SocketState::Close);
        socket
    }

    pub(crate) fn body(&mut self) -> &mut Process {
        self.look().processes.iter_mut().find(|process| process.is_body).unwrap()
    }

    /// Adds a thread of the test's process that waits in a system call.
    pub(crate) fn thread(&mut self, node: &str, tid: u32, call: &str, descriptor: Option<i32>) {
        let network = self.network(node).inode;
        let call = Call {
            name: call.into(),
            descriptors: descriptor.into_iter().collect(),
            ..Call::default()
        };
        let name = if tid == THREAD { TEST } else { node }.to_owned();
        let state = "S".to_owned();
        let threads = &mut self.body().threads;
        threads.retain(|thread| thread.tid != tid);
        threads.push(Thread { tid, name, state, network, call: Some(call), ..Thread::default() });
    }

    /// Adds an attempt to the flight recorder of a node.
    pub(crate) fn attempt(&mut self, node: &str, kind: AttemptKind, from: &str, to: &str) {
        let at = Some(Duration::from_millis(10_800));
        let (from, to) = (from.parse().ok(), to.parse().ok());
        let protocol = Protocol::Tcp;
        let attempt = Attempt { kind, protocol, from, to, at, count: 1, ..Attempt::default() };
        self.network(node).attempts.get_or_insert_default().push(attempt);
    }

    /// Adds a program that has ended, with a line that it wrote.
    pub(crate) fn program(&mut self, node: &str, status: &str, line: &str) {
        let of = |event: &mut Event| {
            *event = event.clone().with("pid", 7).with("program", "app");
        };
        of(self.event(EventKind::Spawn, node, 10_100, "app (process 7)"));
        of(self.event(EventKind::Log, node, 10_200, line));
        let exit = self.event(EventKind::Exit, node, 10_300, &format!("app (process 7): {status}"));
        of(exit);
        *exit = exit.clone().with("status", status);
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        crate::explain::causes(&self.ending, &self.facts)
    }

    /// Checks that the first cause is this one.
    pub(crate) fn says(&self, certainty: Certainty, text: &str) -> Cause {
        let causes = self.causes();
        let found = causes.first().unwrap_or_else(|| panic!("no cause, not {text:?}"));
        assert!(found.text.contains(text), "{text:?} is not first of {causes:#?}");
        assert_eq!(found.certainty, certainty, "{causes:#?}");
        assert!(!found.proof.is_empty(), "{found:#?}");
        assert!(!found.remedy.is_empty(), "{found:#?}");
        found.clone()
    }

    /// Checks that no cause has this text.
    pub(crate) fn does_not_say(&self, text: &str) {
        let causes = self.causes();
        assert!(causes.iter().all(|cause| !cause.text.contains(text)), "{causes:#?}");
    }
}

/// Returns an interface that is up.
pub(crate) fn device(name: &str, index: u32, addresses: &[(&str, u8)]) -> Interface {
    let of = |(text, prefix): &(&str, u8)| Address {
        address: address(text),
        prefix: *prefix,
        ..Address::default()
    };
    Interface {
        index,
        name: name.into(),
        mtu: 1500,
        is_up: true,
        has_carrier: true,
        addresses: addresses.iter().map(of).collect(),
        ..Interface::default()
    }
}

fn network(node: &str, inode: u64) -> Network {
    let lo = device("lo", 1, &[("127.0.0.1", 8), ("::1", 128)]);
    Network { node: node.into(), inode, interfaces: vec![lo], ..Network::default() }
}

fn link(name: &&str) -> LabLink {
    LabLink { name: (*name).into(), ..LabLink::default() }
}

fn body() -> Process {
    let thread = |tid, name: &str| Thread {
        tid,
        name: name.into(),
        state: "S".into(),
        network: 10,
        ..Thread::default()
    };
    Process {
        pid: BODY,
        is_body: true,
        name: "lan".into(),
        state: "S".into(),
        threads: vec![thread(BODY, "lan"), thread(THREAD, TEST)],
        open_files: Some(1024),
        ..Process::default()
    }
}
