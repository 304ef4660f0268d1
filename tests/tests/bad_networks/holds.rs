//! Packets between groups of nodes wait, in order, and go on.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use netns_test::lab::{Impairment, Packet};
use netns_test::{Lab, NodeId, Topology, netns_test};
use netns_test_tests::Said as _;

use crate::net::PATIENCE;

const PORT: u16 = 6000;

/// A host with a socket of each family.
struct Host {
    sockets: [UdpSocket; 2],
    addresses: [IpAddr; 2],
}

impl Host {
    fn new(lab: &Lab, node: NodeId) -> Self {
        let own = lab.plan().addresses_of(node);
        let of = |is_ipv4| *own.iter().find(|one| one.is_ipv4() == is_ipv4).unwrap();
        let addresses = [of(true), of(false)];
        let any: [IpAddr; 2] = [[0; 4].into(), [0_u16; 8].into()];
        let ports = [PORT, PORT + 1];
        let sockets = lab[node].run(|| [0, 1].map(|at| UdpSocket::bind((any[at], ports[at]))));
        let sockets = sockets.map(Result::unwrap);
        sockets.iter().for_each(|one| one.set_read_timeout(Some(PATIENCE)).unwrap());
        sockets[0].set_broadcast(true).unwrap();
        Self { sockets, addresses }
    }

    fn send(&self, to: &Self, text: &str) {
        for (at, port) in [PORT, PORT + 1].into_iter().enumerate() {
            self.sockets[at].send_to(text.as_bytes(), (to.addresses[at], port)).unwrap();
        }
    }

    /// Receives these texts, in their order, in each family.
    fn gets(&self, texts: &[&str]) {
        let mut buffer = [0; 64];
        for (at, text) in
            self.sockets.iter().flat_map(|one| texts.iter().map(move |text| (one, text)))
        {
            let length = at.recv(&mut buffer).unwrap();
            assert_eq!(String::from_utf8_lossy(&buffer[..length]), **text);
        }
    }
}

/// Hosts on a switch, whose links can be impaired.
fn switched(count: usize) -> (Lab, Vec<NodeId>) {
    let mut net = Topology::new();
    net.impairable_links();
    let switch = net.switch("switch");
    let nodes = (0..count).map(|at| {
        let host = net.host(format!("h{at}"));
        net.link(host, switch);
        host
    });
    let nodes = nodes.collect();
    (net.build().unwrap(), nodes)
}

#[netns_test]
fn packets_between_groups_wait_in_their_order() -> netns_test::Result<()> {
    let (lab, nodes) = switched(4);
    let hosts: Vec<Host> = nodes.iter().map(|node| Host::new(&lab, *node)).collect();
    // A broadcast overtakes what waits for an Ethernet address.
    for (from, to) in [(0, 1), (1, 0), (2, 0)] {
        hosts[from].send(&hosts[to], "first");
        hosts[to].gets(&["first"]);
    }
    let hold = lab.hold(&nodes[..1], &nodes[1..3])?;
    for text in ["1", "2", "3"] {
        hosts[0].send(&hosts[1], text);
        hosts[1].send(&hosts[0], text);
        hosts[2].send(&hosts[0], text);
    }
    // To all: it waits for those of the other group only.
    let broadcast = (Ipv4Addr::new(10, 0, 0, 255), PORT);
    hosts[0].sockets[0].send_to(b"all", broadcast).unwrap();
    // Others are not concerned.
    hosts[1].send(&hosts[2], "beside");
    hosts[2].gets(&["beside"]);
    hosts[3].send(&hosts[1], "beside");
    hosts[1].gets(&["beside"]);
    let mut buffer = [0; 8];
    assert_eq!(hosts[3].sockets[0].recv(&mut buffer)?, 3);
    hosts[3].send(&hosts[0], "beside");
    // The sender of a broadcast hears it, too.
    assert_eq!(hosts[0].sockets[0].recv(&mut buffer)?, 3);
    hosts[0].gets(&["beside"]);
    hold.release()?;
    hosts[1].gets(&["1", "2", "3"]);
    assert_eq!(hosts[1].sockets[0].recv(&mut buffer)?, 3);
    assert_eq!(hosts[2].sockets[0].recv(&mut buffer)?, 3);
    // The two senders are not ordered.
    let mut texts = BTreeMap::<IpAddr, Vec<u8>>::new();
    for socket in &hosts[0].sockets {
        for _ in 0..6 {
            let (_, from) = socket.recv_from(&mut buffer)?;
            texts.entry(from.ip()).or_default().push(buffer[0]);
        }
    }
    assert!(texts.len() == 4 && texts.values().all(|one| one == b"123"), "{texts:?}");
    Ok(())
}

#[netns_test]
fn holds_add_up_and_end_one_by_one() -> netns_test::Result<()> {
    let (lab, nodes) = switched(3);
    let hosts: Vec<Host> = nodes.iter().map(|node| Host::new(&lab, *node)).collect();
    let first = lab.hold_one_way(&nodes[..1], &nodes[1..])?;
    let second = lab.hold_one_way(&nodes[..2], &nodes[2..])?;
    hosts[0].send(&hosts[1], "a");
    hosts[0].send(&hosts[2], "b");
    // The other way is open.
    hosts[1].send(&hosts[0], "back");
    hosts[0].gets(&["back"]);
    first.release()?;
    hosts[1].gets(&["a"]);
    hosts[0].send(&hosts[2], "c");
    // A hold of a link, and a rule, are apart from those of nodes.
    let link = lab.links().nth(2).unwrap();
    link.hold()?;
    second.release()?;
    hosts[0].send(&hosts[2], "d");
    link.release()?;
    hosts[2].gets(&["b", "c", "d"]);
    drop(lab.hold(&nodes[..1], &nodes[1..])?);
    hosts[0].send(&hosts[1], "e");
    lab.release()?;
    hosts[1].gets(&["e"]);
    // There is none.
    lab.release()
}

#[netns_test]
fn a_way_that_cannot_hold_is_named() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b, c) = (net.host("a"), net.host("b"), net.host("c"));
    let (router, switch) = (net.router("router"), net.switch("switch"));
    net.link(a, router).name("up");
    net.link(router, switch).name("down");
    net.link(b, switch);
    net.link(c, switch).impairable();
    let lab = net.build()?;
    let message = lab.hold(&[a], &[c, b]).unwrap_err().said();
    let expected = "hold the packets of a to b: packets pass over link `up` (a to router), then \
                    link `down` (router to switch), then";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("declare one of these links `impairable()`"), "{message}");
    let message = lab.hold(&[a], &[a]).unwrap_err().said();
    assert_eq!(message, "hold a: it is on both sides");
    // One link of the way is enough.
    let hosts = [a, c].map(|node| Host::new(&lab, node));
    let hold = lab.hold(&[a], &[c])?;
    hosts[0].send(&hosts[1], "1");
    hosts[0].send(&hosts[1], "2");
    let snapshot = lab.snapshot()?;
    assert!(snapshot.to_string().contains(", held ("), "{snapshot}");
    hold.release()?;
    hosts[1].gets(&["1", "2"]);
    Ok(())
}

/// Impairments, holds and rules of links, as they are now.
#[netns_test]
fn a_snapshot_shows_the_state_of_links() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    let wan = net.link(a, b).name("wan").impair(Impairment::new().loss("1%")).id();
    net.link(a, b).name("lan");
    let lab = net.build()?;
    lab[wan].set_impairment_from(b, Impairment::new().rtt(std::time::Duration::from_millis(2)))?;
    lab[wan].hold_from(a)?;
    let rule = lab[wan].on(Packet::udp()).from(b).nth(3).drop()?;
    let before = lab.snapshot()?;
    let text = before.to_string();
    let links = text.split_once("\nlinks\n").expect("it has links").1;
    let lines: Vec<&str> = links.lines().map(|line| line.split(" (").next().unwrap()).collect();
    let expected = [
        "  wan: a to b: loss 1%, held",
        "  wan: b to a: delay 1ms",
        "    rule drop UDP: packet 3, acted on 0",
    ];
    assert_eq!(lines, expected, "{text}");
    let state = before.link("wan").unwrap();
    let [from_a, from_b] = state.from.as_ref().unwrap();
    assert!(from_a.is_held && !from_b.is_held);
    assert_eq!(from_b.rules[0].hits, Some(0));
    assert_eq!(lab[wan].impairments()?, [from_a.impairment.clone(), from_b.impairment.clone()]);
    assert_eq!(before.link("lan").unwrap().from, None);
    // Packets of the kernel may have come meanwhile.
    let before = before.stable();
    assert_eq!(before, lab.snapshot()?.stable());
    // A power cycle and a move change nothing of it.
    lab.power_off(b)?;
    lab.power_on(b)?;
    assert_eq!(before.links, lab.snapshot()?.stable().links);
    drop(rule);
    lab[wan].release()?;
    assert_ne!(before.links, lab.snapshot()?.stable().links);
    Ok(())
}
