//! Whole reports of constructed facts, and properties of all reports.

mod random;

use std::time::Duration;

use crate::evidence::facts::event::Event;
use crate::evidence::facts::network::{
    Address, Count, Filter, Interface, Network, Protocol, Route, Socket, SocketState,
};
use crate::evidence::facts::process::{Call, Descriptor, Process, Thread};
use crate::evidence::facts::topology::{LabEnd, LabFacts, LabInterface, LabLink, LabNode};
use crate::evidence::facts::{Look, Reason};
use crate::explain::cause::Certainty;
use crate::report::text::*;

const PLACE: &str = "tests/lan.rs:31:10";

fn ms(time: u64) -> Duration {
    Duration::from_millis(1_000_000 + time)
}

fn event(time: u64, node: &str, kind: EventKind, text: &str) -> Event {
    Event { at: ms(time), node: node.into(), kind, text: text.into(), ..Event::default() }
}

fn address(text: &str, prefix: u8) -> Address {
    Address { address: text.parse().unwrap(), prefix, ..Address::default() }
}

fn interface(name: &str, own: &str) -> Interface {
    Interface {
        index: 2,
        name: name.into(),
        is_up: true,
        has_carrier: true,
        addresses: vec![address(own, 24)],
        ..Interface::default()
    }
}

fn lab() -> LabFacts {
    let node = |name: &str, own: &str| LabNode {
        name: name.into(),
        kind: "host".into(),
        interfaces: vec![LabInterface {
            name: "eth0".into(),
            link: Some(0),
            addresses: vec![own.parse().unwrap()],
            mac: String::new(),
            realm: 0,
            realm_of_ipv6: 0,
        }],
        nats: Vec::new(),
    };
    let end = |node| LabEnd { node, interface: "eth0".into() };
    LabFacts {
        number: 1,
        nodes: vec![node("client", "10.0.0.1"), node("server", "10.0.0.2")],
        links: vec![LabLink {
            name: "lan".into(),
            ends: vec![end(0), end(1)],
            ..LabLink::default()
        }],
    }
}

fn network(node: &str, inode: u64, own: &str) -> Network {
    Network {
        node: node.into(),
        inode,
        interfaces: vec![interface("eth0", own)],
        routes: vec![Route {
            destination: "10.0.0.0".parse().unwrap(),
            prefix: 24,
            device: 2,
            table: 254,
            kind: "unicast".into(),
            is_usable: true,
            ..Route::default()
        }],
        ..Network::default()
    }
}

fn refused() -> (Ending, Facts, Vec<Cause>) {
    let message = "called `Result::unwrap()` on an `Err` value: ConnectionRefused";
    let ending = Ending {
        test: "client_reaches_server".into(),
        binary: "lan".into(),
        package: "shop".into(),
        kind: EndKind::Panicked,
        message: message.into(),
        after: Duration::from_millis(243),
        attempt: 2,
        attempts: 3,
        source: Vec::new(),
        statement: String::new(),
    };
    let panic = event(242, "client", EventKind::Panic, PLACE);
    let spawn = event(131, "server", EventKind::Spawn, "echo-server --port 8080 (pid 7)");
    let log = event(185, "server", EventKind::Log, "listening on 127.0.0.1:8080");
    let of_program = |event: Event| event.with("pid", 7).with("program", "echo-server");
    let listener = Socket {
        protocol: Protocol::Tcp,
        state: SocketState::Listen,
        local: Some("127.0.0.1:8080".parse().unwrap()),
        inode: 70,
        unsent: 128,
        ..Socket::default()
    };
    let program = Process {
        pid: 7,
        name: "echo-server".into(),
        state: "S".into(),
        descriptors: vec![Descriptor { number: 3, target: "socket:[70]".into(), watched: vec![] }],
        ..Process::default()
    };
    let server = Network { sockets: vec![listener], ..network("server", 12, "10.0.0.2") };
    let facts = Facts {
        began: Some(ms(0)),
        ended: ms(243),
        events: vec![
            of_program(spawn),
            of_program(log).with("stream", "stdout"),
            panic.with("message", message).with("place", PLACE),
        ],
        labs: vec![lab()],
        looks: vec![Look {
            at: ms(242),
            reason: Reason::Panic,
            processes: vec![program],
            networks: vec![network("client", 11, "10.0.0.1"), server],
            ..Look::default()
        }],
        ..Facts::default()
    };
    let cause = Cause::new(Certainty::Certain, "nothing on server listens on 10.0.0.2:8080")
        .shown_by("echo-server, pid 7 on server, listens on 127.0.0.1:8080")
        .try_to("let echo-server bind 0.0.0.0:8080 or 10.0.0.2:8080");
    let causes = vec![cause.on("server")];
    (ending, facts, causes)
}

fn around() -> Around {
    let line = |number, text: &str| (number, text.to_owned());
    Around {
        excerpt: Some(Excerpt {
            line: 31,
            lines: vec![line(30, "    client.run(connect)?"), line(31, "        .unwrap();")],
            statement: String::new(),
        }),
        evidence: "target/netns-test/shop/lan/client_reaches_server/attempt-2/".into(),
        again: "cargo test --test lan -- --exact client_reaches_server --nocapture".into(),
        is_utf8: true,
        ..Around::default()
    }
}

#[test]
fn a_refused_connection_is_explained() {
    let (ending, facts, causes) = refused();
    let expected = "\
netns-test: client_reaches_server FAILED after 0.243 s (attempt 2 of 3), on node client
    30 |     client.run(connect)?
>   31 |         .unwrap();

Cause (certain): nothing on server listens on 10.0.0.2:8080
  echo-server, pid 7 on server, listens on 127.0.0.1:8080
  Try: let echo-server bind 0.0.0.0:8080 or 10.0.0.2:8080

Lab
  client eth0 10.0.0.1/24 ------ lan ------ 10.0.0.2/24 eth0 server

What happened (seconds since the test began)
     0.1310  server  spawned   echo-server --port 8080 (pid 7)
     0.1850  server  log       listening on 127.0.0.1:8080
     0.2420  client  PANIC     tests/lan.rs:31:10
Sockets
  client   (none)
  server   tcp  LISTEN     127.0.0.1:8080   queue 0/128   pid 7 echo-server
Programs
  server  echo-server (pid 7): has not ended
    stdout | listening on 127.0.0.1:8080
Routes by the tables
  client -> 10.0.0.2   dev eth0

Evidence  target/netns-test/shop/lan/client_reaches_server/attempt-2/
Again     cargo test --test lan -- --exact client_reaches_server --nocapture";
    assert_eq!(lines(&ending, &facts, &causes, &around()).join("\n"), expected);
}

#[test]
fn a_short_report_has_the_conclusion_and_the_evidence() {
    let (ending, facts, causes) = refused();
    let around = Around { is_short: true, ..around() };
    let short = lines(&ending, &facts, &causes, &around);
    assert_eq!(short.len(), 13);
    assert!(short[4].starts_with("Cause (certain)") && short[12].starts_with("Evidence"));
}

fn body() -> Process {
    let call = |name: &str, descriptors: Vec<i32>| {
        Some(Call { name: name.into(), descriptors, ..Call::default() })
    };
    let thread = |tid, name: &str, call| Thread {
        tid,
        name: name.into(),
        state: "S".into(),
        network: 11,
        call,
        ..Thread::default()
    };
    Process {
        pid: 2,
        is_body: true,
        name: "lan".into(),
        state: "S".into(),
        threads: vec![
            thread(2, "lan", call("futex", vec![])),
            thread(4, "tokio-rt-1", call("epoll_wait", vec![5, 6])),
            thread(3, "client_reaches_", call("recvfrom", vec![9])),
        ],
        descriptors: vec![
            Descriptor { number: 9, target: "socket:[71]".into(), watched: vec![] },
            Descriptor { number: 5, target: "pipe:[3]".into(), watched: vec![] },
            Descriptor { number: 6, target: "anon_inode:[eventfd]".into(), watched: vec![] },
        ],
        ..Process::default()
    }
}

/// Returns a test that waits for a datagram that a filter drops.
fn waiting() -> (Ending, Facts) {
    let (mut ending, mut facts, _) = refused();
    ending.kind = EndKind::TimedOut;
    ending.after = Duration::from_secs(30);
    ending.message = "the test did not end within its timeout of 30s".into();
    facts.events.truncate(2);
    let socket = Socket {
        protocol: Protocol::Udp,
        local: Some("10.0.0.1:4433".parse().unwrap()),
        inode: 71,
        received: 9,
        drops: Some(47),
        ..Socket::default()
    };
    let look = &mut facts.looks[0];
    look.reason = Reason::TimeLimit;
    look.at = ms(30_000);
    look.networks[0].sockets.push(socket);
    look.networks[0].counters.push(Count { name: "Udp.RcvbufErrors".into(), value: 47 });
    look.networks[0].interfaces[0].has_carrier = false;
    look.networks[1].filters.push(Filter {
        table: "inet filter".into(),
        chain: "input".into(),
        text: "udp dport 4433 drop".into(),
        verdict: "drop".into(),
        packets: 29,
    });
    look.processes.push(body());
    look.processes.push(Process {
        pid: 12,
        name: "logger".into(),
        state: "Z".into(),
        status: 256,
        ..Process::default()
    });
    (ending, facts)
}

#[test]
fn a_time_limit_shows_who_waits_for_what() {
    let (ending, facts) = waiting();
    let around = Around { excerpt: None, evidence: String::new(), ..around() };
    let expected = "\
netns-test: client_reaches_server TIMED OUT after 30.000 s (attempt 2 of 3)

Lab
  client eth0 10.0.0.1/24 --X-- lan --X-- 10.0.0.2/24 eth0 server   <== client eth0 has no carrier

What happened (seconds since the test began)
     0.1310  server  spawned   echo-server --port 8080 (pid 7)
     0.1850  server  log       listening on 127.0.0.1:8080

Who waits for what
  client: the test's thread (tid 3): recvfrom, for data, fd 9: udp 10.0.0.1:4433
  process logger (pid 12): exited with status 1, and no process has waited for it
  client: thread tokio-rt-1 (tid 4): epoll_wait, fd 5: pipe
  The last event was 29.8 s before.
Sockets
  client   udp  UNCONN     10.0.0.1:4433   9 bytes of memory unread, 47 dropped
  server   tcp  LISTEN     127.0.0.1:8080   queue 0/128   pid 7 echo-server
Programs
  server  echo-server (pid 7): has not ended
    stdout | listening on 127.0.0.1:8080
  also running: logger (pid 12)
Filters and counters that have moved
  server   inet filter input: drop 29 packets: udp dport 4433 drop
  client   Udp.RcvbufErrors +47

Again     cargo test --test lan -- --exact client_reaches_server --nocapture";
    assert_eq!(lines(&ending, &facts, &[], &around).join("\n"), expected);
}

#[test]
fn a_plain_panic_adds_nothing() {
    let ending = Ending {
        test: "plain".into(),
        kind: EndKind::Panicked,
        message: "no".into(),
        ..Ending::default()
    };
    let panic = event(1, "", EventKind::Panic, "no").with("message", "no").with("place", PLACE);
    let body = Process { pid: 2, is_body: true, ..Process::default() };
    let look =
        Look { processes: vec![body], networks: vec![Network::default()], ..Look::default() };
    let facts = Facts { events: vec![panic], looks: vec![look], ..Facts::default() };
    assert_eq!(lines(&ending, &facts, &[], &around()), Vec::<String>::new());
    let problems = vec!["the evidence was not kept: open /x: no".to_owned()];
    let around = Around { problems, ..around() };
    assert_eq!(lines(&ending, &facts, &[], &around).len(), 1);
    let more = Facts { labs: vec![lab()], ..facts };
    assert!(lines(&ending, &more, &[], &around).len() > 5);
}

#[test]
fn of_many_events_the_first_the_last_and_the_telling_ones_are_shown() {
    let (ending, mut facts, causes) = refused();
    let notes = (0..200).map(|at| event(at, "", EventKind::Note, &format!("note {at}")));
    facts.events = notes.collect();
    facts.events[100].kind = EventKind::Partition;
    facts.events[100].text = "client | server".into();
    let text = lines(&ending, &facts, &causes, &around()).join("\n");
    for shown in ["note 3\n", "... 96 more", "client | server", "note 185\n", "note 199\n"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("note 4\n") && !text.contains("note 184\n"), "{text}");
    facts.events.iter_mut().for_each(|event| event.text = "the same".into());
    facts.events[100].kind = EventKind::Note;
    let text = lines(&ending, &facts, &causes, &around()).join("\n");
    assert!(text.contains("the same (200 times)"), "{text}");
}

#[test]
fn no_report_is_longer_wider_or_unsafe() {
    for seed in 0..300 {
        let mut source = random::Source::new(seed);
        let (ending, facts, causes, around) = source.report();
        for lines in
            [lines(&ending, &facts, &causes, &around), all_lines(&ending, &facts, &causes, &around)]
        {
            assert!(lines.len() <= LINES, "{seed}: {} lines", lines.len());
            for line in &lines {
                assert!(width(line) <= COLUMNS, "{seed}: {line}");
                assert_eq!(escape(line, around.is_utf8), *line, "{seed}");
            }
        }
    }
}

/// The sums are small if each part is looked at once.
#[test]
fn a_flood_of_facts_is_cut() {
    const MANY: u32 = 20_000;
    let (mut ending, mut facts, causes) = refused();
    ending.kind = EndKind::TimedOut;
    ending.message = "10.0.0.2:80 client ".repeat(MANY as usize);
    let kinds = [EventKind::Note, EventKind::Log, EventKind::Spawn];
    let event = |at: u32| {
        let kind = kinds[at as usize % 3];
        event(at.into(), &format!("n{at}"), kind, &format!("text {at}")).with("pid", at)
    };
    facts.events = (0..MANY).map(event).collect();
    let mut lab = lab();
    lab.nodes.extend((0..MANY).map(|at| LabNode { name: format!("n{at}"), ..LabNode::default() }));
    let end = |node| LabEnd { node, interface: "eth0".into() };
    let link = |at| LabLink {
        name: format!("l{at}"),
        ends: vec![end(at), end(at + 1)],
        ..LabLink::default()
    };
    lab.links.extend((0..MANY).map(link));
    facts.labs.push(lab);
    let look = &mut facts.looks[0];
    look.reason = Reason::TimeLimit;
    look.at = ms(u64::from(MANY) + 1);
    let (socket, network) = (look.networks[1].sockets[0].clone(), look.networks[0].clone());
    look.networks[1].sockets = vec![socket; MANY as usize];
    look.networks.extend((0..MANY).map(|at| Network { node: format!("n{at}"), ..network.clone() }));
    let thread = Thread { name: "many".into(), network: 99, ..Thread::default() };
    let process = Process { threads: vec![thread; 4], ..body() };
    look.processes.extend((0..MANY).map(|pid| Process { pid, is_body: false, ..process.clone() }));
    assert_eq!(lines(&ending, &facts, &causes, &around()).len(), LINES);
}
