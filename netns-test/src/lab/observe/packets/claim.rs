//! Claims about the packets of a link: how many there were, that there was none, that they come.

use std::fmt;
use std::time::{Duration, Instant};

use crate::capture::recorder::Record;
use crate::error::{Failure, Kind, Result, located};
use crate::lab::impair::frame::Frame;
use crate::lab::impair::recorded::{self, WirePacket};
use crate::lab::impair::rule::packet::Packet;
use crate::lab::impair::rule::packet::view::PacketView;
use crate::lab::observe::packets::pcap::names;
use crate::lab::observe::packets::summary::summary;
use crate::lab::run::link::Link;
use crate::lab::topology::NodeId;

/// Packets that a link has recorded and that match; [`Link::packets`] returns it.
///
/// A packet counts once, when the link has received it from its sender, also if the link drops it
/// afterwards: see [`delivered`](Self::delivered) and [`dropped`](Self::dropped).
///
/// A claim is only true if the record shows it. Where frames are missing, as the memory of the
/// record was full or the engine has lost some, a claim that these could break fails with "cannot
/// judge". All packets that were sent to the link before the call are in the record: the call sends
/// a frame of its own through the queue of each processor, outside of the link, and waits for it.
/// A packet that still waits in its node, for ARP or in a queueing discipline, was not sent.
///
/// The conditions of [`Packet::when`] are called again for all recorded packets at each look, on
/// the calling thread: [`wait_for`](Self::wait_for) looks several times. So keep no state in them.
#[derive(Clone, Debug)]
#[must_use = "a claim is made by `assert_count`, `assert_none` or `wait_for`"]
pub struct LinkPackets<'a> {
    link: &'a Link,
    packet: Packet,
    from: Option<NodeId>,
    to: Option<NodeId>,
    which: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Any,
    Delivered,
    Dropped,
}

const STEP: &str = "look at the packets of";

/// Most other packets that a message lists.
const LISTED: usize = 8;

impl Link {
    /// Returns the packets that match, of a link that is [captured](crate::lab::LinkSpec::capture).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [client, server]: [netns_test::NodeId; 2],
    /// #     wan: netns_test::LinkId,
    /// # ) -> netns_test::Result<()> {
    /// use std::time::Duration;
    ///
    /// use netns_test::lab::Packet;
    ///
    /// let to_server = Packet::tcp().destination_port(8080);
    /// lab[wan].packets(to_server.clone().syn()).from(client).assert_count(1);
    /// lab[wan].packets(to_server.rst()).assert_none();
    /// lab[wan].packets(Packet::tcp().fin()).from(server).wait_for(1, Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn packets(&self, packet: Packet) -> LinkPackets<'_> {
        LinkPackets { link: self, packet, from: None, to: None, which: Fate::Any }
    }
}

impl LinkPackets<'_> {
    /// Limits the packets to those from `node`, which the link ends at: all that the node sends to
    /// the link, also those that it forwards. [`Packet::from`] compares the source address.
    pub fn from(self, node: NodeId) -> Self {
        Self { from: Some(node), ..self }
    }

    /// Limits the packets to those to `node`, which the link ends at.
    pub fn to(self, node: NodeId) -> Self {
        Self { to: Some(node), ..self }
    }

    /// Limits the packets to those that were delivered to the node at the far end. A duplicate
    /// counts, and each packet as it has arrived.
    pub fn delivered(self) -> Self {
        Self { which: Fate::Delivered, ..self }
    }

    /// Limits the packets to those that the link has dropped: by loss, a rule, a full queue, or as
    /// the far end was down.
    pub fn dropped(self) -> Self {
        Self { which: Fate::Dropped, ..self }
    }

    /// Returns the number of packets so far that are in the record.
    ///
    /// # Errors
    ///
    /// A link that is not captured; a node that is at neither end of it; frames that are missing in
    /// the record: the number could be larger.
    #[track_caller]
    pub fn count(&self) -> Result<usize> {
        located(self.look_at_all().and_then(|seen| {
            seen.missing.as_ref().map_or(Ok(seen.found.len()), |missing| {
                Err(self.failure("count", missing.clone()).into())
            })
        }))
    }

    /// Claims that there were exactly so many packets.
    ///
    /// # Panics
    ///
    /// If there were more or fewer, with the packets that match nearly; if frames are missing in
    /// the record, so that the number cannot be judged; where [`count`](Self::count) fails.
    #[track_caller]
    pub fn assert_count(&self, expected: usize) {
        let seen = self.look_at_all().unwrap_or_else(|error| panic!("{error}"));
        match (seen.found.len(), &seen.missing) {
            (found, None) if found == expected => {}
            (found, Some(missing)) if found <= expected => {
                panic!("cannot judge whether {self} are {expected}: {missing}; seen: {found}")
            }
            _ => panic!("expected {expected} of {self}, {}", seen.text()),
        }
    }

    /// Claims that there was none.
    ///
    /// # Panics
    ///
    /// As [`assert_count`](Self::assert_count).
    #[track_caller]
    pub fn assert_none(&self) {
        self.assert_count(0);
    }

    /// Waits until there were at least so many packets.
    ///
    /// # Errors
    ///
    /// At the limit, for which [`Error::is_timeout`](crate::Error::is_timeout) is true, with the
    /// packets that match nearly. A link that is not captured; a node that is at neither end of it.
    #[track_caller]
    pub fn wait_for(&self, least: usize, limit: Duration) -> Result<()> {
        located(self.wait(least, limit))
    }

    fn wait(&self, least: usize, limit: Duration) -> Result<()> {
        let until = Instant::now().checked_add(limit);
        loop {
            let known = self.hub_turns(None)?;
            let seen = self.look(&self.link.records_so_far(STEP)?)?;
            if seen.found.len() >= least {
                return Ok(());
            }
            let left = until
                .map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                let missing = seen.missing.iter().map(|text| format!("; {text}"));
                let why = format!("expected {least} within {limit:?}, {}", seen.text());
                let why = missing.fold(why, |why, text| why + &text);
                return Err(self.failure("wait for", why).of(Kind::Timeout).into());
            }
            self.hub_turns(Some((known, left)))?;
        }
    }

    /// Returns the number of turns of the engine in which frames were passed on; first waits for
    /// another one than the known.
    fn hub_turns(&self, wait: Option<(u64, Duration)>) -> Result<u64> {
        let hub = self.link.fabric().hub.as_ref();
        hub.map_or(Ok(0), |hub| hub.turns(wait))
    }

    /// Looks at all packets that were sent before the call.
    fn look_at_all(&self) -> Result<Seen> {
        self.look(&self.link.records(STEP)?)
    }

    fn look(&self, records: &[Record; 2]) -> Result<Seen> {
        let end = |node: Option<NodeId>| node.map(|node| self.link.end_at(STEP, node)).transpose();
        let (from, to) = (end(self.from)?, end(self.to)?);
        // The end at which packets of a direction are looked at.
        let is_receiver = self.which == Fate::Delivered;
        let is_meant = |at: usize| {
            let sender = if is_receiver { 1 - at } else { at };
            from.is_none_or(|from| from == sender) && to.is_none_or(|to| to == 1 - sender)
        };
        let all = recorded::of_link(records).into_iter().filter(|one| {
            is_meant(one.end)
                && match self.which {
                    Fate::Any => one.is_out(),
                    Fate::Delivered => !one.is_out(),
                    Fate::Dropped => one.is_out() && one.dropped.is_some(),
                }
        });
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for one in all {
            match self.matches(&one)? {
                true => found.push(one),
                false => others.push(one),
            }
        }
        let names = names(&self.link.fabric().now());
        let discarded: u64 = [0, 1]
            .into_iter()
            .filter(|at| is_meant(*at))
            .map(|at| records[at].discarded()[usize::from(is_receiver)])
            .sum();
        let missing = self.link.missing(discarded);
        let texts =
            |all: &[WirePacket]| all.iter().map(|one| described(one, &names)).collect::<Vec<_>>();
        let misses = |one: &WirePacket| {
            let frame = Frame::parse(&one.bytes);
            self.packet.misses(&PacketView::new(&frame))
        };
        others.sort_by_cached_key(misses);
        Ok(Seen { found: texts(&found), others: texts(&others), missing })
    }

    fn matches(&self, one: &WirePacket) -> Result<bool> {
        let frame = Frame::parse(&one.bytes);
        let matched = self.packet.matches(&PacketView::new(&frame));
        Ok(matched
            .map_err(|panic| self.failure("judge", format!("a condition has panicked: {panic}")))?)
    }

    fn failure(&self, step: &'static str, why: String) -> Failure {
        Failure::new(step, self.to_string(), why)
    }
}

/// Result of a look at the record: packets as texts.
struct Seen {
    found: Vec<String>,
    /// Packets that do not match, the nearest first.
    others: Vec<String>,
    /// Reason for which there may have been more.
    missing: Option<String>,
}

impl Seen {
    /// Returns the number of packets, and some of them with the nearest others.
    fn text(&self) -> String {
        let mut text = format!("found {}", self.found.len());
        for (title, all) in [("matching", &self.found), ("not matching", &self.others)] {
            for (at, (line, count)) in folded(all).into_iter().enumerate() {
                if at == LISTED {
                    text += &format!("\n  {title}: more, of {} in all", all.len());
                    break;
                }
                let times = if count == 1 { String::new() } else { format!(" ({count} times)") };
                text += &format!("\n  {title}: {line}{times}");
            }
        }
        text
    }
}

/// Returns each different text once, with its number, in the order of the first ones.
fn folded(all: &[String]) -> Vec<(&str, usize)> {
    let mut folded: Vec<(&str, usize)> = Vec::new();
    for text in all {
        if let Some((_, count)) = folded.iter_mut().find(|(known, _)| known == text) {
            *count += 1;
        } else if folded.len() <= LISTED {
            folded.push((text, 1));
        }
    }
    folded
}

fn described(packet: &WirePacket, names: &[(std::net::IpAddr, String)]) -> String {
    let fate = packet.dropped.as_ref().map(|reason| format!("  [{reason}]")).unwrap_or_default();
    summary(&packet.bytes, names) + &fate
}

/// Writes the filter, as in `packets (TCP, SYN set) from client on link client to server`.
impl fmt::Display for LinkPackets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.which {
            Fate::Any => "packets",
            Fate::Delivered => "delivered packets",
            Fate::Dropped => "dropped packets",
        })?;
        write!(f, " ({})", self.packet)?;
        let fabric = self.link.fabric();
        for (word, node) in [("from", self.from), ("to", self.to)] {
            let at = node.and_then(|node| fabric.plan.position(node));
            if let Some(at) = at {
                write!(f, " {word} {}", fabric.nodes[at].name())?;
            }
        }
        write!(f, " on {}", self.link.label())
    }
}
