//! Partitions: what is lost, what is not, and that nothing is left of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_test::{Node, netns_test};
use netns_test_tests::{Said as _, stdout_of};

use crate::net::{Mesh, PATIENCE, connection, row, switched, topology};

/// How long a test looks for what must not come.
const MOMENT: Duration = Duration::from_millis(200);

/// The rules of a host, of both families.
fn rules(host: &Node) -> [String; 2] {
    host.run(|| ["-4", "-6"].map(|family| stdout_of("ip", &[family, "rule", "show"])))
}

/// Pairs of one part have each packet, and what is sent from part to part is lost.
fn is_parted(mesh: &Mesh<'_>, parts: &[&[usize]]) {
    let part = |node: usize| parts.iter().position(|part| part.contains(&node));
    let count: usize = parts.iter().map(|part| part.len()).sum();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            if part(from) == part(to) { mesh.talks(from, to) } else { mesh.send(from, to) }
        }
    }
    for node in 0..count {
        mesh.has_nothing(node);
    }
}

#[netns_test]
fn two_sides_of_a_switch_hear_nothing_of_each_other() -> netns_test::Result<()> {
    let (net, nodes) = switched(5);
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, &nodes);
    let before: Vec<_> = lab.nodes().map(rules).collect();
    for _ in 0..3 {
        mesh.all_pairs_talk();
        lab.partition(&nodes[..2], &nodes[2..])?;
        is_parted(&mesh, &[&[0, 1], &[2, 3, 4]]);
        lab.heal()?;
        let after: Vec<_> = lab.nodes().map(rules).collect();
        assert_eq!(after, before);
    }
    // A packet that was late would be here now.
    mesh.all_pairs_talk();
    Ok(())
}

#[netns_test]
fn one_of_several_partitions_is_healed() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, &nodes);
    let before: Vec<_> = lab.nodes().map(rules).collect();
    // Or what is sent would wait for an Ethernet address, and for the end of the partition.
    mesh.all_pairs_talk();
    let first = lab.partition(&nodes[..1], &nodes[1..])?;
    let second = lab.partition(&nodes[..2], &nodes[2..])?;
    is_parted(&mesh, &[&[0], &[1], &[2]]);
    first.heal()?;
    // The pair 0 and 2 is in both.
    is_parted(&mesh, &[&[0, 1], &[2]]);
    // The handle of one that lasts can be dropped.
    drop(lab.partition(&nodes[..1], &nodes[1..2])?);
    is_parted(&mesh, &[&[0], &[1], &[2]]);
    lab.heal()?;
    second.heal()?;
    mesh.all_pairs_talk();
    let after: Vec<_> = lab.nodes().map(rules).collect();
    assert_eq!(after, before);
    Ok(())
}

#[netns_test]
fn a_partition_of_one_way_passes_the_other_way() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, &nodes);
    // Each node knows the Ethernet addresses of the others.
    mesh.all_pairs_talk();
    let cut = lab.partition_one_way(&nodes[..1], &nodes[1..2])?;
    mesh.send(0, 1);
    mesh.talks(1, 0);
    mesh.talks(2, 1);
    mesh.talks(0, 2);
    mesh.has_nothing(1);
    // A connection needs both ways.
    let port = 4000;
    for node in 0..2 {
        let own = lab[nodes[node]].run(|| TcpListener::bind(("::", port)))?;
        let to = lab.plan().address_of(nodes[node]).expect("an address");
        let from = &lab[nodes[1 - node]];
        let refused = from.run(|| TcpStream::connect_timeout(&(to, port).into(), MOMENT));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(own);
    }
    cut.heal()?;
    mesh.all_pairs_talk();
    Ok(())
}

/// No node needs an answer of the other side to send to it, at no time: neither does a packet wait
/// for one until the partition ends.
#[netns_test]
fn a_partition_of_one_way_passes_the_first_packet() -> netns_test::Result<()> {
    let mut net = topology();
    let (switch, a, b) = (net.switch("switch"), net.host("a"), net.host("b"));
    let wire = net.link(a, switch).id();
    net.link(b, switch);
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, &[a, b]);
    let is_permanent = |lab: &netns_test::Lab| {
        let snapshot = lab.snapshot().unwrap();
        let all = snapshot.nodes.iter().flat_map(|node| &node.neighbours);
        all.filter(|one| one.state == "PERMANENT").count() > 0
    };
    let cut = lab.partition_one_way(&[b], &[a])?;
    mesh.send(1, 0);
    mesh.talks(0, 1);
    cut.heal()?;
    assert!(!is_permanent(&lab));
    mesh.has_nothing(0);
    mesh.talks(1, 0);
    let cut = lab.partition_one_way(&[b], &[a])?;
    // These lose the entries of interfaces.
    lab[wire].down()?;
    lab[wire].up()?;
    mesh.talks(0, 1);
    assert!(is_permanent(&lab));
    for node in [a, b] {
        lab.power_off(node)?;
        lab.power_on(node)?;
        Mesh::new(&lab, &[a, b]).talks(0, 1);
    }
    cut.heal()?;
    assert!(!is_permanent(&lab));
    Mesh::new(&lab, &[a, b]).all_pairs_talk();
    Ok(())
}

/// A node without a neighbour entry for the other side gets no answer.
#[netns_test]
fn a_partition_before_the_first_packet() -> netns_test::Result<()> {
    let (net, nodes) = switched(4);
    let lab = net.build()?;
    lab.partition(&nodes[..1], &nodes[1..])?;
    let mesh = Mesh::new(&lab, &nodes);
    is_parted(&mesh, &[&[0], &[1, 2, 3]]);
    Ok(())
}

#[netns_test]
fn partitions_add_up_over_routers() -> netns_test::Result<()> {
    let (net, nodes) = row(3, true);
    let hosts = &nodes[3..];
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, hosts);
    mesh.all_pairs_talk();
    lab.partition(&hosts[..1], &hosts[1..2])?;
    for (from, to) in [(0, 2), (2, 0), (1, 2), (2, 1)] {
        mesh.talks(from, to);
    }
    lab.partition(&hosts[1..2], &hosts[2..])?;
    // The same once more changes nothing.
    lab.partition(&hosts[2..], &hosts[1..2])?;
    mesh.talks(0, 2);
    lab.partition(&hosts[..1], &hosts[2..])?;
    is_parted(&mesh, &[&[0], &[1], &[2]]);
    lab.heal()?;
    mesh.all_pairs_talk();
    Ok(())
}

/// The router is on the way from each host to the others.
#[netns_test]
fn a_router_forwards_nothing_of_the_other_side() -> netns_test::Result<()> {
    let (net, nodes) = crate::net::star(3);
    let lab = net.build()?;
    let mesh = Mesh::new(&lab, &nodes);
    // Or what is sent would wait for an Ethernet address, and for the end of the partition.
    mesh.all_pairs_talk();
    lab.partition(&nodes[..1], &nodes[3..])?;
    mesh.talks(1, 2);
    mesh.talks(1, 3);
    for to in 1..4 {
        mesh.send(0, to);
        mesh.has_nothing(to);
    }
    lab.heal()?;
    mesh.all_pairs_talk();
    Ok(())
}

#[netns_test]
fn connections_hang_and_go_on() -> netns_test::Result<()> {
    let (net, nodes) = row(2, false);
    let (near, far) = (nodes[2], nodes[3]);
    let lab = net.build()?;
    let ends = lab.plan().addresses_of(far).iter().map(|to| connection(&lab, near, far, *to));
    let mut ends: Vec<[TcpStream; 2]> = ends.collect();
    let mut buffer = [0; 16];
    for [one, other] in &mut ends {
        // The kernel has seen both directions, and takes its short ways now.
        for _ in 0..10 {
            one.write_all(b"ping")?;
            other.read_exact(&mut buffer[..4])?;
            other.write_all(b"pong")?;
            one.read_exact(&mut buffer[..4])?;
        }
    }
    lab.partition(&[near], &[far])?;
    for [one, other] in &mut ends {
        one.write_all(b"to the far end")?;
        other.write_all(b"to the near end")?;
        for end in [one, other] {
            end.set_read_timeout(Some(MOMENT))?;
            let error = end.read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            end.set_read_timeout(Some(PATIENCE))?;
        }
    }
    lab.heal()?;
    for [one, other] in &mut ends {
        other.read_exact(&mut buffer[..14])?;
        assert_eq!(&buffer[..14], b"to the far end");
        one.read_exact(&mut buffer[..15])?;
        assert_eq!(&buffer[..15], b"to the near end");
    }
    Ok(())
}

/// A refusal, or a word from a router, would end it at once.
#[netns_test]
fn a_partition_sends_no_icmp_and_no_rst() -> netns_test::Result<()> {
    let (net, nodes) = row(2, false);
    let (near, far) = (nodes[2], nodes[3]);
    let lab = net.build()?;
    lab.partition(&[far], &[near])?;
    for address in lab.plan().addresses_of(far) {
        let listener = lab[far].run(|| TcpListener::bind((*address, 80)))?;
        let target = SocketAddr::new(*address, 80);
        let error = lab[near].run(|| TcpStream::connect_timeout(&target, MOMENT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        listener.set_nonblocking(true)?;
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    Ok(())
}

#[netns_test]
fn mistakes_name_the_nodes_and_change_nothing() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let mut other = topology();
    let stranger = other.host("stranger");
    let lab = net.build()?;
    let switch = lab.plan().id(0);
    let before: Vec<_> = lab.nodes().map(rules).collect();
    let message = |one: &[_], other: &[_]| lab.partition(one, other).unwrap_err().said();
    assert_eq!(message(&nodes[..2], &nodes[1..]), "partition h1: it is on both sides");
    assert_eq!(
        message(&nodes[..1], &[switch]),
        "partition switch: it is a switch, and has no address; name the nodes on it"
    );
    assert_eq!(
        message(&[stranger], &nodes),
        "partition a node of another topology: it is not in this lab"
    );
    lab.partition(&[], &nodes)?;
    let after: Vec<_> = lab.nodes().map(rules).collect();
    assert_eq!(after, before);
    // There is no partition.
    lab.heal()
}

/// A rule that another program has added fails the call at the last node.
#[netns_test]
fn a_partition_that_fails_leaves_no_rule() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    let to_block = lab.plan().address_of(nodes[0]).unwrap().to_string();
    let words = ["rule", "add", "from", &to_block, "blackhole", "priority", "1"];
    lab[nodes[1]].run(|| stdout_of("ip", &words));
    let before: Vec<_> = lab.nodes().map(rules).collect();
    let message = lab.partition(&nodes[..1], &nodes[1..]).unwrap_err().said();
    assert!(message.starts_with("block 10.0.0.1 on h1: EEXIST"), "{message}");
    let after: Vec<_> = lab.nodes().map(rules).collect();
    assert_eq!(after, before);
    Ok(())
}

#[netns_test]
fn the_callers_own_rules_are_as_before() -> netns_test::Result<()> {
    let own = || ["-4", "-6"].map(|family| stdout_of("ip", &[family, "rule", "show"]));
    let before = own();
    let mut net = topology();
    let (local, far) = (net.local(), net.host("far"));
    net.link(local, far);
    let lab = net.build()?;
    lab.partition(&[local], &[far])?;
    let mesh = Mesh::new(&lab, &[local, far]);
    is_parted(&mesh, &[&[0], &[1]]);
    assert_ne!(own(), before);
    drop(mesh);
    drop(lab);
    assert_eq!(own(), before);
    Ok(())
}
