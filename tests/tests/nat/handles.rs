//! The handles of NATs and firewalls of a running lab.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use netns_test::lab::{Filtering, Firewall, Nat, NatProtocol, Traffic, Transport};
use netns_test::{Topology, netns_test};

use crate::home::{self, Home, PATIENCE, heard, seen_from, udp};

#[netns_test]
fn a_nat_translates_and_shows_its_mappings() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    assert_eq!(lab[home.home].nat().mappings()?, []);
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let outside = SocketAddr::new(home.outside(&lab), 5000);
    assert_eq!(seen_from(&laptop, &server, lab[home.server].ipv4().into()), outside);
    server.send_to(b"an answer", outside)?;
    assert_eq!(heard(&laptop).0, "an answer");
    let all = lab[home.home].nat().mappings()?;
    let [only] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(only.protocol, NatProtocol::Udp);
    assert_eq!(SocketAddr::from(only.inside), (lab[home.laptop].ipv4(), 5000).into());
    assert_eq!(SocketAddr::from(only.outside), outside);
    assert!(only.expires.is_some_and(|left| !left.is_zero() && left.as_secs() <= 300));
    Ok(())
}

#[netns_test]
fn the_inside_is_not_known_outside() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let address = lab[home.laptop].ipv4();
    let refused = lab[home.server].run(|| TcpStream::connect((address, 80))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NetworkUnreachable);
    let names = Home::names(&lab, home.laptop);
    assert!(names.contains(&"203.0.113.2 server".to_owned()), "{names:?}");
    let names = Home::names(&lab, home.server);
    assert!(names.iter().all(|line| !line.contains("192.168.")), "{names:?}");
    Ok(())
}

#[netns_test]
fn a_nat_of_another_kind() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let [one, two] = home.two_ports(&lab, &laptop);
    assert_eq!(one, two);
    lab[home.home].set_nat(Nat::symmetric())?;
    let [one, two] = home.two_ports(&lab, &laptop);
    assert_eq!([one.ip(), two.ip()], [home.outside(&lab); 2]);
    assert_ne!(one.port(), two.port());
    lab[home.home].set_nat(Nat::full_cone())?;
    let [one, two] = home.two_ports(&lab, &laptop);
    assert_eq!([one, two], [SocketAddr::new(home.outside(&lab), 5000); 2]);
    // All may send to the mapping.
    let other = udp(&lab, home.server, "0.0.0.0:0");
    other.send_to(b"from a third port", one)?;
    assert_eq!(heard(&laptop).0, "from a third port");
    Ok(())
}

#[netns_test]
fn a_restart_forgets_all_mappings() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::full_cone()));
    let lab = net.build()?;
    let nat = lab[home.home].nat();
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let forgets: [&dyn Fn() -> netns_test::Result<()>; 2] = [&|| nat.reboot(), &|| nat.flush()];
    for forget in forgets {
        let outside = seen_from(&laptop, &server, lab[home.server].ipv4().into());
        assert_eq!(nat.mappings()?.len(), 1);
        forget()?;
        assert_eq!(nat.mappings()?, []);
        server.send_to(b"lost", outside)?;
        // The next packet from inside makes a mapping again.
        assert_eq!(seen_from(&laptop, &server, lab[home.server].ipv4().into()), outside);
        server.send_to(b"heard", outside)?;
        assert_eq!(heard(&laptop).0, "heard");
    }
    Ok(())
}

#[netns_test]
fn a_port_is_forwarded_while_the_lab_runs() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let web = lab[home.laptop].run(|| TcpListener::bind("0.0.0.0:443"))?;
    let outside = SocketAddr::new(home.outside(&lab), 8443);
    let connect = || lab[home.server].run(|| TcpStream::connect_timeout(&outside, PATIENCE));
    lab[home.home].forward_port(home.wan, Transport::Tcp, 8443, home.laptop, 443)?;
    let mut there = connect()?;
    let (mut here, from) = web.accept()?;
    assert_eq!(from.ip(), IpAddr::from(lab[home.server].ipv4()));
    there.write_all(b"x")?;
    here.read_exact(&mut [0])?;
    // Outside, its name leads to the forwarded port.
    let names = Home::names(&lab, home.server);
    assert!(names.contains(&"203.0.113.1 laptop".to_owned()), "{names:?}");
    lab[home.home].remove_forward(home.wan, Transport::Tcp, 8443)?;
    let names = Home::names(&lab, home.server);
    assert!(!names.contains(&"203.0.113.1 laptop".to_owned()), "{names:?}");
    let limit = std::time::Duration::from_millis(300);
    let refused = lab[home.server].run(|| TcpStream::connect_timeout(&outside, limit));
    assert!(refused.is_err());
    let error = lab[home.home].remove_forward(home.wan, Transport::Tcp, 8443).unwrap_err();
    assert!(
        error.to_string().contains("remove tcp port 8443 of home: it is not forwarded"),
        "{error}"
    );
    Ok(())
}

#[netns_test]
fn another_outside_address_is_translated_to_at_once() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let to = lab[home.server].ipv4().into();
    assert_eq!(seen_from(&laptop, &server, to).ip(), home.outside(&lab));
    lab[home.home].interface(home.wan).set_addr("203.0.113.9/24")?;
    // New endpoints, and those that had a mapping before.
    let other = udp(&lab, home.laptop, "0.0.0.0:5001");
    for (socket, port) in [(other, 5001), (laptop, 5000)] {
        let now = SocketAddr::new("203.0.113.9".parse().unwrap(), port);
        assert_eq!(seen_from(&socket, &server, to), now);
        server.send_to(b"an answer", now)?;
        assert_eq!(heard(&socket).0, "an answer");
    }
    Ok(())
}

#[netns_test]
fn a_nat_comes_and_goes() -> netns_test::Result<()> {
    let (net, home) = home::net(None);
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let to = lab[home.server].ipv4().into();
    let inside = SocketAddr::from((lab[home.laptop].ipv4(), 5000));
    for _ in 0..2 {
        assert_eq!(seen_from(&laptop, &server, to), inside);
        server.send_to(b"straight", inside)?;
        assert_eq!(heard(&laptop).0, "straight");
        let names = Home::names(&lab, home.server);
        assert!(names.contains(&"192.168.1.1 laptop".to_owned()), "{names:?}");
        lab[home.home].set_nat_on(home.wan, Nat::home())?;
        assert_eq!(seen_from(&laptop, &server, to), SocketAddr::new(home.outside(&lab), 5000));
        assert!(server.send_to(b"no route", inside).is_err());
        let names = Home::names(&lab, home.server);
        assert!(names.iter().all(|line| !line.contains("192.168.")), "{names:?}");
        lab[home.home].remove_nat()?;
    }
    Ok(())
}

#[netns_test]
fn a_pool_of_external_addresses_comes_and_goes() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let to = lab[home.server].ipv4().into();
    let pool = ["203.0.113.50", "203.0.113.51"].map(|one| one.parse().unwrap());
    lab[home.home].set_nat(Nat::home().pool(pool))?;
    let seen = seen_from(&laptop, &server, to);
    assert!(pool.contains(&match seen.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => panic!(),
    }));
    server.send_to(b"an answer", seen)?;
    assert_eq!(heard(&laptop).0, "an answer");
    lab[home.home].set_nat(Nat::home())?;
    assert_eq!(seen_from(&laptop, &server, to).ip(), home.outside(&lab));
    let addresses = &lab.snapshot()?[home.home].interface("eth1").unwrap().addresses.clone();
    assert!(addresses.iter().all(|one| one.to_string() != "203.0.113.50/32"), "{addresses:?}");
    Ok(())
}

/// Also after an error: addresses that a program has added or removed are as it has left them.
#[netns_test]
fn external_addresses_of_programs_stay() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let [own, other] = ["203.0.113.50", "203.0.113.51"];
    let addresses = || -> netns_test::Result<Vec<String>> {
        let snapshot = lab.snapshot()?;
        let all = &snapshot[home.home].interface("eth1").unwrap().addresses;
        let of_ipv4 = all.iter().map(ToString::to_string).filter(|one| !one.contains(':'));
        Ok(of_ipv4.skip(1).collect())
    };
    let wan = lab[home.home].interface(home.wan);
    wan.add_addr(format!("{own}/32"))?;
    lab[home.home].set_nat(Nat::home().pool([own, other].map(|one| one.parse().unwrap())))?;
    assert_eq!(addresses()?, [format!("{own}/32"), format!("{other}/32")]);
    wan.remove_addr(format!("{own}/32"))?;
    // The server would get a route to the inside, but cannot reach the router.
    let server = lab[home.server].interface(home.wan);
    let of_server = format!("{}/24", lab[home.server].ipv4());
    server.remove_addr(&*of_server)?;
    let error = lab[home.home].remove_nat().unwrap_err().to_string();
    assert!(error.contains("server"), "{error}");
    assert_eq!(addresses()?, [format!("{other}/32")]);
    server.add_addr(&*of_server)?;
    lab[home.home].remove_nat()?;
    assert_eq!(addresses()?, [""; 0]);
    Ok(())
}

#[netns_test]
fn a_firewall_is_set_counts_and_goes() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let to: IpAddr = lab[home.server].ipv4().into();
    let router = &lab[home.home];
    let drop_quic = Firewall::new()
        .rule(
            netns_test::lab::FirewallDirection::Out,
            Traffic::udp(443),
            netns_test::lab::FirewallAction::Drop,
        )
        .deny_in();
    router.set_firewall(drop_quic)?;
    for _ in 0..3 {
        laptop.send_to(b"dropped", (to, 443))?;
    }
    // The others pass.
    seen_from(&laptop, &server, to);
    let rules = router.firewall_rules()?;
    let quic = rules.iter().find(|rule| rule.text.contains("udp 443")).unwrap();
    assert_eq!(quic.packets, 3, "{rules:?}");
    router.remove_firewall()?;
    let quic = udp(&lab, home.server, "0.0.0.0:443");
    seen_from(&laptop, &quic, to);
    let error = router.firewall_rules().unwrap_err().to_string();
    assert!(error.contains("list the firewall of home: it has none"), "{error}");
    Ok(())
}

/// A new firewall ends the flows that it does not let pass, and no others.
#[netns_test]
fn a_firewall_is_set_in_the_middle_of_flows() -> netns_test::Result<()> {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build()?;
    let [quic, dns] = [443, 53].map(|port| udp(&lab, home.server, &format!("0.0.0.0:{port}")));
    let [to_quic, to_dns] = ["0.0.0.0:5000", "0.0.0.0:5001"].map(|own| udp(&lab, home.laptop, own));
    let to: IpAddr = lab[home.server].ipv4().into();
    let back = [(&quic, &to_quic), (&dns, &to_dns)].map(|(at, from)| seen_from(from, at, to));
    let listener = lab[home.server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    let mut stream = lab[home.laptop].run(|| TcpStream::connect((to, 80)))?;
    let mut other = listener.accept()?.0;
    let open = Firewall::new().allow_out(Traffic::udp(53)).allow_out(Traffic::tcp(80)).deny_in();
    lab[home.home].set_firewall(open.deny_out())?;
    // Neither way.
    to_quic.send_to(b"dropped", (to, 443))?;
    quic.send_to(b"dropped", back[0])?;
    // The others continue, also where the server is the first to send.
    dns.send_to(b"pushed", back[1])?;
    assert_eq!(heard(&to_dns).0, "pushed");
    assert_eq!(seen_from(&to_dns, &dns, to), back[1]);
    other.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    for socket in [&quic, &to_quic] {
        socket.set_nonblocking(true)?;
        assert_eq!(socket.recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    lab[home.home].remove_firewall()?;
    quic.set_nonblocking(false)?;
    assert_eq!(seen_from(&to_quic, &quic, to), back[0]);
    Ok(())
}

#[netns_test]
fn a_firewall_of_a_host() -> netns_test::Result<()> {
    let (net, home) = home::net(None);
    let lab = net.build()?;
    let laptop = udp(&lab, home.laptop, "0.0.0.0:5000");
    let server = udp(&lab, home.server, "0.0.0.0:53");
    let inside = SocketAddr::from((lab[home.laptop].ipv4(), 5000));
    lab[home.laptop].set_firewall(Firewall::home())?;
    server.send_to(b"unasked", inside)?;
    seen_from(&laptop, &server, lab[home.server].ipv4().into());
    server.send_to(b"an answer", inside)?;
    assert_eq!(heard(&laptop).0, "an answer");
    Ok(())
}

#[netns_test]
fn errors_name_node_and_step() -> netns_test::Result<()> {
    let (mut net, home) = home::net(Some(Nat::home()));
    let second = net.router("second");
    let [up, also_up] = [net.link(second, home.server).id(), net.link(second, home.server).id()];
    net.nat(second, up, Nat::home());
    net.nat(second, also_up, Nat::home());
    let lab = net.build()?;
    let text = |result: netns_test::Result<()>| result.unwrap_err().to_string();
    let stranger = Topology::new().host("stranger");
    let none = text(lab[home.laptop].set_nat(Nat::home()));
    assert!(none.contains("set the NAT of laptop: it has none"), "{none}");
    assert!(none.contains("set_nat_on"), "{none}");
    let none = text(lab[home.server].remove_nat());
    assert!(none.contains("remove the NAT of server: it has none"), "{none}");
    let two = text(lab[second].set_nat(Nat::home()));
    assert!(two.contains("set the NAT of second: it has 2 of them"), "{two}");
    lab[second].set_nat_on(up, Nat::symmetric())?;
    let host = text(lab[home.laptop].set_nat_on(home.lan, Nat::home()));
    assert!(host.contains("laptop"), "{host}");
    // All mistakes at once, as in a plan.
    let never = std::time::Duration::ZERO;
    let bad = Nat::home().filtering(Filtering::EndpointIndependent).udp_timeout(never);
    let bad =
        text(lab[home.home].set_nat(bad.one_to_one("203.0.113.7".parse().unwrap(), stranger)));
    assert!(bad.contains("home") && bad.lines().count() > 2, "{bad}");
    let none = text(lab[home.laptop].nat().flush());
    assert!(none.contains("flush the NAT of laptop: it has none"), "{none}");
    lab.power_off(home.home)?;
    assert!(lab[home.home].set_nat(Nat::symmetric()).unwrap_err().is_powered_off());
    assert!(lab[home.home].nat().mappings().unwrap_err().is_powered_off());
    assert!(lab[home.home].set_firewall(Firewall::home()).unwrap_err().is_powered_off());
    Ok(())
}
