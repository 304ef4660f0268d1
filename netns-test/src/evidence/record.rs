//! A record of the log: an event, a lab, or a network that init is to keep. Pure.

use crate::bytes::{Reader, Writer};
use crate::evidence::code::{Fact, facts};
use crate::evidence::facts::event::Event;
use crate::evidence::facts::topology::{LabFacts, LinkImpairments};
use crate::evidence::json::Json;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Event(Event),
    /// A lab as it is from now on. It takes the place of an earlier one with its number.
    Lab(LabFacts),
    /// The networks of a lab that can be found in the process's table of descriptors.
    Networks(Networks),
    /// A socket of the process that init is to hold, since its last close takes long.
    Socket(Socket),
    /// The writer waits until the state of processes and networks has been read.
    Look,
    /// The directory for artifacts has been made.
    Artifacts,
    /// The counters of a link of a lab, in the memory of the log.
    Link(LinkNumbers),
    /// The impairments of a link of a lab, as they are from now on.
    Impairments(LinkImpairments),
}

facts! {
    /// Networks of a lab.
    struct Networks {
        /// Whether init may hold them until the test has ended. Otherwise something of the caller's
        /// network would stay in use.
        may_be_kept: bool,
        nodes: Vec<NodeNetwork>,
    }
}

facts! {
    /// The network of a node.
    struct NodeNetwork {
        node: String,
        /// Descriptor of the namespace in the test's process.
        descriptor: i32,
        /// Inode of the namespace.
        inode: u64,
    }
}

facts! {
    /// A socket in the process's table of descriptors.
    struct Socket {
        descriptor: i32,
        inode: u64,
    }
}

facts! {
    /// Place of the numbers of a link: those of both directions, as
    /// [`Way`](crate::evidence::facts::link::Way) has them.
    struct LinkNumbers {
        lab: u32,
        link: u32,
        first: u32,
    }
}

impl Fact for Record {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Event(event) => event.write(out.u32(1)),
            Self::Lab(lab) => lab.write(out.u32(2)),
            Self::Networks(networks) => networks.write(out.u32(3)),
            Self::Look => drop(out.u32(4)),
            Self::Socket(socket) => socket.write(out.u32(5)),
            Self::Artifacts => drop(out.u32(6)),
            Self::Link(link) => link.write(out.u32(7)),
            Self::Impairments(link) => link.write(out.u32(8)),
        }
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(match input.u32()? {
            1 => Self::Event(Fact::read(input)?),
            2 => Self::Lab(Fact::read(input)?),
            3 => Self::Networks(Fact::read(input)?),
            4 => Self::Look,
            5 => Self::Socket(Fact::read(input)?),
            6 => Self::Artifacts,
            7 => Self::Link(Fact::read(input)?),
            8 => Self::Impairments(Fact::read(input)?),
            _ => return None,
        })
    }

    fn json(&self, out: &mut Json) {
        match self {
            Self::Event(event) => event.json(out),
            Self::Lab(lab) => lab.json(out),
            Self::Networks(networks) => networks.json(out),
            Self::Look => out.text("look"),
            Self::Socket(socket) => socket.json(out),
            Self::Artifacts => out.text("artifacts"),
            Self::Link(link) => link.json(out),
            Self::Impairments(link) => link.json(out),
        }
    }

    fn none() -> Self {
        Self::Event(Event::none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let node = NodeNetwork { node: "a".into(), descriptor: 7, inode: 9 };
        let networks = Networks { may_be_kept: true, nodes: vec![node] };
        let event = Event { node: "a".into(), ..Event::default() }.with("pid", 7);
        for record in [
            Record::Event(event),
            Record::Lab(LabFacts { number: 1, ..LabFacts::default() }),
            Record::Networks(networks),
            Record::Look,
            Record::Socket(Socket { descriptor: 7, inode: 9 }),
            Record::Artifacts,
            Record::Link(LinkNumbers { lab: 1, link: 2, first: 3 }),
            Record::Impairments(LinkImpairments {
                lab: 1,
                link: 2,
                impairments: vec!["loss 1%".into(), "unimpaired".into()],
            }),
        ] {
            assert_eq!(Record::decoded(&record.encoded()), Some(record));
        }
        assert_eq!(Record::decoded(&[9, 0, 0, 0]), None);
    }
}
