//! Answers to questions, without sockets. Pure.

mod answers;
mod messages;

use std::net::IpAddr;
use std::sync::Arc;

use simple_dns::{Name, Packet, PacketFlag, QCLASS, QTYPE, Question as Asked, TYPE};

use crate::lab::dns::answer::{Answer, Question, answer};
use crate::lab::dns::store::{Change, Client, Store};
use crate::lab::dns::wire::{Parsed, Query, parse};
use crate::lab::topology::dns::record::RecordType;
use crate::lab::topology::{NodeId, Topology};

/// A name server, and two clients of it: positions 0, 1 and 2.
pub(crate) fn net(declare: impl FnOnce(&mut Topology, [NodeId; 3])) -> Topology {
    let mut net = Topology::new();
    let nodes = ["ns", "client", "web.example"].map(|name| net.host(name));
    let switch = net.switch("switch");
    for node in nodes {
        net.link(node, switch);
    }
    declare(&mut net, nodes);
    net
}

pub(crate) fn store(net: &Topology, changes: &[Change]) -> Store {
    let plan = net.plan().unwrap();
    Store::new(&Arc::new(plan.dns.clone()), 0, changes)
}

pub(crate) fn client(at: usize) -> Client {
    Client { node: Some(at), address: IpAddr::from([10, 0, 0, at as u8 + 1]) }
}

pub(crate) fn ask(store: &Store, name: &str, record_type: RecordType) -> Answer {
    let question = Question { name: name.to_owned(), record_type };
    answer(store, &question, client(1))
}

/// Returns the answers as `name TYPE data`.
pub(crate) fn lines(answer: &Answer) -> Vec<String> {
    let line = |one: &crate::lab::dns::answer::Line| {
        format!("{} {} {}", one.name, one.ttl, crate::lab::dns::model::data_text(&one.data))
    };
    answer.answers.iter().map(line).collect()
}

pub(crate) fn query(name: &str, number: u16, size: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(0xBEEF);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).unwrap();
    let asked = match number {
        255 => QTYPE::ANY,
        number => QTYPE::TYPE(TYPE::from(number)),
    };
    packet.questions.push(Asked::new(name, asked, QCLASS::CLASS(simple_dns::CLASS::IN), false));
    let mut bytes = packet.build_bytes_vec().unwrap();
    if let Some(size) = size {
        bytes[11] += 1;
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        // The flag DO, which is for signatures.
        bytes.extend([0, 0, 0x80, 0, 0, 0]);
    }
    bytes
}

pub(crate) fn parsed(bytes: &[u8]) -> Query {
    match parse(bytes) {
        Parsed::Query(query) => query,
        other => panic!("{other:?}"),
    }
}
