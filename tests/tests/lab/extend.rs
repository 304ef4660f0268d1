//! Labs that are extended while they run.

use std::io::{Read as _, Write as _};

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, NodeId, Topology, netns_test};
use netns_test_tests::{Said as _, stdout_of};

use crate::net::{Mesh, connection, star, switched, topology};
use crate::oracle;

/// Builds it, extends it by what `more` adds, and lets all talk.
fn grows(
    (mut net, mut nodes): (Topology, Vec<NodeId>),
    more: impl FnOnce(&mut Topology, &mut Vec<NodeId>),
) -> netns_test::Result<Lab> {
    let mut lab = net.build()?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    let ids: Vec<_> = lab.nodes().map(|host| host.netns().unwrap().id()).collect();
    let last = nodes.len() - 1;
    let address = lab.plan().addresses_of(nodes[last])[0];
    let [mut near, mut far] = connection(&lab, nodes[0], nodes[last], address);
    more(&mut net, &mut nodes);
    lab.extend(&net)?;
    assert_eq!(lab.plan(), &net.plan()?);
    Mesh::new(&lab, &nodes).all_pairs_talk();
    oracle::check(&lab);
    // What was there is there.
    let now: Vec<_> = lab.nodes().map(|host| host.netns().unwrap().id()).collect();
    assert_eq!(now[..ids.len()], ids);
    near.write_all(b"x")?;
    far.read_exact(&mut [0])?;
    // All know all by name.
    for host in lab.nodes().filter(|host| host.kind() != netns_test::lab::NodeKind::Switch) {
        let known = host.run(|| std::fs::read_to_string("/etc/hosts"))?;
        assert_eq!(known, lab.plan().hosts_file(nodes[0]), "{}", host.name());
    }
    Ok(lab)
}

#[netns_test]
fn hosts_are_added_to_a_router() -> netns_test::Result<()> {
    let lab = grows(star(2), |net, nodes| {
        for name in ["new0", "new1"] {
            nodes.push(net.host(name));
            net.link(nodes[nodes.len() - 1], nodes[2]);
        }
    })?;
    let (old, new) = (lab.node("h0").unwrap(), lab.node("new1").unwrap());
    old.wait(WAIT_LIMIT).reachable(new)?;
    old.command("true").status()?;
    assert_eq!(new.block_on(async { 7 }), 7);
    Ok(())
}

#[netns_test]
fn a_network_is_added_behind_a_new_router() -> netns_test::Result<()> {
    let lab = grows(star(2), |net, nodes| {
        let (router, switch) = (net.router("behind"), net.switch("floor"));
        net.link(nodes[2], router).name("uplink");
        net.link(router, switch);
        for name in ["desk0", "desk1"] {
            nodes.push(net.host(name));
            net.link(nodes[nodes.len() - 1], switch);
        }
        nodes.push(router);
    })?;
    // The new links are links as others.
    let uplink = lab.links().find(|link| link.name() == Some("uplink")).unwrap();
    uplink.down()?;
    uplink.up()?;
    lab.node("h0").unwrap().wait(WAIT_LIMIT).reachable("desk1")
}

#[netns_test]
fn hosts_are_added_to_a_switch() -> netns_test::Result<()> {
    grows(switched(2), |net, nodes| {
        let switch = net.plan().unwrap().id(0);
        nodes.push(net.host("new"));
        net.link(nodes[2], switch);
    })
    .map(drop)
}

#[netns_test]
fn repeated_extensions() -> netns_test::Result<()> {
    let (mut net, mut nodes) = star(1);
    let router = nodes[1];
    let mut lab = net.build()?;
    for number in 0..5 {
        nodes.push(net.host(format!("new{number}")));
        net.link(nodes[nodes.len() - 1], router);
        lab.extend(&net)?;
        Mesh::new(&lab, &nodes).all_pairs_talk();
    }
    oracle::check(&lab);
    // By nothing, and by a clone.
    lab.extend(&net.clone())?;
    oracle::check(&lab);
    // All that can be done with a host can be done with these.
    let last = nodes[nodes.len() - 1];
    lab.partition(&[last], &[nodes[0]])?;
    lab.power_off(last)?;
    lab.power_on(last)?;
    let mesh = Mesh::new(&lab, &[last, nodes[0], nodes[2]]);
    mesh.send(0, 1);
    mesh.talks(0, 2);
    mesh.talks(2, 1);
    mesh.has_nothing(1);
    drop(mesh);
    lab.heal()?;
    // Also with the old ones.
    lab.power_off(router)?;
    lab.power_on(router)?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

/// Its routes come with it.
#[netns_test]
fn a_network_is_added_behind_a_link_that_is_down() -> netns_test::Result<()> {
    let mut net = topology();
    let (a, one, two) = (net.host("a"), net.router("one"), net.router("two"));
    net.link(a, one);
    let wan = net.link(one, two).id();
    let mut lab = net.build()?;
    lab[wan].down()?;
    let b = net.host("b");
    net.link(two, b);
    lab.extend(&net)?;
    lab[wan].up()?;
    Mesh::new(&lab, &[a, one, two, b]).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

#[netns_test]
fn addresses_routes_and_sysctls_are_added() -> netns_test::Result<()> {
    let lab = grows(star(2), |net, nodes| {
        let link = net.link(nodes[0], nodes[2]).mtu(1400).id();
        net.node(nodes[1]).addr("lo", "203.0.113.1/32");
        net.node(nodes[0]).addr(link, "2001:db8::1/64").route("203.0.113.0/24", nodes[2]);
        net.node(nodes[2]).route("203.0.113.1/32", nodes[1]);
        net.node(nodes[1]).sysctl("net.ipv4.tcp_syn_retries", 2);
        net.node(nodes[0]).sysctl("net.ipv4.conf.eth1.arp_ignore", 1);
    })?;
    let (a, b) = (lab.plan().id(1), lab.plan().id(2));
    drop(connection(&lab, a, b, "203.0.113.1".parse().unwrap()));
    let read = |node: NodeId, path: &str| {
        let path = format!("/proc/sys/net/ipv4/{path}");
        lab[node].run(|| std::fs::read_to_string(path)).unwrap()
    };
    assert_eq!(read(b, "tcp_syn_retries"), "2\n");
    assert_eq!(read(a, "conf/eth1/arp_ignore"), "1\n");
    Ok(())
}

#[netns_test]
fn the_callers_network_is_extended_and_taken_back() -> netns_test::Result<()> {
    let state = || {
        let sysctl = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries").unwrap();
        (stdout_of("ip", &["address"]), std::fs::read_to_string("/etc/hosts").unwrap(), sysctl)
    };
    let before = state();
    let mut net = topology();
    let (own, first) = (net.local(), net.host("first"));
    net.link(own, first);
    let mut lab = net.build()?;
    let second = net.host("second");
    let link = net.link(own, second).id();
    net.node(own).addr("lo", "192.0.2.1/32").sysctl("net.ipv4.tcp_syn_retries", 3);
    lab.extend(&net)?;
    let talk = |lab: &Lab| {
        for other in [first, second] {
            for address in lab.plan().addresses_of(other) {
                drop(connection(lab, own, other, *address));
            }
        }
    };
    talk(&lab);
    assert!(std::fs::read_to_string("/etc/hosts").unwrap().contains("\tsecond\n"));
    lab[link].down()?;
    lab[link].up()?;
    talk(&lab);
    drop(lab);
    assert_eq!(state(), before);
    Ok(())
}

/// The error of an extension by what `more` adds; the lab is as before then.
fn refused(lab: &mut Lab, net: &Topology, more: impl FnOnce(&mut Topology)) -> String {
    let before = lab.snapshot().unwrap().stable();
    let mut net = net.clone();
    more(&mut net);
    let message = lab.extend(&net).unwrap_err().said();
    assert_eq!(lab.snapshot().unwrap().stable(), before, "{message}");
    message
}

#[netns_test]
fn what_is_there_does_not_change() -> netns_test::Result<()> {
    let (mut net, nodes) = star(2);
    let mut lab = net.build()?;
    let other = refused(&mut lab, &net, |net| {
        *net = topology();
        net.host("other");
    });
    assert_eq!(other, "extend the lab: it was not built from this topology");
    let stays = "would change: extend() only adds; build another lab";
    let renamed = refused(&mut lab, &net, |net| {
        net.node(nodes[0]).name("renamed");
    });
    assert_eq!(renamed, format!("extend h0: its name or its kind {stays}"));
    // With an explicit address the segment has another subnet.
    let moved = refused(&mut lab, &net, |net| {
        net.node(nodes[0]).addr("eth0", "192.0.2.1/24");
    });
    assert_eq!(moved, format!("extend eth0 of router: its addresses {stays}"));
    let own = refused(&mut lab, &net, |net| {
        net.local();
    });
    let expected = "extend local: the caller's own network cannot be added to a running lab";
    assert_eq!(own, expected);
    let twice = refused(&mut lab, &net, |net| {
        net.host("h0");
    });
    assert!(twice.contains("h0"), "{twice}");
    lab.power_off(nodes[0])?;
    let is_off = refused(&mut lab, &net, |_| ());
    assert_eq!(is_off, "use h0: it is powered off");
    lab.power_on(nodes[0])?;
    // And then it goes.
    let new = net.host("new");
    net.link(new, nodes[2]);
    lab.extend(&net)?;
    Mesh::new(&lab, &[nodes[0], nodes[1], nodes[2], new]).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

/// Refused at the first step, and at the last one, when all else is there.
#[netns_test]
fn what_is_refused_is_taken_back() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let mut lab = net.build()?;
    for name in ["no_such_thing", "conf.eth0.no_such_thing"] {
        let refused = refused(&mut lab, &net, |net| {
            net.link(nodes[0], nodes[1]);
            net.node(nodes[0]).addr("lo", "203.0.113.1/32");
            net.node(nodes[1]).route("203.0.113.0/24", nodes[2]);
            let new = net.host("new");
            net.link(new, nodes[2]);
            net.node(new).sysctl(format!("net.ipv4.{name}"), 1);
        });
        let path = name.replace('.', "/");
        let expected = format!("write /proc/sys/net/ipv4/{path} of new: ENOENT");
        assert!(refused.starts_with(&expected), "{refused}");
        Mesh::new(&lab, &nodes).all_pairs_talk();
        oracle::check(&lab);
    }
    Ok(())
}

/// The last step, when all else is there: the others do not know the new one either.
#[netns_test]
fn names_that_cannot_be_written_are_taken_back() -> netns_test::Result<()> {
    let (mut net, nodes) = star(2);
    let mut lab = net.build()?;
    let remount = |lab: &Lab, how: &str| {
        let how = format!("remount,bind,{how}");
        lab[nodes[1]].run(|| stdout_of("mount", &["-o", &how, "/etc/hosts"]));
    };
    let names =
        |lab: &Lab, node: NodeId| lab[node].run(|| std::fs::read_to_string("/etc/hosts")).unwrap();
    let before = names(&lab, nodes[0]);
    remount(&lab, "ro");
    let new = net.host("new");
    net.link(new, nodes[2]);
    let message = lab.extend(&net).unwrap_err().said();
    assert_eq!(message, "write /etc/hosts of h1: EROFS (Read-only file system)");
    assert!(nodes.iter().all(|node| names(&lab, *node) == before));
    assert!(lab.node("new").is_none());
    Mesh::new(&lab, &nodes).all_pairs_talk();
    oracle::check(&lab);
    remount(&lab, "rw");
    lab.extend(&net)?;
    assert!(nodes.iter().all(|node| names(&lab, *node).contains("new")));
    Mesh::new(&lab, &[nodes[0], nodes[1], nodes[2], new]).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

/// Also those of the test itself.
#[netns_test]
fn own_names_that_cannot_be_written_are_taken_back() -> netns_test::Result<()> {
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    net.link(own, host);
    let mut lab = net.build()?;
    let names = || std::fs::read_to_string("/etc/hosts").unwrap();
    let before = names();
    let new = net.host("new");
    net.link(new, own);
    stdout_of("mount", &["-o", "remount,bind,ro", "/run"]);
    let message = lab.extend(&net).unwrap_err().said();
    assert_eq!(message, "write /etc/hosts of local: EROFS (Read-only file system)");
    assert_eq!([names(), lab[host].run(names)], [before.clone(), before]);
    stdout_of("mount", &["-o", "remount,bind,rw", "/run"]);
    lab.extend(&net)?;
    assert!(names().contains("new") && lab[host].run(names).contains("new"));
    Mesh::new(&lab, &[own, host]).all_pairs_talk();
    Ok(())
}
