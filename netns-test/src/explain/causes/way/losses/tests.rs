//! Which losses of links explain a failure, and which do not.

use super::*;
use crate::evidence::facts::link::Packet;
use crate::evidence::facts::network::{AttemptKind, Filter, SocketState};
use crate::explain::cause::Certainty::{Certain, Likely};
use crate::explain::sample::{Sample, THREAD};

const UNANSWERED: &str = "Os { code: 110, kind: TimedOut, message: \"\" }";

/// A connection from client to server that was not answered.
fn unanswered() -> Sample {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
    sample.panics(UNANSWERED)
}

fn packet(protocol: Protocol, from: &str, to: &str) -> Packet {
    let protocol = protocol.word().to_owned();
    Packet { protocol, from: from.parse().ok(), to: to.parse().ok() }
}

/// Adds a direction of the link that has lost three of four packets, all of one flow.
fn loses(sample: &mut Sample, is_back: bool, packet: Packet) -> &mut Way {
    let lab = sample.facts.labs[0].number;
    let (received, lost, in_a_row, is_whole) = (4, 3, 3, true);
    let last = Some(packet.clone());
    let flows = vec![Stopped { packet, lost, in_a_row, is_whole, ..Stopped::default() }];
    let ways = &mut sample.look().ways;
    ways.push(Way { lab, is_back, received, lost, in_a_row, last, flows, ..Way::default() });
    ways.last_mut().unwrap()
}

/// Loses packets of the connection, or answers.
fn lossy(sample: &mut Sample, is_back: bool) -> &mut Way {
    let [client, server] = ["10.0.0.1:41234", "10.0.0.2:80"];
    let (from, to) = if is_back { (server, client) } else { (client, server) };
    loses(sample, is_back, packet(Protocol::Tcp, from, to))
}

#[test]
fn a_connection_whose_packets_were_all_lost_is_certain() {
    for is_back in [false, true] {
        let mut sample = unanswered();
        lossy(&mut sample, is_back);
        let (way, ends) = if is_back {
            ("from server to client", "10.0.0.2:80 -> 10.0.0.1:41234")
        } else {
            ("from client to server", "10.0.0.1:41234 -> 10.0.0.2:80")
        };
        let cause = sample.says(Certain, &format!("loses the packets {way}"));
        assert_eq!(cause.proof[0], "packets in that direction: 4 in all, 3 lost");
        assert_eq!(cause.proof[1], format!("3 lost of tcp {ends}, and none has passed"));
        // Other connections have passed before.
        sample.look().ways[0].passed = 100;
        sample.says(Certain, &format!("loses the packets {way}"));
    }
}

#[test]
fn what_may_have_passed_is_likely() {
    let mut sample = unanswered();
    let way = lossy(&mut sample, false);
    (way.passed, way.flows[0].passed) = (7, 7);
    sample.says(Likely, "has lost packets from client to server");
    // It may have passed before the first was lost.
    let way = &mut sample.look().ways[0];
    (way.flows[0].passed, way.flows[0].is_whole) = (0, false);
    let cause = sample.says(Likely, "loses the packets from client to server");
    assert!(cause.proof[1].ends_with("none has passed since the first of these"), "{cause:?}");
}

#[test]
fn losses_of_other_flows_are_no_cause() {
    let others = [
        packet(Protocol::Udp, "10.0.0.1:41234", "10.0.0.2:80"),
        packet(Protocol::Tcp, "10.0.0.1:41234", "10.0.0.2:81"),
        packet(Protocol::Tcp, "10.0.0.1:41235", "10.0.0.2:80"),
        packet(Protocol::Tcp, "10.0.0.2:41234", "10.0.0.1:80"),
    ];
    for other in others {
        let mut sample = unanswered();
        loses(&mut sample, false, other.clone());
        sample.does_not_say("link lan");
        // Of the connection, too.
        lossy(&mut sample, false);
        let own = sample.look().ways.pop().unwrap();
        sample.look().ways[0].flows.extend(own.flows);
        sample.says(Certain, "loses the packets from client to server");
        // It is not known what else was lost.
        let way = &mut sample.look().ways[0];
        way.flows.pop();
        way.others = 1;
        sample.says(Likely, "loses the packets from client to server");
    }
}

#[test]
fn a_router_may_have_translated_the_packets() {
    let mut sample = Sample::routed();
    sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.1.2:80");
    let mut sample = sample.panics(UNANSWERED);
    let way = loses(&mut sample, false, packet(Protocol::Tcp, "10.0.1.254:7", "10.0.1.2:80"));
    way.link = 1;
    sample.says(Likely, "link wan loses the packets from router to server");
}

#[test]
fn losses_that_were_repeated_are_no_cause() {
    let mut sample = unanswered();
    let way = lossy(&mut sample, false);
    (way.passed, way.in_a_row) = (9, 0);
    (way.flows[0].passed, way.flows[0].in_a_row) = (1, 0);
    sample.does_not_say("lost packets");
    // What was lost last is of another flow.
    sample.look().ways[0].in_a_row = 3;
    sample.does_not_say("lost packets");
    sample.look().ways.clear();
    sample.does_not_say("lost packets");
}

#[test]
fn a_link_that_is_down_comes_before_losses_on_an_unknown_path() {
    let mut sample = Sample::pair().panics("Os { code: 11, kind: WouldBlock, message: \"\" }");
    sample.datagrams("server", 1, "0.0.0.0:80");
    loses(&mut sample, false, packet(Protocol::Udp, "10.0.0.1:7", "10.0.0.2:9"));
    sample.says(Likely, "loses the packets");
    sample.interface("server", "eth0").is_up = false;
    sample.interface("client", "eth0").has_carrier = false;
    sample.says(Likely, "is down");
    sample.does_not_say("loses the packets");
}

#[test]
fn a_refused_connection_was_not_lost() {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Reset, "10.0.0.2:80", "10.0.0.1:41234");
    let mut sample = sample.panics("Os { code: 111, kind: ConnectionRefused, message: \"\" }");
    lossy(&mut sample, false);
    sample.does_not_say("loses");
}

#[test]
fn rules_holds_queues_and_delays_differ() {
    let texts = [
        ("drops the packets", Stopped { dropped_by_rule: 3, ..Stopped::default() }),
        ("had a full queue", Stopped { dropped_by_queue: 3, ..Stopped::default() }),
        ("holds the packets", Stopped { held: 3, ..Stopped::default() }),
    ];
    for (text, counts) in texts {
        let mut sample = unanswered();
        let way = lossy(&mut sample, false);
        let Stopped { packet, in_a_row, is_whole, .. } = way.flows[0].clone();
        way.flows[0] = Stopped { packet, in_a_row, is_whole, ..counts };
        sample.says(Certain, text);
    }
    let mut sample = unanswered();
    let way = lossy(&mut sample, false);
    *way = Way { received: 3, waiting: 3, lab: way.lab, ..Way::default() };
    sample.says(Likely, "has not yet passed on the packets from client to server");
}

/// A datagram for server, which waits for it at the time limit.
fn awaited() -> Sample {
    let mut sample = Sample::pair().hangs();
    sample.datagrams("server", 5, "0.0.0.0:53");
    sample.thread("", THREAD, "recvfrom", Some(5));
    sample.count("client", "Udp.OutDatagrams", 1);
    loses(&mut sample, false, packet(Protocol::Udp, "10.0.0.1:7", "10.0.0.2:53"));
    sample
}

#[test]
fn a_datagram_that_would_have_ended_the_wait_is_certain() {
    let mut sample = awaited();
    sample.says(Certain, "link lan loses the packets from client to server");
    // Others have passed since: this one would have been one more.
    let way = &mut sample.look().ways[0];
    (way.in_a_row, way.flows[0].in_a_row, way.flows[0].passed) = (0, 0, 5);
    sample.says(Certain, "link lan has lost packets from client to server");
    // A filter behind the link may drop it.
    sample.network("server").filters.push(Filter::default());
    sample.says(Likely, "link lan has lost packets");
}

#[test]
fn a_datagram_for_another_socket_is_not_what_the_test_waits_for() {
    let others = [
        packet(Protocol::Udp, "10.0.0.1:7", "10.0.0.2:54"),
        packet(Protocol::Udp, "10.0.0.2:7", "10.0.0.1:53"),
        packet(Protocol::Tcp, "10.0.0.1:7", "10.0.0.2:53"),
    ];
    for other in others {
        let mut sample = awaited();
        sample.look().ways[0].flows[0].packet = other;
        let causes = sample.causes();
        assert!(causes.iter().all(|cause| cause.certainty == Likely), "{causes:#?}");
    }
    // What is held, and was let go.
    let mut sample = awaited();
    let flow = &mut sample.look().ways[0].flows[0];
    (flow.lost, flow.held) = (0, 0);
    let causes = sample.causes();
    assert!(causes.iter().all(|cause| cause.certainty == Likely), "{causes:#?}");
}

/// A connection on which the client waits at the time limit.
fn connected() -> Sample {
    let mut sample = Sample::pair().hangs();
    let socket = sample.socket("client", 5, "10.0.0.1:41234", "10.0.0.2:80");
    (socket.state, socket.unsent, socket.retransmits) = (SocketState::Established, 10, 3);
    sample.socket("server", 6, "10.0.0.2:80", "10.0.0.1:41234").state = SocketState::Established;
    sample.thread("", THREAD, "recvfrom", Some(5));
    lossy(&mut sample, false);
    sample
}

#[test]
fn bytes_that_are_sent_again_and_lost_are_certain() {
    let mut sample = connected();
    sample.says(Certain, "link lan loses the packets from client to server");
    // Their acknowledgement may be what was lost.
    lossy(&mut sample, true);
    sample.says(Likely, "link lan loses the packets");
    sample.look().ways.pop();
    sample.look().ways[0].others = 1;
    sample.says(Likely, "link lan loses the packets");
}

#[test]
fn an_answer_that_is_lost_is_certain() {
    let mut sample = connected();
    sample.look().ways.clear();
    lossy(&mut sample, true);
    let client = &mut sample.network("client").sockets[0];
    (client.unsent, client.retransmits) = (0, 0);
    let server = &mut sample.network("server").sockets[0];
    (server.unsent, server.retransmits) = (10, 3);
    sample.says(Certain, "link lan loses the packets from server to client");
}

#[test]
fn acknowledged_bytes_have_arrived() {
    let mut sample = connected();
    let client = &mut sample.network("client").sockets[0];
    (client.unsent, client.retransmits) = (0, 0);
    let causes = sample.causes();
    assert!(causes.iter().all(|cause| cause.certainty == Likely), "{causes:#?}");
    // A retransmission has passed.
    let mut sample = connected();
    sample.look().ways[0].flows[0].in_a_row = 0;
    sample.look().ways[0].in_a_row = 0;
    sample.does_not_say("link lan");
}
