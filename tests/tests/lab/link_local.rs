//! Link-local addresses, which the kernel hands out by itself once a link carries packets: they can
//! be used when the call comes back that has brought the link up.

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};

use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::net::{PATIENCE, send, topology};
use crate::oracle::{ip, text};

/// An interface of a host with its link-local address.
#[derive(Clone, Debug)]
struct End {
    node: NodeId,
    index: u32,
    address: Ipv6Addr,
}

impl End {
    /// The address may be in use or not.
    fn of(lab: &Lab, node: NodeId, name: &str) -> Self {
        let link = &ip(&lab[node], &["link", "show", "dev", name])[0];
        let octets: Vec<u16> = text(link, "address")
            .split(':')
            .map(|octet| u16::from_str_radix(octet, 16).unwrap())
            .collect();
        let [a, b, c, d, e, f] = octets[..] else { panic!("{link}") };
        let halves = [(a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f];
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, halves[0], halves[1], halves[2], halves[3]);
        let index = u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap();
        Self { node, index, address }
    }
}

/// One packet, from the link-local address to that of the other one.
fn talk(lab: &Lab, from: &End, to: &End) {
    let bind = |end: &End| {
        let address = SocketAddrV6::new(end.address, 0, 0, end.index);
        UdpSocket::bind(address).unwrap_or_else(|error| panic!("{end:?}: {error}"))
    };
    let near = lab[from.node].run(|| bind(from));
    let far = lab[to.node].run(|| bind(to));
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = far.local_addr().unwrap().port();
    let target = SocketAddrV6::new(to.address, target, 0, from.index);
    send(&near, "hello", target.into());
    let (length, sender) = far.recv_from(&mut [0; 8]).unwrap();
    assert_eq!((length, sender.ip()), (5, from.address.into()));
}

fn both_ways(lab: &Lab, one: &End, other: &End) {
    talk(lab, one, other);
    talk(lab, other, one);
}

/// With duplicate address detection, which takes a second and which static addresses skip.
#[netns_test]
fn they_are_there_when_the_call_comes_back() -> netns_test::Result<()> {
    let mut net = topology();
    let slow = |net: &mut Topology, name: &str| {
        let node = net.host(name);
        net.node(node).sysctl("net.ipv6.conf.default.accept_dad", 1);
        node
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| slow(&mut net, name));
    let link = net.link(a, b).id();
    let mut lab = net.build()?;
    let [of_a, of_b] = [a, b].map(|node| End::of(&lab, node, "eth0"));
    both_ways(&lab, &of_a, &of_b);
    lab[link].down()?;
    lab[link].up()?;
    both_ways(&lab, &of_a, &of_b);
    lab.power_off(b)?;
    lab.power_on(b)?;
    both_ways(&lab, &of_a, &of_b);
    let name = lab.move_link(link, b, c)?;
    let of_c = End::of(&lab, c, &name);
    both_ways(&lab, &of_a, &of_c);
    net.link(a, b).interfaces("new", "new");
    lab.extend(&net)?;
    let [of_a, of_b] = [a, b].map(|node| End::of(&lab, node, "new"));
    both_ways(&lab, &of_a, &of_b);
    Ok(())
}

/// As they come as a rule.
#[netns_test]
fn they_are_there_at_once() -> netns_test::Result<()> {
    let mut net = topology();
    let nodes = ["a", "b"].map(|name| net.host(name));
    let link = net.link(nodes[0], nodes[1]).id();
    let lab = net.build()?;
    let ends = nodes.map(|node| End::of(&lab, node, "eth0"));
    for _ in 0..20 {
        both_ways(&lab, &ends[0], &ends[1]);
        lab[link].down()?;
        lab[link].up()?;
    }
    Ok(())
}

/// An interface without the address, or without IPv6, is not waited for.
#[netns_test(timeout = "20s")]
fn none_is_waited_for_that_will_not_come() -> netns_test::Result<()> {
    let mut net = topology();
    let [a, b] = ["a", "b"].map(|name| net.host(name));
    let link = net.link(a, b).id();
    net.node(a).sysctl("net.ipv6.conf.default.addr_gen_mode", 1);
    let mut lab = net.build()?;
    let all = ip(&lab[a], &["-6", "address", "show", "dev", "eth0", "scope", "link"]);
    assert!(all.is_empty(), "{all:?}");
    lab[b].command("ip").args(["address", "flush", "dev", "eth0"]).status()?;
    lab[link].up()?;
    lab[b].interface(link).add_addr("2001:db8::2/64")?;
    lab[b].sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)?;
    lab[b].interface(link).add_addr("192.0.2.2/24")?;
    net.link(a, b);
    lab.extend(&net)
}
