//! Frames of all kinds and sizes over impaired links.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use netns_test::lab::{Action, Impairment, Packet};
use netns_test::{Lab, NodeId, Topology, netns_test};

use crate::net::{Load, PATIENCE, Pair, bytes};
use crate::train;

const MS: Duration = Duration::from_millis(1);

fn all_at_once() -> Impairment {
    Impairment::new()
        .delay(2 * MS)
        .jitter(MS)
        .loss("2%")
        .corrupt("1%")
        .duplicate("2%")
        .reorder("2%")
        .rate("200mbit")
}

#[netns_test]
fn tcp_carries_all_bytes_through_everything_at_once() {
    let sent = bytes(1 << 20);
    for is_ipv4 in [true, false] {
        let pair = Pair::new(all_at_once());
        assert!(pair.transfer(is_ipv4, &sent, 100_000) == sent);
        assert!(pair.transfer(is_ipv4, &sent[..2000], 1) == sent[..2000]);
        let stats = pair.lab[pair.wan].stats().unwrap();
        for from in &stats.from {
            assert!(from.lost > 0 || from.corrupted > 0, "{stats}");
        }
    }
}

fn transfer(lab: &Lab, [from, to]: [NodeId; 2], sent: &[u8]) {
    for address in lab.plan().addresses_of(to) {
        let listener = lab[to].run(|| TcpListener::bind((*address, 0))).unwrap();
        let target = listener.local_addr().unwrap();
        let mut near = lab[from].run(|| TcpStream::connect_timeout(&target, PATIENCE)).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut got = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || near.write_all(sent).unwrap());
            far.read_to_end(&mut got).unwrap();
        });
        assert!(got == sent, "{} of {} bytes at {address}", got.len(), sent.len());
    }
}

/// Beside busy loops, the thread of the engine waits for a processor while they arrive.
#[netns_test]
fn thousands_of_short_datagrams_at_once_pass() {
    const COUNT: u64 = 3000;
    let pair = Pair::new(Impairment::new());
    let _load = Load::new();
    for is_ipv4 in [true, false] {
        let [near, _far] = train::sockets(&pair, is_ipv4);
        let received = || pair.lab[pair.wan].stats().unwrap().from[0].received;
        let before = received();
        (0..COUNT).for_each(|_| assert_eq!(near.send(&[7; 22]).unwrap(), 22));
        let after = received();
        assert!(after - before >= COUNT, "{before} to {after}");
    }
    // The end of the lab fails if the engine has lost one.
}

#[netns_test]
fn large_mtus_pass() {
    let sent = bytes(2 << 20);
    for mtu in [1280, 9000, 65535] {
        let mut net = Topology::new();
        let (a, b) = (net.host("a"), net.host("b"));
        let link = net.link(a, b).mtu(mtu).impair(Impairment::new().loss("1%")).id();
        let lab = net.build().unwrap();
        transfer(&lab, [a, b], &sent);
        // Divided into packets, too.
        lab[link].set_impairment(Impairment::new().duplicate("5%").rate("1gbit")).unwrap();
        transfer(&lab, [b, a], &sent);
        // Whole datagrams, and fragments of them.
        lab[link].set_impairment(Impairment::new().delay(MS)).unwrap();
        for (address, most) in lab.plan().addresses_of(b).iter().zip([65_507, 65_487]) {
            let far = lab[b].run(|| UdpSocket::bind((*address, 0))).unwrap();
            far.set_read_timeout(Some(PATIENCE)).unwrap();
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let near = lab[a].run(|| UdpSocket::bind(any)).unwrap();
            for length in [0, 1, 1000, 8973, 30_000, most] {
                near.send_to(&sent[..length], far.local_addr().unwrap()).unwrap();
                let mut got = vec![0; 1 << 16];
                let count = far.recv(&mut got).unwrap();
                assert!(got[..count] == sent[..length], "{mtu}, {address}: {length}");
            }
        }
    }
}

/// `UDP_SEGMENT` of udp(7): one write is several datagrams.
#[netns_test]
fn segments_of_udp_are_datagrams() {
    for impairment in [Impairment::new(), Impairment::new().rate("100mbit").delay(MS)] {
        for is_ipv4 in [true, false] {
            let pair = Pair::new(impairment.clone());
            let [near, far] = pair.sockets(is_ipv4);
            let size: libc::c_int = 1000;
            // SAFETY: reads one number.
            let set =
                unsafe { libc::setsockopt(near.as_raw_fd(), 17, 103, (&raw const size).cast(), 4) };
            assert_eq!(set, 0);
            let sent = bytes(20_500);
            near.send(&sent).unwrap();
            let mut got = Vec::new();
            for number in 0..21 {
                let mut buffer = [0; 2000];
                let count = far.recv(&mut buffer).unwrap();
                assert_eq!(count, if number < 20 { 1000 } else { 500 });
                got.extend_from_slice(&buffer[..count]);
            }
            assert!(got == sent);
            let stats = pair.lab[pair.wan].stats().unwrap();
            assert!(stats.from[0].sent >= 21, "{stats}");
        }
    }
}

/// Echo requests and multicast pass, and truncated packets are no fault of the link.
#[netns_test]
fn echo_multicast_and_truncated_packets_pass() {
    let pair = Pair::new(Impairment::new().delay(MS));
    let (lab, client, server) = (&pair.lab, pair.client, pair.server);
    lab[client].wait(PATIENCE).reachable(server).unwrap();
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let own = |node: NodeId| lab[node].ipv4();
    let far = lab[server].run(|| UdpSocket::bind("0.0.0.0:7000")).unwrap();
    far.join_multicast_v4(&group, &own(server)).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let near = lab[client].run(|| UdpSocket::bind((own(client), 7001))).unwrap();
    near.send_to(b"all", (group, 7000)).unwrap();
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 3);
    for length in 0..31 {
        let rule = lab[pair.wan].on(Packet::udp()).apply(Action::Truncate(length)).unwrap();
        near.send_to(b"cut", (own(server), 7000)).unwrap();
        netns_test_tests::eventually(PATIENCE, "the cut", || rule.hits() == 1);
    }
}

/// Interfaces on top of an end.
#[netns_test]
fn a_macvlan_and_a_bridge_pass() {
    let sent = bytes(1 << 20);
    let mut net = Topology::new();
    net.impairable_links();
    let switch = net.switch("switch");
    let [a, b] = ["a", "b"].map(|name| net.host(name));
    let links = [a, b].map(|host| net.link(host, switch).id());
    let lab = net.build().unwrap();
    lab[links[0]].set_impairment(all_at_once()).unwrap();
    for (node, number) in [(a, 1), (b, 2)] {
        for words in [
            "link add link eth0 name mac0 type macvlan mode bridge".to_owned(),
            format!("address add 10.79.0.{number}/24 dev mac0"),
            "link set mac0 up".to_owned(),
        ] {
            let status = lab[node].command("ip").args(words.split(' ')).status().unwrap();
            assert!(status.success(), "{words}");
        }
    }
    let to = Ipv4Addr::new(10, 79, 0, 2);
    let listener = lab[b].run(|| TcpListener::bind((to, 80))).unwrap();
    let target = (to, 80).into();
    let near = lab[a].run(|| TcpStream::connect_timeout(&target, PATIENCE));
    let mut near = near.unwrap_or_else(|error| panic!("{to}: {error}"));
    let (mut far, _) = listener.accept().unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    let sent = &sent;
    thread::scope(|scope| {
        scope.spawn(move || near.write_all(sent).unwrap());
        far.read_to_end(&mut got).unwrap();
    });
    assert!(got == *sent, "{to}");
}

/// Changes of the lab while packets are on their way: no packet is lost from the counters.
#[netns_test]
fn counters_hold_while_the_lab_changes() {
    let mut net = Topology::new();
    let (a, b, one, two) = (net.host("a"), net.host("b"), net.switch("one"), net.switch("two"));
    let link = net.link(a, one).impair(all_at_once()).id();
    net.link(b, one).impairable();
    net.link(one, two).impairable();
    let mut lab = net.build().unwrap();
    let near = lab[a].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let to = (lab[b].ipv4(), 9);
    let flood = || (0..50).for_each(|_| drop(near.send_to(&[7; 1200], to)));
    let check = |lab: &Lab| {
        let stats = lab[link].stats().unwrap();
        for from in &stats.from {
            let came = from.received + from.injected + from.duplicated;
            let went = from.sent
                + from.lost
                + from.dropped_by_rule
                + from.dropped_by_queue
                + from.in_transit
                + from.undeliverable;
            assert_eq!(came, went, "{stats}");
        }
    };
    for round in 0..5 {
        flood();
        check(&lab);
        lab.move_link(link, if round % 2 == 0 { one } else { two }, [two, one][round % 2]).unwrap();
        flood();
        check(&lab);
        lab.power_off(b).unwrap();
        flood();
        check(&lab);
        lab.power_on(b).unwrap();
        let more = net.host(format!("more{round}"));
        net.link(more, one).impairable();
        flood();
        lab.extend(&net).unwrap();
        check(&lab);
        lab[link].down().unwrap();
        check(&lab);
        lab[link].up().unwrap();
        lab[link].hold().unwrap();
        flood();
        check(&lab);
        lab[link].release().unwrap();
        check(&lab);
    }
}

/// The first frames of the kernels wait until both ends of a link are up.
#[netns_test]
fn no_frame_is_lost_while_links_come_up() {
    for _ in 0..5 {
        let pair = Pair::new(Impairment::new());
        drop(pair.connection(&pair.listener(pair.server(false, 80))));
        let stats = pair.lab[pair.wan].stats().unwrap();
        assert!(stats.from.iter().all(|from| from.undeliverable == 0), "{stats}");
    }
}

/// Each node announces the groups of each of its ends.
#[netns_test(timeout = "100s")]
fn two_hundred_links_come_up_at_once() {
    let mut net = Topology::new();
    net.impairable_links();
    let (a, b) = (net.host("a"), net.host("b"));
    for _ in 0..200 {
        net.link(a, b);
    }
    let lab = net.build().unwrap();
    let last = lab.links().last().unwrap();
    netns_test_tests::eventually(PATIENCE, "a frame passes the last link", || {
        let stats = last.stats().unwrap();
        if stats.from[0].sent > 0 { Ok(()) } else { Err(stats.to_string()) }
    });
    // It panics if a frame was lost, or was very late.
    drop(lab);
}

/// A switch makes many copies of each frame, all at once.
#[netns_test]
fn a_switch_floods_many_links() {
    let mut net = Topology::new();
    net.impairable_links();
    let switch = net.switch("switch");
    let hosts = [(); 24].map(|()| ());
    let mut number = 0;
    let hosts = hosts.map(|()| {
        number += 1;
        net.host(format!("h{number}"))
    });
    let links = hosts.map(|host| net.link(host, switch).id());
    let lab = net.build().unwrap();
    let near = lab[hosts[0]].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    near.set_broadcast(true).unwrap();
    lab[links[0]].hold_from(hosts[0]).unwrap();
    for _ in 0..100 {
        near.send_to(b"all", "255.255.255.255:9")
            .unwrap_or_else(|_| near.send_to(b"all", (broadcast(&lab, hosts[0]), 9)).unwrap());
    }
    lab[links[0]].release().unwrap();
    netns_test_tests::eventually(PATIENCE, "all copies are there", || {
        let stats = lab[links[23]].stats().unwrap();
        if stats.from[1].sent >= 100 { Ok(()) } else { Err(stats.to_string()) }
    });
}

fn broadcast(lab: &Lab, host: NodeId) -> Ipv4Addr {
    let [a, b, c, _] = lab[host].ipv4().octets();
    Ipv4Addr::new(a, b, c, 255)
}
