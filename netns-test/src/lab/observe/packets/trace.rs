//! The traffic of a link as a text that is the same in each run.

use std::net::{IpAddr, SocketAddr};

use crate::capture::recorder::Record;
use crate::error::{Failure, Result, located};
use crate::lab::impair::frame::{Frame, Tcp, Transport};
use crate::lab::impair::recorded::{self, WirePacket};
use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::observe::packets::pcap::names;
use crate::lab::observe::packets::summary::{endpoint, flags, summary};
use crate::lab::run::link::Link;

impl Link {
    /// Returns the packets that the link has recorded as a text for `assert_eq!` or a snapshot: a
    /// line for each packet, the flows one after the other, in the order of their first packets.
    ///
    /// The text has no times, and node names in place of addresses. The port of the sender of the
    /// first packet of a flow is `p1`, of the next flow `p2`. Data of TCP is counted from 0 in each
    /// direction, and segments that follow each other are one line. SYN, FIN and RST are lines of
    /// their own: a FIN is `FIN ACK`, also if it came with data. Pure acknowledgments, repeated
    /// data, ARP, neighbour discovery and multicast are left out. Other repeated packets are one
    /// line, as in `SYN (x2)`. Packets that the link has dropped are there, without a mark.
    ///
    /// It suits handshakes and decisions; how bulk data is divided, acknowledged and repeated is
    /// not the same in each run.
    ///
    /// # Errors
    ///
    /// A link that is not [captured](crate::lab::LinkSpec::capture); frames that are missing in the
    /// record.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, wan: netns_test::LinkId) -> netns_test::Result<()> {
    /// // A connection that was refused.
    /// let expected = "client:p1 -> server:80  SYN\nclient:p1 <- server:80  RST ACK\n";
    /// assert_eq!(lab[wan].trace()?, expected);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn trace(&self) -> Result<String> {
        located(self.text_of_packets())
    }

    fn text_of_packets(&self) -> Result<String> {
        let records = self.records("trace")?;
        let discarded: u64 = records.iter().flat_map(Record::discarded).sum();
        if let Some(why) = self.missing(discarded) {
            return Err(Failure::new("trace", self.label(), why).into());
        }
        let packets = recorded::of_link(&records).into_iter().filter(WirePacket::is_new);
        Ok(text(packets, &names(&self.fabric().now())))
    }
}

/// A flow: the lines of its packets.
struct Flow {
    protocol: u8,
    /// Ends, the sender of the first packet before the other.
    ends: [SocketAddr; 2],
    /// First sequence number of each direction.
    first: [Option<u32>; 2],
    lines: Vec<Line>,
}

/// A line: its direction, its content, and the number of equal packets.
struct Line {
    way: usize,
    content: Content,
    count: u32,
}

#[derive(PartialEq, Eq)]
enum Content {
    Text(String),
    /// Bytes of a stream.
    Data {
        from: u32,
        to: u32,
    },
}

fn text(packets: impl Iterator<Item = WirePacket>, names: &[(IpAddr, String)]) -> String {
    let mut flows: Vec<Flow> = Vec::new();
    for packet in packets {
        let frame = Frame::parse(&packet.bytes);
        let Some(ip) = frame.ip.filter(|ip| !is_left_out(&frame, ip.destination)) else { continue };
        let [from, to] = match frame.transport {
            Transport::Tcp(tcp) => [tcp.source, tcp.destination],
            Transport::Udp { source, destination } => [source, destination],
            _ => [0, 0],
        };
        let (from, to) = (SocketAddr::new(ip.source, from), SocketAddr::new(ip.destination, to));
        let is_it = |flow: &Flow| {
            flow.protocol == ip.protocol && (flow.ends == [from, to] || flow.ends == [to, from])
        };
        let at = flows.iter().position(is_it).unwrap_or_else(|| {
            let ends = [from, to];
            flows.push(Flow { protocol: ip.protocol, ends, first: [None; 2], lines: Vec::new() });
            flows.len() - 1
        });
        let way = usize::from(flows[at].ends[0] != from);
        match frame.transport {
            Transport::Tcp(tcp) => flows[at].add_segment(way, tcp, frame.payload.len()),
            _ => {
                let all = summary(&packet.bytes, names);
                let content = all.split_once("  ").map_or(&*all, |(_, content)| content);
                flows[at].add(way, Content::Text(content.to_owned()));
            }
        }
    }
    flows.iter().zip(1..).map(|(flow, number)| flow.text(number, names)).collect()
}

/// Returns whether a packet is one that each network has: neighbour discovery, or multicast.
fn is_left_out(frame: &Frame<'_>, to: IpAddr) -> bool {
    frame.neighbour.is_some() || to.is_multicast()
}

impl Flow {
    fn add_segment(&mut self, way: usize, tcp: Tcp, length: usize) {
        let is_set = |flag: TcpFlags| tcp.flags & flag.bits() != 0;
        let is_syn = is_set(TcpFlags::SYN);
        // The SYN counts as a byte before the data.
        let first = *self.first[way].get_or_insert(tcp.seq.wrapping_add(u32::from(is_syn)));
        if length > 0 {
            let from = tcp.seq.wrapping_add(u32::from(is_syn)).wrapping_sub(first);
            let to = from.wrapping_add(u32::try_from(length).unwrap_or(u32::MAX));
            self.add(way, Content::Data { from, to });
        }
        if is_syn || is_set(TcpFlags::FIN) || is_set(TcpFlags::RST) {
            self.add(way, Content::Text(flags(tcp.flags)));
        }
    }

    fn add(&mut self, way: usize, content: Content) {
        if let Content::Data { from, to } = content {
            for line in self.lines.iter_mut().filter(|line| line.way == way) {
                let Content::Data { from: start, to: end } = line.content else { continue };
                if start <= from && to <= end {
                    // Repeated data: how often it comes is not the same in each run.
                    return;
                }
            }
            if let Some(last) = self.lines.last_mut().filter(|last| last.way == way) {
                if let Content::Data { to: end, .. } = &mut last.content {
                    if *end == from {
                        *end = to;
                        return;
                    }
                }
            }
        }
        match self.lines.iter_mut().find(|line| line.way == way && line.content == content) {
            Some(line) => line.count += 1,
            None => self.lines.push(Line { way, content, count: 1 }),
        }
    }

    fn text(&self, number: usize, names: &[(IpAddr, String)]) -> String {
        let has_ports = self.ends[1].port() != 0;
        let port = |text: String| has_ports.then_some(text);
        let near = endpoint(self.ends[0].ip(), port(format!("p{number}")), names);
        let far = endpoint(self.ends[1].ip(), port(self.ends[1].port().to_string()), names);
        let line = |Line { way, content, count }: &Line| {
            let arrow = if *way == 0 { "->" } else { "<-" };
            let content = match content {
                Content::Text(text) => text.clone(),
                Content::Data { from, to } => format!("data {from}..{to}"),
            };
            let times = if *count == 1 { String::new() } else { format!(" (x{count})") };
            format!("{near} {arrow} {far}  {content}{times}\n")
        };
        self.lines.iter().map(line).collect()
    }
}
