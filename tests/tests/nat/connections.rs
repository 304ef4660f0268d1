//! Open TCP connections when a firewall is set, and when a router forgets them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};

use netns_test::lab::{Firewall, Nat, Node, NodeId, Traffic};
use netns_test::{Lab, netns_test};
use netns_test_tests::eventually;

use crate::home::{self, PATIENCE};

/// Returns both ends of a new connection, that of the client first.
fn connection(lab: &Lab, from: NodeId, (to, port): (IpAddr, u16), at: NodeId) -> [TcpStream; 2] {
    let listener = lab[at].run(|| TcpListener::bind((to, port))).unwrap();
    let near = lab[from].run(|| TcpStream::connect((to, port))).unwrap();
    let far = listener.accept().unwrap().0;
    [near, far].map(|end| {
        end.set_read_timeout(Some(PATIENCE)).unwrap();
        end
    })
}

fn goes_on([near, far]: &mut [TcpStream; 2]) {
    let send = |from: &mut TcpStream, to: &mut TcpStream| {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
    };
    // The server is the first to send.
    send(far, near);
    send(near, far);
}

/// Sends both ways until a firewall has dropped segments of both, and nothing has come.
fn has_ended(ends: &mut [TcpStream; 2], router: &Node) {
    let dropped = || {
        let rules = router.firewall_rules().unwrap();
        let of = |text: &str| {
            rules.iter().filter(|rule| rule.text.contains(text)).map(|rule| rule.packets).sum()
        };
        ["drop out tcp of no", "drop in tcp of no"].map(of)
    };
    let before: [u64; 2] = dropped();
    for end in &mut *ends {
        end.write_all(b"lost").unwrap();
    }
    eventually(PATIENCE, "both rules have dropped", || {
        let now = dropped();
        let both = now.iter().zip(before).all(|(now, before)| *now != before);
        both.then_some(()).ok_or_else(|| router.firewall_rules().unwrap())
    });
    for end in ends {
        end.set_nonblocking(true).unwrap();
        assert_eq!(end.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

/// The router has followed no connection before.
#[netns_test]
fn a_first_firewall_ends_what_it_does_not_let_pass_and_nothing_else() {
    let (net, home) = home::net(None);
    let lab = net.build().unwrap();
    let both = |node: NodeId| [IpAddr::from(lab[node].ipv4()), IpAddr::from(lab[node].ipv6())];
    let open = |from: NodeId, to: NodeId, port: u16| {
        both(to).map(|address| connection(&lab, from, (address, port), to))
    };
    let mut kept = [open(home.laptop, home.server, 80), open(home.server, home.laptop, 40022)];
    let mut ended = [open(home.laptop, home.server, 40025), open(home.server, home.laptop, 81)];
    let firewall = Firewall::new().outside(home.wan).allow_out(Traffic::tcp(80));
    let firewall = firewall.allow_in(Traffic::tcp(40022)).deny_out().deny_in();
    lab[home.home].set_firewall(firewall.clone()).unwrap();
    kept.iter_mut().flatten().for_each(goes_on);
    ended.iter_mut().flatten().for_each(|ends| has_ended(ends, &lab[home.home]));
    // What one firewall knows, the next one knows, too; without one, all is as before.
    lab[home.home].set_firewall(firewall.allow_out(Traffic::udp(53))).unwrap();
    kept.iter_mut().flatten().for_each(goes_on);
    lab[home.home].remove_firewall().unwrap();
    kept.iter_mut().flatten().for_each(goes_on);
    lab[home.home].set_firewall(Firewall::new().outside(home.wan).deny_in()).unwrap();
    kept[0].iter_mut().for_each(goes_on);
}

#[netns_test]
fn a_first_firewall_of_a_host_knows_its_connections() {
    let (net, home) = home::net(None);
    let lab = net.build().unwrap();
    let to = lab[home.server].ipv4().into();
    let mut ends = connection(&lab, home.laptop, (to, 80), home.server);
    let own = lab[home.laptop].run(|| TcpListener::bind("127.0.0.1:0")).unwrap();
    let inner = lab[home.laptop].run(|| TcpStream::connect(own.local_addr().unwrap())).unwrap();
    let mut inner = [inner, own.accept().unwrap().0];
    lab[home.laptop].set_firewall(Firewall::home()).unwrap();
    goes_on(&mut ends);
    goes_on(&mut inner);
}

#[netns_test]
fn a_firewall_of_a_nat_and_a_restart_end_connections() {
    let (net, home) = home::net(Some(Nat::home()));
    let lab = net.build().unwrap();
    let to = lab[home.server].ipv4().into();
    let open = |port: u16| connection(&lab, home.laptop, (to, port), home.server);
    let [mut web, mut mail] = [80, 25].map(open);
    let firewall = Firewall::new().allow_out(Traffic::tcp(80)).deny_out().deny_in();
    lab[home.home].set_firewall(firewall).unwrap();
    goes_on(&mut web);
    mail[0].write_all(b"lost").unwrap();
    lab[home.home].nat().reboot().unwrap();
    web[0].write_all(b"lost").unwrap();
    let mut new = open(80);
    goes_on(&mut new);
    // From outside they are for the router itself, which is closed; from inside they are dropped.
    for ends in [&mut web, &mut mail] {
        for end in ends {
            end.set_nonblocking(true).unwrap();
            assert_eq!(end.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }
}
