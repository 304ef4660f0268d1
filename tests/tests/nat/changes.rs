//! NATs that change while packets pass: kinds, flushes, restarts, addresses, roaming.

use std::net::{IpAddr, SocketAddr, TcpStream};

use netns_test::lab::{Nat, WAIT_LIMIT};
use netns_test::{Topology, netns_test};

use netns_test_tests::packets::{Udp, World, heard};

#[netns_test]
fn another_kind_of_nat_is_found_by_the_probe() {
    let world = World::new(Nat::home());
    let (lab, home) = (&world.lab, &world.lab[world.home]);
    for nat in [Nat::symmetric(), Nat::full_cone(), Nat::home()] {
        home.set_nat(nat.clone()).unwrap();
        let found = lab.nat_kind(world.alice, world.a, world.b).unwrap();
        assert_eq!(found, nat, "found: {found}");
    }
    home.remove_nat().unwrap();
    let found = lab.nat_kind(world.alice, world.a, world.b).unwrap();
    assert!(!found.is_translated(), "{found}");
    home.set_nat_on(world.wan, Nat::home()).unwrap();
    let found = lab.nat_kind(world.alice, world.a, world.b).unwrap();
    assert_eq!(found, Nat::home(), "{found}");
}

#[netns_test]
fn a_flush_and_a_restart_forget_mappings() {
    let world = World::new(Nat::full_cone().port_preservation(false));
    let nat = world.lab[world.home].nat();
    let [a, b] = [world.a, world.b].map(|server| world.udp(server, 3478));
    for is_restart in [false, true, false] {
        let [alice, marker] = [5000, 0].map(|port| world.udp(world.alice, port));
        let external = alice.talks(&a);
        assert_eq!(b.reaches(external, &alice), b.at);
        let is_hers = |one: &netns_test::lab::NatMapping| {
            SocketAddr::from(one.inside) == alice.at && SocketAddr::from(one.outside) == external
        };
        let mappings = nat.mappings().unwrap();
        assert!(mappings.iter().any(is_hers), "{mappings:?}");
        if is_restart {
            nat.reboot().unwrap();
        } else {
            nat.flush().unwrap();
        }
        let mappings = nat.mappings().unwrap();
        assert_eq!(mappings, [], "after restart: {is_restart}");
        let late = || {
            b.send(external);
        };
        assert_eq!(heard(&alice, (&marker, &a), late), None, "after restart: {is_restart}");
        let new = alice.talks(&a);
        assert_ne!(new, external);
        assert_eq!(b.reaches(new, &alice), b.at);
    }
}

#[netns_test]
fn the_translation_follows_the_address_of_the_outside_interface() {
    let mut net = Topology::new();
    let (alice, home, server) = (net.host("alice"), net.router("home"), net.host("server"));
    net.link(alice, home);
    let wan = net.link(home, server).subnet("203.0.113.0/24").id();
    net.nat(home, wan, Nat::full_cone());
    let lab = net.build().unwrap();
    let (server, alice) = (Udp::open(&lab[server], 3478), Udp::open(&lab[alice], 5000));
    let before = alice.talks(&server);
    let interface = lab[home].interface(wan);
    interface.add_addr("203.0.113.99/24").unwrap();
    interface.remove_addr(format!("{}/24", before.ip())).unwrap();
    let after = alice.talks(&server);
    assert_eq!(after.ip(), IpAddr::from([203, 0, 113, 99]));
    assert_eq!(server.reaches(after, &alice), server.at);
}

#[netns_test]
fn a_host_roams_from_one_nat_to_another() {
    let mut net = Topology::new();
    let (alice, server) = (net.host("alice"), net.host("server"));
    let internet = net.switch("internet");
    net.link(server, internet);
    let mut lans = Vec::new();
    let mut outsides = Vec::new();
    for name in ["home", "mobile"] {
        let (router, lan) = (net.router(name), net.switch(&*format!("{name}-lan")));
        net.link(router, lan);
        let wan = net.link(router, internet).id();
        net.nat(router, wan, Nat::home());
        outsides.push((router, wan));
        lans.push(lan);
    }
    let cable = net.link(alice, lans[0]).id();
    let lab = net.build().unwrap();
    let server_end = Udp::open(&lab[server], 3478);
    let end = Udp::open(&lab[alice], 5000);
    let external = |at: usize| lab[outsides[at].0].address_on(outsides[at].1);
    // The socket is bound to no address, so it goes on.
    assert_eq!(end.talks(&server_end).ip(), external(0));
    for (from, to) in [(0, 1), (1, 0)] {
        lab.move_link(cable, lans[from], lans[to]).unwrap();
        assert_eq!(end.talks(&server_end).ip(), external(to));
    }
}

#[netns_test]
fn a_nat_is_there_after_a_power_cut() {
    let world = World::new(Nat::home());
    let lab = &world.lab;
    lab.power_off(world.home).unwrap();
    lab.power_on(world.home).unwrap();
    lab[world.alice].wait(WAIT_LIMIT).reachable(world.a).unwrap();
    let found = lab.nat_kind(world.alice, world.a, world.b).unwrap();
    assert_eq!(found, Nat::home(), "{found}");
    lab[world.home].set_nat(Nat::symmetric()).unwrap();
    lab.power_off(world.home).unwrap();
    lab.power_on(world.home).unwrap();
    lab[world.alice].wait(WAIT_LIMIT).reachable(world.a).unwrap();
    let found = lab.nat_kind(world.alice, world.a, world.b).unwrap();
    assert_eq!(found, Nat::symmetric(), "{found}");
}

#[netns_test]
fn a_tcp_connection_breaks_at_a_restart_and_a_new_one_does_not() {
    let world = World::new(Nat::home());
    let (lab, a) = (&world.lab, &world.lab[world.a]);
    let _reflector = a.reflector(80).unwrap();
    let to = (a.ipv4(), 80);
    let seen = || {
        let mut stream = lab[world.alice].run(|| TcpStream::connect(to)).unwrap();
        let mut seen = String::new();
        std::io::Read::read_to_string(&mut stream, &mut seen).unwrap();
        seen.parse::<SocketAddr>().unwrap()
    };
    assert_eq!(seen().ip(), world.external());
    lab[world.home].nat().reboot().unwrap();
    assert_eq!(seen().ip(), world.external());
}
