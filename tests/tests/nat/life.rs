//! NATs and firewalls over power cycles, extensions and moves of links.

use std::net::{IpAddr, SocketAddr};

use netns_test::lab::{Firewall, Nat, NodeId, Traffic, WAIT_LIMIT};
use netns_test::{Topology, netns_test};

use crate::home::{self, Home, heard, seen_from, udp};

#[netns_test]
fn a_router_comes_back_with_what_was_set() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let cycle = || lab.power_off(home.home).and_then(|()| lab.power_on(home.home));
    cycle()?;
    let [one, two] = home.two_ports(&lab, &laptop);
    assert_eq!(one, two);
    lab[home.home].set_nat(Nat::symmetric())?;
    lab[home.home].set_firewall(Firewall::new().deny_in())?;
    cycle()?;
    let [one, two] = home.two_ports(&lab, &laptop);
    assert_ne!(one.port(), two.port());
    assert_eq!(one.ip(), home.outside(&lab));
    assert!(!lab[home.home].firewall_rules()?.is_empty());
    Ok(())
}

#[netns_test]
fn what_was_set_outlives_an_extension() -> netns_test::Result<()> {
    let (mut net, home) = home::net(Some(Nat::home()));
    let mut lab = net.build()?;
    lab[home.home].set_nat(Nat::symmetric())?;
    let tablet = net.host("tablet");
    net.link(tablet, home.home);
    lab.extend(&net)?;
    for node in [home.laptop, tablet] {
        let socket = udp(&lab, node, "0.0.0.0:5000");
        let [one, two] = home.two_ports(&lab, &socket);
        assert_ne!(one.port(), two.port());
        assert_eq!(one.ip(), home.outside(&lab));
    }
    // Until the topology declares another one than before.
    net.nat(home.home, home.wan, Nat::full_cone());
    lab.extend(&net)?;
    let socket = udp(&lab, home.laptop, "0.0.0.0:6000");
    let [one, two] = home.two_ports(&lab, &socket);
    assert_eq!([one, two], [SocketAddr::new(home.outside(&lab), 6000); 2]);
    Ok(())
}

#[netns_test]
fn an_extension_brings_a_home() -> netns_test::Result<()> {
    let (mut net, home) = home::net(Some(Nat::home()));
    let mut lab = net.build()?;
    let (phone, other) = (net.host("phone"), net.router("other"));
    // The same subnet as in the first home.
    net.link(phone, other).subnet("192.168.1.0/24");
    let wan = net.link(other, home.server).subnet("198.51.100.0/24").id();
    net.nat(other, wan, Nat::home());
    net.firewall(other, Firewall::home());
    lab.extend(&net)?;
    assert_eq!(lab[phone].ipv4(), lab[home.laptop].ipv4());
    let socket = udp(&lab, phone, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:0");
    let seen = seen_from(&socket, &server, lab[home.server].address_on(wan));
    assert_eq!(seen, SocketAddr::new(lab[other].address_on(wan), 5000));
    let names = Home::names(&lab, home.server);
    assert!(names.iter().all(|line| !line.contains("192.168.")), "{names:?}");
    assert!(Home::names(&lab, phone).contains(&"192.168.1.1 phone".to_owned()));
    assert!(Home::names(&lab, home.laptop).contains(&"192.168.1.1 laptop".to_owned()));
    Ok(())
}

/// Two homes with the same subnet, and a laptop that goes from one to the other.
#[netns_test]
fn a_laptop_roams_from_one_nat_to_another() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (laptop, server) = (net.host("laptop"), net.host("server"));
    let core = net.router("core");
    net.link(core, server);
    let homes = [("cafe", "203.0.113.0/24"), ("home", "198.51.100.0/24")].map(|(name, outside)| {
        let router = net.router(name);
        let lan = net.switch(format!("{name}-lan"));
        let desk = net.host(format!("{name}-desk"));
        net.link(router, lan).subnet("192.168.1.0/24");
        net.link(desk, lan);
        let wan = net.link(router, core).subnet(outside).id();
        net.nat(router, wan, Nat::home());
        (router, lan, wan, desk)
    });
    let [cafe, home] = homes;
    let radio = net.link(laptop, cafe.1).id();
    let lab = net.build()?;
    let at = udp(&lab, server, "0.0.0.0:53");
    let to: IpAddr = lab[server].ipv4().into();
    for ((router, lan, wan, desk), (_, from, ..)) in [(home, cafe), (cafe, home), (home, cafe)] {
        lab.move_link(radio, from, lan)?;
        let socket = udp(&lab, laptop, "0.0.0.0:5000");
        let seen = seen_from(&socket, &at, to);
        assert_eq!(seen, SocketAddr::new(lab[router].address_on(wan), 5000));
        at.send_to(b"an answer", seen)?;
        assert_eq!(heard(&socket).0, "an answer");
        // The new network has its names.
        lab[laptop].wait(WAIT_LIMIT).reachable(lab[desk].ipv4())?;
        let names = Home::names(&lab, laptop);
        let own = format!("{} {}", lab[desk].ipv4(), lab[desk].name());
        assert!(names.contains(&own), "{names:?} without {own}");
    }
    Ok(())
}

#[netns_test]
fn a_snapshot_shows_nats_and_firewalls() -> netns_test::Result<()> {
    let (mut net, home) = home::net(Some(Nat::home()));
    net.firewall(home.home, Firewall::new().allow_out(Traffic::udp(53)).deny_out().deny_in());
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    seen_from(&laptop, &server, lab[home.server].ipv4().into());
    let snapshot = lab.snapshot()?;
    let router = &snapshot[home.home];
    let [nat] = router.nats.as_slice() else { panic!("{router}") };
    assert_eq!(nat.mappings.len(), 1);
    let text = router.to_string();
    for part in [
        "NAT on eth1: endpoint-independent mapping, address and port-dependent filtering",
        "udp 192.168.1.1:5000 = 203.0.113.1:5000",
        "allow out udp 53: 1 packet",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    drop((laptop, server));
    let stable = snapshot.stable();
    assert_eq!(stable[home.home].nats[0].mappings, []);
    assert_eq!(stable[home.laptop].nats, []);
    assert!(!stable.to_string().contains("5000 = "));
    lab[home.home].nat().reboot()?;
    assert_eq!(stable[home.home], lab.snapshot()?.stable()[home.home]);
    Ok(())
}

/// A failed change leaves all as it was.
#[netns_test]
fn a_mistake_changes_nothing() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let before = lab.snapshot()?.stable();
    let stranger: NodeId = Topology::new().host("stranger");
    let bad = Nat::symmetric().one_to_one("203.0.113.99".parse().unwrap(), stranger);
    lab[home.home].set_nat(bad).unwrap_err();
    lab[home.home]
        .set_firewall(Firewall::new().allow_in(Traffic::any().from(stranger)))
        .unwrap_err();
    assert_eq!(before, lab.snapshot()?.stable());
    Ok(())
}
