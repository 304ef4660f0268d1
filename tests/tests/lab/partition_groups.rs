//! Partitions and packets to several nodes: multicast groups and broadcast addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use netns_test::{Lab, NodeId, netns_test};
use netns_test_tests::{Said as _, stdout_of};

use crate::net::{PATIENCE, switched, topology};

const PORT: u16 = 7000;
/// Groups that a node joins by itself: a local one, and one that routers may pass on.
const GROUPS: [Ipv4Addr; 2] = [Ipv4Addr::new(224, 0, 0, 77), Ipv4Addr::new(239, 1, 2, 3)];
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x77);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A host that sends to all, and receives what is for all.
struct Member {
    addresses: [IpAddr; 2],
    /// Socket of each family, bound to the host's address.
    senders: [UdpSocket; 2],
    receivers: [UdpSocket; 2],
    scope: u32,
}

impl Member {
    fn new(lab: &Lab, node: NodeId) -> Self {
        let own = lab.plan().addresses_of(node);
        let of = |is_ipv4| *own.iter().find(|one| one.is_ipv4() == is_ipv4).unwrap();
        let addresses = [of(true), of(false)];
        let IpAddr::V4(four) = addresses[0] else { unreachable!("it is IPv4") };
        lab[node].run(|| {
            let scope = std::fs::read_to_string("/sys/class/net/eth0/ifindex").unwrap();
            let scope = scope.trim().parse().unwrap();
            let senders = addresses.map(|own| UdpSocket::bind((own, 0)).unwrap());
            senders[0].set_broadcast(true).unwrap();
            let receivers = [
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap(),
                UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT + 1)).unwrap(),
            ];
            for group in &GROUPS {
                receivers[0].join_multicast_v4(group, &four).unwrap();
            }
            receivers[1].join_multicast_v6(&GROUP, scope).unwrap();
            for receiver in &receivers {
                receiver.set_read_timeout(Some(PATIENCE)).unwrap();
            }
            Self { addresses, senders, receivers, scope }
        })
    }

    /// Sends a datagram to each address that stands for several nodes. Returns their numbers.
    fn call(&self, text: &str) -> [usize; 2] {
        let IpAddr::V4(four) = self.addresses[0] else { unreachable!("it is IPv4") };
        let [a, b, c, _] = four.octets();
        let subnet = Ipv4Addr::new(a, b, c, 255);
        let targets = [GROUPS[0], GROUPS[1], subnet, Ipv4Addr::BROADCAST];
        for target in targets {
            let sent = self.senders[0].send_to(text.as_bytes(), (target, PORT));
            assert_eq!(sent.unwrap(), text.len(), "{target}");
        }
        let groups = [GROUP, ALL_NODES];
        for group in groups {
            let target = SocketAddr::V6(SocketAddrV6::new(group, PORT + 1, 0, self.scope));
            assert_eq!(self.senders[1].send_to(text.as_bytes(), target).unwrap(), text.len());
        }
        [targets.len(), groups.len()]
    }

    /// Sends a datagram of each family to another member.
    fn write(&self, other: &Self, text: &str) {
        for family in 0..2 {
            let target = (other.addresses[family], PORT + family as u16);
            self.senders[family].send_to(text.as_bytes(), target).unwrap();
        }
    }

    /// Receives this number of datagrams of each family, which must have this text. It hears what
    /// it has sent to all itself, too.
    fn hears(&self, text: &str, counts: [usize; 2]) {
        let mut buffer = [0; 64];
        for (receiver, count) in self.receivers.iter().zip(counts) {
            let mut heard = 0;
            while heard < count {
                let (length, from) = receiver.recv_from(&mut buffer).unwrap();
                if !self.addresses.contains(&from.ip()) {
                    assert_eq!(String::from_utf8_lossy(&buffer[..length]), text, "{from}");
                    heard += 1;
                }
            }
        }
    }
}

/// Returns the tables of nftables of a node; none if there is no program that lists them.
fn tables(lab: &Lab, node: NodeId) -> Option<String> {
    let has_program = std::process::Command::new("nft").arg("--version").output().is_ok();
    has_program.then(|| lab[node].run(|| stdout_of("nft", &["list", "ruleset"])))
}

#[netns_test]
fn a_partition_stops_what_is_for_several_nodes() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    let members: Vec<Member> = nodes.iter().map(|node| Member::new(&lab, *node)).collect();
    for round in 0..3 {
        let (before, cut, after) =
            (format!("before {round}"), format!("cut {round}"), format!("after {round}"));
        let counts = members[0].call(&before);
        members[1].hears(&before, counts);
        members[2].hears(&before, counts);
        let partition = lab.partition(&nodes[..1], &nodes[1..2])?;
        members[0].call(&cut);
        members[1].call(&cut);
        // Each hears the other two but for the other side.
        members[2].hears(&cut, counts.map(|count| 2 * count));
        // It waits for the frames that are on links that can be impaired.
        lab.snapshot()?;
        partition.heal()?;
        // The next that each hears is what was sent after the partition.
        members[0].write(&members[1], &after);
        members[1].write(&members[0], &after);
        members[0].hears(&after, [1, 1]);
        members[1].hears(&after, [1, 1]);
    }
    assert!(tables(&lab, nodes[0]).is_none_or(|text| text.is_empty()));
    assert_eq!(lab.limitations(), [""; 0]);
    Ok(())
}

#[netns_test]
fn a_partition_of_one_way_stops_them_one_way() -> netns_test::Result<()> {
    let mut net = topology();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build()?;
    let [one, other] = [a, b].map(|node| Member::new(&lab, node));
    let cut = lab.partition_one_way(&[a], &[b])?;
    let counts = one.call("lost");
    other.call("heard");
    one.hears("heard", counts);
    // An address that comes during the partition is cut, too.
    lab[a].interface("eth0").add_addr("10.0.0.99/24")?;
    lab[a].run(|| {
        let more = UdpSocket::bind("10.0.0.99:0").unwrap();
        more.set_broadcast(true).unwrap();
        more.send_to(b"lost", (Ipv4Addr::BROADCAST, PORT)).unwrap();
    });
    lab.snapshot()?;
    cut.heal()?;
    one.write(&other, "after");
    other.hears("after", [1, 1]);
    Ok(())
}

/// Checks that two nodes hear nothing of each other, until `heal` ends that, and then each other.
/// The third one, on the same switch, hears both.
fn check_cut(lab: &Lab, nodes: [NodeId; 3], heal: impl FnOnce()) {
    let members = nodes.map(|node| Member::new(lab, node));
    let [one, other, witness] = &members;
    let counts = one.call("cut");
    other.call("cut");
    // What it hears is on the links of the others then, and what it sends to them comes after it.
    witness.hears("cut", counts.map(|count| 2 * count));
    for member in [one, other] {
        witness.write(member, "mark");
        member.hears("mark", [1, 1]);
    }
    heal();
    one.call("after");
    other.call("after");
    one.hears("after", counts);
    other.hears("after", counts);
    for node in &nodes[..2] {
        assert!(tables(lab, *node).is_none_or(|text| text.is_empty()));
    }
}

#[netns_test]
fn a_node_that_was_powered_off_meanwhile_is_cut_from_its_first_packet() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let [one, other, witness] = [nodes[0], nodes[1], nodes[2]];
    let lab = net.build()?;
    lab.partition(&[one], &[other])?;
    for node in [one, other] {
        lab.power_off(node)?;
        lab.power_on(node)?;
    }
    check_cut(&lab, [one, other, witness], || lab.heal().unwrap());
    // A partition of a node that is off holds when it comes.
    lab.power_off(other)?;
    let cut = lab.partition(&[one], &[other])?;
    lab.power_on(other)?;
    check_cut(&lab, [one, other, witness], || cut.heal().unwrap());
    Ok(())
}

#[netns_test]
fn nodes_that_join_hear_both_sides_and_can_be_cut_too() -> netns_test::Result<()> {
    let mut net = topology();
    let switch = net.switch("switch");
    let [a, b] = ["a", "b"].map(|name| net.host(name));
    net.link(a, switch);
    net.link(b, switch);
    let mut lab = net.build()?;
    lab.partition(&[a], &[b])?;
    let [late, latest] = ["late", "latest"].map(|name| net.host(name));
    net.link(late, switch);
    net.link(latest, switch);
    lab.extend(&net)?;
    let members = [a, b, late].map(|node| Member::new(&lab, node));
    let counts = members[2].call("to both sides");
    members[0].hears("to both sides", counts);
    members[1].hears("to both sides", counts);
    members[0].call("of one side");
    members[2].hears("of one side", counts);
    // The next that the other side hears.
    members[2].write(&members[1], "to one");
    members[1].hears("to one", [1, 1]);
    drop(members);
    lab.partition(&[late], &[a])?;
    check_cut(&lab, [late, a, latest], || lab.heal().unwrap());
    Ok(())
}

/// As with the rules of partitions.
#[netns_test]
fn a_table_that_a_program_has_removed_is_an_error_of_heal() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    lab.partition(&nodes[..1], &nodes[1..])?;
    let Some(tables) = tables(&lab, nodes[1]) else { return Ok(()) };
    assert!(tables.contains("netns-test-partition"), "{tables}");
    lab[nodes[1]].run(|| stdout_of("nft", &["flush", "ruleset"]));
    let message = lab.heal().unwrap_err().said();
    assert!(message.starts_with("change the nftables of partitions on h1: ENOENT"), "{message}");
    // All else is healed.
    let members: Vec<Member> = nodes.iter().map(|node| Member::new(&lab, *node)).collect();
    let counts = members[0].call("all");
    members[1].hears("all", counts);
    lab.partition(&nodes[..1], &nodes[1..])?.heal()
}
