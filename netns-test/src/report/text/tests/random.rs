//! Random facts, also such as only a hostile process would write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::evidence::code::Fact as _;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::event::{Detail, Event, EventKind};
use crate::evidence::facts::network::{
    Address, Attempt, Count, Filter, Interface, Network, Protocol, Route, Socket, SocketState,
};
use crate::evidence::facts::process::{Call, Descriptor, Process, Thread};
use crate::evidence::facts::topology::*;
use crate::evidence::facts::{Facts, Look, Reason};
use crate::explain::Cause;
use crate::explain::cause::Certainty;
use crate::report::source::Excerpt;
use crate::report::text::Around;

/// Source of random values, the same for the same seed.
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn report(&mut self) -> (Ending, Facts, Vec<Cause>, Around) {
        let many = self.below(4) == 0;
        let facts = self.facts(many);
        let causes = (0..self.below(6)).map(|_| self.cause()).collect();
        (self.ending(), facts, causes, self.around())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "a",
            "node",
            " ",
            "\u{1b}[31m",
            "\n",
            "\0",
            "\u{202e}",
            "漢字",
            "10.0.0.2:80",
            "\r",
            "\u{9b}",
            "n1",
            "n2",
            "é",
            "\u{fe0f}",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ];
        let count = match self.below(20) {
            0 => 500,
            _ => self.below(8),
        };
        (0..count).map(|_| PARTS[self.below(16) as usize]).collect()
    }

    fn address(&mut self) -> IpAddr {
        let last = self.below(5) as u16;
        match self.below(3) {
            0 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into(),
            _ => Ipv4Addr::new(10, 0, 0, last as u8).into(),
        }
    }

    /// Returns facts as bytes of random fields in the form that a reader expects. The number of
    /// items of lists is small, or large for one of them.
    fn facts(&mut self, many: bool) -> Facts {
        let mut facts = Facts::none();
        self.fill_facts(&mut facts, many);
        facts
    }

    fn ending(&mut self) -> Ending {
        let kinds = [EndKind::Panicked, EndKind::Returned, EndKind::TimedOut, EndKind::Killed];
        Ending {
            test: self.text(),
            binary: self.text(),
            package: self.text(),
            kind: kinds[self.below(4) as usize],
            message: self.text(),
            after: Duration::from_nanos(self.next()),
            attempt: self.below(3) as u32,
            attempts: self.below(3) as u32,
            source: Vec::new(),
            statement: String::new(),
        }
    }

    fn cause(&mut self) -> Cause {
        let certainty = [Certainty::Certain, Certainty::Likely][self.below(2) as usize];
        let (proofs, remedies) = (self.below(5), self.below(5));
        let cause = Cause::new(certainty, self.text()).on(&self.text());
        let cause = cause.event(self.below(300) as usize).socket(self.below(9));
        let cause = cause.shown_by_all((0..proofs).map(|_| self.text()));
        (0..remedies).fold(cause, |cause, _| cause.try_to(self.text()))
    }

    fn around(&mut self) -> Around {
        let lines = (1..4).map(|line| (line, self.text())).collect();
        let problems = self.below(3);
        Around {
            excerpt: (self.below(2) == 0).then_some(Excerpt {
                line: 3,
                lines,
                statement: String::new(),
            }),
            evidence: self.text(),
            problems: (0..problems).map(|_| self.text()).collect(),
            again: self.text(),
            is_utf8: self.below(2) == 0,
            is_short: self.below(4) == 0,
            has_message: self.below(2) == 0,
            hides_escapes: self.below(2) == 0,
            occasion: None,
        }
    }
}

impl Source {
    fn name(&mut self) -> String {
        match self.below(8) {
            0 => self.text(),
            _ => format!("n{}", self.below(12)),
        }
    }

    fn list<T>(&mut self, most: u64, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| item(self)).collect()
    }

    fn end(&mut self) -> Option<SocketAddr> {
        let (address, port) = (self.address(), self.below(100) as u16);
        (self.below(3) > 0).then(|| SocketAddr::new(address, port))
    }

    fn protocol(&mut self) -> Protocol {
        let all = [Protocol::Tcp, Protocol::Udp, Protocol::Unix, Protocol::Raw];
        all[self.below(4) as usize]
    }

    fn fill_facts(&mut self, facts: &mut Facts, many: bool) {
        let most = if many { 300 } else { 6 };
        facts.began = (self.below(3) > 0).then(|| Duration::from_nanos(self.next() / 2));
        facts.ended = Duration::from_nanos(self.next());
        facts.events = self.list(most, Self::event);
        facts.lost = self.below(2);
        facts.labs = self.list(2, |own| own.lab(if many { 40 } else { 5 }));
        facts.looks = self.list(2, |own| own.look(if many { 40 } else { 4 }));
        facts.gaps = self.list(most, Self::text);
    }

    fn event(&mut self) -> Event {
        let kinds = [
            EventKind::Note,
            EventKind::Panic,
            EventKind::Link,
            EventKind::Partition,
            EventKind::Spawn,
            EventKind::Exit,
            EventKind::Log,
            EventKind::Power,
        ];
        let names = ["pid", "program", "stream", "status", "message", "place", "state"];
        Event {
            at: Duration::from_nanos(self.next()),
            kind: kinds[self.below(8) as usize],
            node: self.name(),
            thread: self.below(9) as u32,
            text: self.text(),
            details: self.list(4, |own| Detail {
                name: names[own.below(7) as usize].to_owned(),
                value: own.name(),
            }),
        }
    }

    fn lab(&mut self, most: u64) -> LabFacts {
        let interface = |own: &mut Self| LabInterface {
            name: own.name(),
            link: None,
            addresses: own.list(3, Self::address),
            mac: String::new(),
            realm: own.below(3) as u32,
            realm_of_ipv6: own.below(3) as u32,
        };
        let forward = |own: &mut Self| LabForward {
            protocol: own.protocol(),
            port: own.below(3) as u16,
            to: SocketAddr::new(own.address(), own.below(3) as u16),
        };
        let nat = |own: &mut Self| LabNat {
            outside: own.name(),
            external: own.list(2, Self::address),
            one_to_one: own
                .list(2, |own| LabPair { external: own.address(), inside: own.address() }),
            forwards: own.list(2, forward),
            is_symmetric: own.below(2) > 0,
            is_hairpinning: own.below(2) > 0,
            ipv6: [LabIpv6::Routed, LabIpv6::Masquerade, LabIpv6::Blocked, LabIpv6::Prefix]
                [own.below(4) as usize],
            prefixes: own.list(2, |own| LabPrefix {
                inside: own.address(),
                external: own.address(),
                length: own.below(300) as u8,
            }),
        };
        let end =
            |own: &mut Self| LabEnd { node: own.below(most + 2) as u32, interface: own.name() };
        LabFacts {
            number: 1,
            nodes: self.list(most, |own| LabNode {
                name: own.name(),
                kind: own.text(),
                interfaces: own.list(3, interface),
                nats: own.list(2, nat),
            }),
            links: self.list(most, |own| LabLink {
                name: own.name(),
                ends: own.list(3, end),
                impairments: own.list(3, Self::text),
            }),
        }
    }

    fn look(&mut self, most: u64) -> Look {
        let reasons = [Reason::Panic, Reason::TimeLimit, Reason::End];
        Look {
            at: Duration::from_nanos(self.next()),
            reason: reasons[self.below(3) as usize],
            processes: self.list(most, Self::process),
            networks: self.list(most, |own| own.network(most)),
            gaps: self.list(4, Self::text),
            ..Look::default()
        }
    }

    fn process(&mut self) -> Process {
        let states = ["R", "S", "Z", "T", ""];
        let thread = |own: &mut Self| Thread {
            tid: own.below(9) as u32,
            name: own.text(),
            state: states[own.below(5) as usize].into(),
            network: own.below(4),
            call: (own.below(4) > 0).then(|| Call {
                number: own.below(400),
                name: own.text(),
                arguments: vec![],
                descriptors: own.list(9, |own| own.below(9) as i32),
            }),
            wchan: own.text(),
            used: Duration::ZERO,
        };
        Process {
            pid: self.below(9) as u32,
            is_body: self.below(2) == 0,
            name: self.text(),
            state: states[self.below(5) as usize].into(),
            status: self.next() as i32,
            threads: self.list(5, thread),
            descriptors: self.list(5, |own| Descriptor {
                number: own.below(9) as i32,
                target: match own.below(2) {
                    0 => own.text(),
                    _ => format!("socket:[{}]", own.below(9)),
                },
                watched: vec![],
            }),
            ..Process::default()
        }
    }

    fn interface(&mut self) -> Interface {
        Interface {
            index: self.below(4) as u32,
            name: self.name(),
            is_up: self.below(4) > 0,
            has_carrier: self.below(4) > 0,
            addresses: self.list(3, |own| Address {
                address: own.address(),
                prefix: own.next() as u8,
                is_tentative: own.below(2) == 0,
                is_duplicate: own.below(2) == 0,
            }),
            rx_dropped: self.below(3),
            ..Interface::default()
        }
    }

    fn network(&mut self, most: u64) -> Network {
        let states = [SocketState::Listen, SocketState::SynSent, SocketState::Established];
        let socket = |own: &mut Self| Socket {
            protocol: own.protocol(),
            local: own.end(),
            remote: own.end(),
            state: states[own.below(3) as usize],
            inode: own.below(9),
            received: own.next() as u32,
            unsent: own.next() as u32,
            drops: Some(own.below(3)),
            is_v6_only: Some(true),
            path: own.text(),
            ..Socket::default()
        };
        Network {
            node: self.name(),
            inode: self.below(4),
            sockets: self.list(most, socket),
            interfaces: self.list(4, Self::interface),
            routes: self.list(4, |own| Route {
                destination: own.address(),
                prefix: own.next() as u8,
                via: Some(own.address()),
                device: own.below(4) as u32,
                table: 254,
                metric: own.next() as u32,
                kind: own.text(),
                is_usable: own.below(2) == 0,
            }),
            counters: self.list(9, |own| Count {
                name: format!("{}RcvbufErrors", own.text()),
                value: own.next(),
            }),
            attempts: Some(self.list(most, |own| Attempt {
                protocol: own.protocol(),
                from: own.end(),
                to: own.end(),
                at: Some(Duration::from_nanos(own.next())),
                count: own.next(),
                text: own.text(),
                ..Attempt::default()
            })),
            filters: self.list(9, |own| Filter {
                table: own.text(),
                chain: own.text(),
                text: own.text(),
                verdict: own.text(),
                packets: own.below(3),
            }),
            gaps: self.list(3, Self::text),
            ..Network::default()
        }
    }
}
