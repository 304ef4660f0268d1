//! What a captured link has recorded, read by a parser of pcapng that is not ours.

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use etherparse::SlicedPacket;
use netns_test::lab::{Impairment, Packet};
use netns_test::{LinkId, NodeId, Topology, netns_test};
use pcap_parser::{Block, PcapBlockOwned, PcapNGReader, traits::PcapReaderIterator as _};

use crate::net::Pair;

/// Contents of a file, as another hand reads them.
#[derive(Debug, Default)]
struct Parsed {
    /// Name, description and resolution of each interface.
    interfaces: Vec<(String, String, u8)>,
    /// Addresses with their names.
    names: Vec<(Vec<u8>, String)>,
    packets: Vec<ParsedPacket>,
    /// Packets that each interface has seen, and those that the file lacks.
    counts: Vec<[u64; 2]>,
}

#[derive(Debug)]
struct ParsedPacket {
    interface: u32,
    at: u64,
    bytes: Vec<u8>,
    comments: Vec<String>,
}

pub(crate) fn captured(impairment: Impairment) -> Pair {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wan = net.link(client, server).name("wan").impair(impairment).capture().id();
    Pair { lab: net.build().unwrap(), client, server, wan }
}

fn parse(path: &Path) -> Parsed {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = PcapNGReader::new(1 << 20, file).unwrap();
    let mut parsed = Parsed::default();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                let PcapBlockOwned::NG(block) = block else { panic!("an old pcap") };
                parsed.take(block);
                reader.consume(offset);
            }
            Err(pcap_parser::PcapError::Eof) => return parsed,
            Err(pcap_parser::PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

impl Parsed {
    fn take(&mut self, block: Block<'_>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match block {
            Block::SectionHeader(section) => assert!(!section.big_endian()),
            Block::InterfaceDescription(one) => {
                let value = |code| {
                    let found = one.options.iter().find(|option| option.code.0 == code).unwrap();
                    text(found.as_bytes().unwrap())
                };
                self.interfaces.push((value(2), value(3), one.if_tsresol));
            }
            Block::NameResolution(names) => {
                self.names.extend(names.nr.iter().filter(|one| one.record_type.0 != 0).map(
                    |one| {
                        let length = if one.record_type.0 == 1 { 4 } else { 16 };
                        let (address, name) = one.record_value.split_at(length);
                        (address.to_vec(), text(name).trim_end_matches('\0').to_owned())
                    },
                ));
            }
            Block::EnhancedPacket(packet) => {
                assert_eq!(packet.caplen, packet.origlen);
                let comments = packet.options.iter().filter(|option| option.code.0 == 1);
                let comments = comments.map(|one| text(one.as_bytes().unwrap())).collect();
                let at = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let bytes = packet.data[..packet.caplen as usize].to_vec();
                self.packets.push(ParsedPacket { interface: packet.if_id, at, bytes, comments });
            }
            Block::InterfaceStatistics(one) => {
                let value = |code| {
                    let found = one.options.iter().find(|option| option.code.0 == code).unwrap();
                    u64::from_le_bytes(found.as_bytes().unwrap().try_into().unwrap())
                };
                self.counts.push([value(4), value(5)]);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Returns the packets with this payload of UDP.
    fn datagrams(&self, payload: &[u8]) -> Vec<&ParsedPacket> {
        let is_it = |one: &&ParsedPacket| one.bytes.ends_with(payload);
        self.packets.iter().filter(is_it).collect()
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/run").join(name)
}

pub(crate) fn exchange(pair: &Pair, payloads: &[&[u8]]) {
    let to = pair.server(true, 5000);
    let server = pair.lab[pair.server].run(|| UdpSocket::bind(to)).unwrap();
    let client = pair.lab[pair.client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    server.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
    for payload in payloads {
        client.send_to(payload, to).unwrap();
    }
    // The last one arrives.
    let mut buffer = [0; 2000];
    let last = payloads.last().unwrap();
    loop {
        let length = server.recv(&mut buffer).unwrap();
        if buffer[..length] == **last {
            return;
        }
    }
}

#[netns_test]
fn another_hand_reads_packets_names_and_interfaces() {
    let pair = captured(Impairment::new());
    let plan = pair.lab.plan().to_string();
    assert!(plan.lines().any(|line| line.trim().ends_with("captured")), "{plan}");
    exchange(&pair, &[b"first datagram", b"second datagram"]);
    let path = path("wan.pcapng");
    pair.lab[pair.wan].save_pcap(&path).unwrap();
    let parsed = parse(&path);
    let interface = |node: &str| {
        let description = format!("{node} end of link `wan` (client to server)");
        (format!("{node}:eth0"), description, 9)
    };
    assert_eq!(parsed.interfaces, [interface("client"), interface("server")]);
    let name = |node: NodeId| {
        let address = pair.lab.plan().addresses_of(node)[0];
        let std::net::IpAddr::V4(address) = address else { panic!("{address}") };
        let found = parsed.names.iter().find(|one| one.0 == address.octets()).unwrap();
        found.1.clone()
    };
    assert_eq!([name(pair.client), name(pair.server)], ["client", "server"]);
    for payload in [&b"first datagram"[..], b"second datagram"] {
        let found = parsed.datagrams(payload);
        assert_eq!(found.len(), 1, "each packet is there once");
        assert_eq!((found[0].interface, &found[0].comments[..]), (0, &[][..]));
    }
    assert!(parsed.packets.is_sorted_by_key(|one| one.at));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_nanos() as u64 - parsed.packets[0].at;
    assert!(age < 60_000_000_000, "{age} ns");
    assert!(parsed.counts.iter().all(|one| one[0] > 0 && one[1] == 0), "{:?}", parsed.counts);
}

#[netns_test]
fn dropped_packets_are_there_with_the_reason() {
    let pair = captured(Impairment::new().rate("1mbit").queue_bytes(3_000));
    let link = &pair.lab[pair.wan];
    let rule = link.on(Packet::udp().payload_contains(b"unwanted")).drop().unwrap();
    let long = [&[b'x'; 1300][..], b"long"].concat();
    let lengthy: Vec<&[u8]> = vec![&long; 20];
    let to = pair.server(true, 5000);
    exchange(&pair, &[b"before", b"unwanted datagram", b"after"]);
    let client = pair.lab[pair.client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    for payload in lengthy {
        client.send_to(payload, to).unwrap();
    }
    let [all, far] = ["all.pcapng", "far.pcapng"].map(path);
    link.save_pcap(&all).unwrap();
    link.save_pcap_at(pair.server, &far).unwrap();
    let (all, far) = (parse(&all), parse(&far));
    let dropped = &all.datagrams(b"unwanted datagram")[0].comments;
    let expected = "rule 1: drop UDP, payload contains \"unwanted\": each packet";
    assert_eq!(dropped.len(), 1);
    assert!(dropped[0].starts_with(&expected[..40]), "{dropped:?}");
    assert!(far.datagrams(b"unwanted datagram").is_empty());
    assert_eq!(far.datagrams(b"after").len(), 1);
    let long = all.datagrams(b"long");
    assert_eq!(long.len(), 20);
    let is_full =
        |one: &&&ParsedPacket| one.comments.iter().any(|text| text.starts_with("queue full: "));
    let full = long.iter().filter(is_full).count();
    assert!((10..20).contains(&full), "{full}");
    assert_eq!(full as u64, link.stats().unwrap().from[0].dropped_by_queue);
    drop(rule);
}

#[netns_test]
fn a_stream_is_there_as_packets_on_the_wire() {
    let pair = captured(Impairment::new().loss("20%"));
    let sent: Vec<u8> = (0..60_000_u32).map(|at| (at % 251) as u8).collect();
    assert_eq!(pair.transfer(true, &sent, 60_000), sent);
    let path = path("tcp.pcapng");
    pair.lab[pair.wan].save_pcap(&path).unwrap();
    let parsed = parse(&path);
    let (mut data, mut lost) = (Vec::new(), 0);
    for packet in &parsed.packets {
        assert!(packet.bytes.len() <= 1514, "a packet of {} bytes", packet.bytes.len());
        let sliced = SlicedPacket::from_ethernet(&packet.bytes).unwrap();
        let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { continue };
        let Some(etherparse::NetSlice::Ipv4(ip)) = sliced.net else { continue };
        let (from, to) = (ip.header().source(), ip.header().destination());
        assert_eq!(tcp.calc_checksum_ipv4(from, to), Ok(tcp.checksum()), "{packet:?}");
        if packet.interface != 0 || tcp.payload().is_empty() {
            continue;
        }
        let is_lost = packet.comments.iter().any(|text| text.starts_with("lost: loss 20%"));
        lost += u32::from(is_lost);
        data.push((tcp.sequence_number(), tcp.payload().to_vec(), is_lost));
    }
    assert!(lost > 0, "the loss is seen");
    // What was not lost is the whole stream.
    let first = data.iter().map(|one| one.0).min().unwrap();
    let mut received = vec![0; sent.len()];
    for (at, bytes, _) in data.iter().filter(|one| !one.2) {
        let at = at.wrapping_sub(first) as usize;
        received[at..at + bytes.len()].copy_from_slice(bytes);
    }
    assert!(received == sent, "the packets that were not lost make up the stream");
}

#[netns_test]
fn a_flood_takes_bounded_memory_and_what_is_missing_is_counted() {
    let pair = captured(Impairment::new());
    // Each batch waits for its last datagram: none is lost by a full ring.
    let payload = [7; 1400];
    let batch: Vec<&[u8]> = [&payload[..]; 50].into_iter().chain([&b"the end"[..]]).collect();
    (0..80).for_each(|_| exchange(&pair, &batch));
    exchange(&pair, &[b"the last datagram"]);
    let path = path("flood.pcapng");
    pair.lab[pair.wan].save_pcap_at(pair.client, &path).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    assert!((500_000..1_000_000).contains(&length), "{length}");
    let parsed = parse(&path);
    let [seen, missing] = parsed.counts[0];
    assert!(seen >= 4000 && missing > 2000, "{seen} {missing}");
    assert_eq!(parsed.packets.len() as u64, seen - missing);
    assert_eq!(parsed.datagrams(b"the last datagram").len(), 1);
}

#[netns_test]
fn each_mistake_says_what_to_do() {
    let pair = Pair::new(Impairment::new());
    let error = pair.lab[pair.wan].save_pcap("/run/x.pcapng").unwrap_err().to_string();
    let expected =
        "save the packets of link `wan` (client to server): it was built without a record";
    assert!(error.contains(expected) && error.contains("`.capture()`"), "{error}");
    let pair = captured(Impairment::new());
    let error = pair.lab[pair.wan].save_pcap("/nowhere/x.pcapng").unwrap_err().to_string();
    assert!(error.contains("write /nowhere/x.pcapng: ENOENT"), "{error}");
    // A pipe without a reader would let the write wait without a limit.
    let pipe = path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&*pipe, Path::new("/run")] {
        let error = pair.lab[pair.wan].save_pcap(path).unwrap_err().to_string();
        let expected = format!("write {}: it exists, and is not a regular file", path.display());
        assert!(error.contains(&expected), "{error}");
    }
}

#[netns_test]
fn a_file_is_replaced_also_behind_a_symbolic_link() {
    let pair = captured(Impairment::new());
    let [file, link] = ["old.pcapng", "symbolic.pcapng"].map(path);
    std::fs::write(&file, vec![0; 100_000]).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    exchange(&pair, &[b"datagram"]);
    pair.lab[pair.wan].save_pcap(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(parse(&file).datagrams(b"datagram").len(), 1);
}

#[netns_test]
fn switches_moves_and_power_keep_the_names_right() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let [near, far] = ["near", "far"].map(|name| net.switch(name));
    let trunk = net.link(near, far).name("trunk").capture().id();
    let radio = net.link(client, near).name("radio").capture().id();
    net.link(far, server);
    let lab = net.build().unwrap();
    let to = |node| (*lab.plan().addresses_of(node).iter().find(|one| one.is_ipv4()).unwrap(), 9);
    let send = |payload: &[u8]| {
        let receiver = lab[server].run(|| UdpSocket::bind(to(server))).unwrap();
        receiver.set_read_timeout(Some(crate::net::PATIENCE)).unwrap();
        let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        sender.send_to(payload, to(server)).unwrap();
        receiver.recv(&mut [0; 100]).unwrap();
    };
    let saved = |link: LinkId| {
        let path = path("names.pcapng");
        lab[link].save_pcap(&path).unwrap();
        parse(&path)
    };
    send(b"over the trunk");
    lab[trunk].packets(Packet::udp().payload_contains(b"over the")).from(near).assert_count(1);
    lab.move_link(radio, near, far).unwrap();
    send(b"past the trunk");
    lab[radio].packets(Packet::udp().payload_contains(b"past the")).to(far).assert_count(1);
    lab[trunk].packets(Packet::udp().payload_contains(b"past the")).assert_none();
    let names = saved(radio).interfaces.into_iter().map(|one| one.0).collect::<Vec<_>>();
    assert!(names[0].starts_with("client:") && names[1].starts_with("far:"), "{names:?}");
    lab.power_off(client).unwrap();
    lab[radio].packets(Packet::udp().payload_contains(b"past the")).assert_count(1);
    assert_eq!(saved(radio).datagrams(b"past the trunk").len(), 1);
    lab[radio].packets(Packet::tcp()).assert_none();
}

#[netns_test]
fn installed_programs_read_the_file() {
    let pair = captured(Impairment::new());
    exchange(&pair, &[b"datagram"]);
    let path = path("programs.pcapng");
    pair.lab[pair.wan].save_pcap(&path).unwrap();
    for (program, options) in
        [("tcpdump", &["-n", "-r"][..]), ("capinfos", &[]), ("tshark", &["-r"])]
    {
        let output = match Command::new(program).args(options).arg(&path).output() {
            Ok(output) => output,
            Err(error) => {
                println!("not checked by {program}: {error}");
                continue;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.is_empty(), "{program}: {output:?}");
    }
}

#[netns_test]
fn two_labs_have_records_of_their_own() {
    let [one, two] = [captured(Impairment::new()), captured(Impairment::new())];
    exchange(&one, &[b"in the first lab"]);
    exchange(&two, &[b"in the second lab"]);
    let [first, second] = ["one.pcapng", "two.pcapng"].map(path);
    one.lab[one.wan].save_pcap(&first).unwrap();
    two.lab[two.wan].save_pcap(&second).unwrap();
    let (first, second) = (parse(&first), parse(&second));
    for (file, own, other) in [
        (&first, &b"in the first lab"[..], &b"in the second lab"[..]),
        (&second, b"in the second lab", b"in the first lab"),
    ] {
        assert_eq!((file.datagrams(own).len(), file.datagrams(other).len()), (1, 0));
    }
}

#[netns_test]
fn what_a_link_makes_itself_is_marked() {
    use netns_test::lab::{Action, ResetTarget};
    let pair = captured(Impairment::new());
    let link = &pair.lab[pair.wan];
    let rule = link.on(Packet::tcp().data()).first(1);
    let _rule = rule.apply(Action::Reset(ResetTarget::Both)).unwrap();
    let listener = pair.listener(pair.server(true, 80));
    let [mut near, mut far] = pair.connection(&listener);
    near.write_all(b"x").unwrap();
    assert!(far.read(&mut [0]).is_err(), "the connection was reset");
    let path = path("reset.pcapng");
    link.save_pcap(&path).unwrap();
    let parsed = parse(&path);
    let made = parsed.packets.iter().filter(|one| one.comments == ["made by the link"]);
    assert_eq!(made.map(|one| one.interface).collect::<Vec<_>>().len(), 2);
}
