//! Changes that come at the same time as others, and partitions that hold from the first moment of
//! what is new.

use std::net::{Ipv6Addr, SocketAddrV6, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, Node, NodeId, Topology, netns_test};
use netns_test_tests::{eventually, stdout_of};

use crate::net::{Mesh, star, switched};
use crate::oracle::{ip, text};
use crate::two_hosts;

/// How long a test looks for what must not come.
const MOMENT: Duration = Duration::from_millis(200);

/// Does `meanwhile` on another thread again and again, as long as `work` takes.
fn during(
    meanwhile: impl Fn() + Send + Sync,
    work: impl FnOnce() -> netns_test::Result<()>,
) -> netns_test::Result<()> {
    /// Also where `work` panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let again = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                meanwhile();
            }
        });
        let over = Over(&is_over);
        let value = work();
        drop(over);
        again.join().unwrap();
        value
    })
}

fn rules(host: &Node) -> String {
    host.run(|| ["-4", "-6"].map(|family| stdout_of("ip", &[family, "rule", "show"])).concat())
}

/// The link-local address of `eth0`, and its index.
fn link_local(host: &Node) -> (Ipv6Addr, u32) {
    let link = &ip(host, &["address", "show", "dev", "eth0"])[0];
    let mut all = link["addr_info"].as_array().unwrap().iter();
    let own = all.find(|one| text(one, "scope") == "link").unwrap();
    let index = u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap();
    (text(own, "local").parse().unwrap(), index)
}

#[netns_test]
fn one_of_two_addresses_is_set_last() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let set = |last: usize| lab[client].interface("eth0").set_addr(format!("10.0.0.{last}/24"));
    for round in 0..50 {
        std::thread::scope(|scope| {
            let both = [2 * round + 20, 2 * round + 21].map(|last| scope.spawn(move || set(last)));
            both.map(|one| one.join().unwrap()).into_iter().collect::<netns_test::Result<()>>()
        })?;
        let link = &ip(&lab[client], &["-4", "address", "show", "dev", "eth0"])[0];
        assert_eq!(link["addr_info"].as_array().unwrap().len(), 1, "{link}");
    }
    Ok(())
}

#[netns_test]
fn a_link_goes_up_and_down_while_it_moves() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (one, two) = (net.switch("one"), net.switch("two"));
    let (roamer, host) = (net.host("roamer"), net.host("host"));
    let link = net.link(roamer, one).id();
    net.link(host, one);
    net.link(one, two);
    let lab = net.build()?;
    let down_and_up = || lab[link].down().and_then(|()| lab[link].up()).unwrap();
    during(down_and_up, || {
        for _ in 0..30 {
            lab.move_link(link, one, two)?;
            lab.move_link(link, two, one)?;
        }
        Ok(())
    })?;
    Mesh::new(&lab, &[roamer, host]).all_pairs_talk();
    Ok(())
}

#[netns_test]
fn partitions_change_during_power_cuts() -> netns_test::Result<()> {
    let (net, nodes) = switched(4);
    let lab = net.build()?;
    let part_and_heal =
        || lab.partition(&nodes[..2], &nodes[2..]).and_then(|cut| cut.heal()).unwrap();
    during(part_and_heal, || {
        for node in nodes.iter().cycle().take(40) {
            lab.power_off(*node)?;
            lab.power_on(*node)?;
        }
        Ok(())
    })?;
    no_address_is_blocked(&lab, &nodes);
    Ok(())
}

fn no_address_is_blocked(lab: &Lab, nodes: &[NodeId]) {
    for node in nodes {
        let rules = rules(&lab[*node]);
        assert!(!rules.contains("blackhole"), "{rules}");
    }
    Mesh::new(lab, nodes).all_pairs_talk();
}

/// Heal names a rule that another program removed, and still removes the others.
#[netns_test]
fn heal_names_rules_that_others_removed() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    lab.partition(&nodes[..1], &nodes[1..])?;
    lab[nodes[0]].run(|| stdout_of("ip", &["-4", "rule", "del", "from", "10.0.0.2"]));
    let message = lab.heal().unwrap_err().to_string();
    assert!(message.starts_with("let in 10.0.0.2 on h0: ENOENT"), "{message}");
    lab.heal()?;
    no_address_is_blocked(&lab, &nodes);
    Ok(())
}

/// A host that comes up hears nothing of the other side, not even what its kernel would answer.
#[netns_test]
fn a_partition_holds_while_a_host_comes_up() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    let [near, far] = nodes[..] else { panic!() };
    lab[near].wait(WAIT_LIMIT).reachable(&lab[far])?;
    lab.partition(&[near], &[far])?;
    let sender = lab[near].run(|| UdpSocket::bind("0.0.0.0:0"))?;
    // Or it would have to be asked for, in vain.
    let mac = text(&ip(&lab[far], &["link", "show", "eth0"])[0], "address").to_owned();
    let known = ["neigh", "replace", "10.0.0.2", "lladdr", &mac, "dev", "eth0", "nud", "permanent"];
    lab[near].run(|| stdout_of("ip", &known));
    during(
        || drop(sender.send_to(b"lost", "10.0.0.2:99")),
        || {
            for _ in 0..10 {
                lab.power_off(far)?;
                lab.power_on(far)?;
                let counters = std::fs::read_to_string;
                let all = lab[far].run(|| counters("/proc/thread-self/net/snmp"))?;
                let heard = all.lines().filter(|line| line.starts_with("Udp: ")).nth(1).unwrap();
                assert!(heard.starts_with("Udp: 0 0 "), "{heard}");
            }
            Ok(())
        },
    )
}

#[netns_test]
fn a_partition_holds_when_an_address_comes() -> netns_test::Result<()> {
    let (lab, near, far) = two_hosts();
    lab[far].interface("eth0").add_addr("192.0.2.2/24")?;
    lab.partition(&[near], &[far])?;
    let receiver = lab[far].run(|| UdpSocket::bind("0.0.0.0:99"))?;
    let send = || {
        let sent = UdpSocket::bind("192.0.2.1:0").and_then(|one| one.send_to(b"x", "192.0.2.2:99"));
        drop(sent);
    };
    during(
        || lab[near].run(|| (0..100).for_each(|_| send())),
        || {
            for _ in 0..20 {
                lab[near].interface("eth0").add_addr("192.0.2.1/24")?;
                lab[near].interface("eth0").remove_addr("192.0.2.1/24")?;
                lab[near].interface("eth0").set_addr("192.0.2.1/24")?;
                lab[near].interface("eth0").set_addr("10.0.0.1/24")?;
            }
            Ok(())
        },
    )?;
    receiver.set_nonblocking(true)?;
    let error = receiver.recv(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    Ok(())
}

/// Link-local addresses are gone while a link is down, and come back with it.
#[netns_test]
fn a_partition_holds_when_a_link_comes_up() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (near, far) = (net.host("near"), net.host("far"));
    let link = net.link(near, far).id();
    let lab = net.build()?;
    let ((_, scope), (address, _)) = (link_local(&lab[near]), link_local(&lab[far]));
    lab[link].down()?;
    lab.partition(&[near], &[far])?;
    lab[link].up()?;
    // They come a moment after the others.
    lab[near].wait(WAIT_LIMIT).route("fe80::/64")?;
    lab[far].wait(WAIT_LIMIT).route("fe80::/64")?;
    let receiver = lab[far].run(|| UdpSocket::bind("[::]:99"))?;
    let sender = lab[near].run(|| UdpSocket::bind("[::]:0"))?;
    receiver.set_read_timeout(Some(MOMENT))?;
    for _ in 0..3 {
        sender.send_to(b"lost", SocketAddrV6::new(address, 99, 0, scope))?;
        let error = receiver.recv(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    }
    lab.heal()?;
    sender.send_to(b"heard", SocketAddrV6::new(address, 99, 0, scope))?;
    receiver.set_read_timeout(Some(crate::net::PATIENCE))?;
    receiver.recv(&mut [0])?;
    Ok(())
}

/// A lookup that runs while the file grows finds its name.
#[netns_test]
fn names_are_known_while_a_lab_is_extended() -> netns_test::Result<()> {
    let (mut net, nodes) = star(12);
    let mut lab = net.build()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let asking = lab[nodes[0]].spawn_thread(move || {
        assert!(("h0", 80).to_socket_addrs().expect("it is known").next().is_some());
        while !seen.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string("/etc/hosts").unwrap();
            assert!(text.contains("10.0.0.1\th0\n"), "{text}");
        }
    });
    for number in 0..10 {
        let new = net.host(format!("new{number}"));
        net.link(new, nodes[12]);
        lab.extend(&net)?;
    }
    is_over.store(true, Ordering::Relaxed);
    asking.join().expect("it has found its name each time");
    Ok(())
}

/// `lo` does no DAD, and yet its IPv6 addresses get their local routes in a worker of the kernel.
/// Until then the prefix route refuses what comes for the address. Here a worker is late.
#[netns_test]
fn an_ipv6_address_of_lo_has_its_local_route() -> netns_test::Result<()> {
    const LATE: &str = "2001:db8::1";
    let mut net = Topology::new();
    let a = net.host("a");
    let lab = net.build()?;
    lab[a].interface("lo").add_addr(format!("{LATE}/128"))?;
    let route = |change, kind| {
        let words = ["-6", "route", change, kind, LATE, "dev", "lo", "table", "local"];
        assert!(lab[a].command("ip").args(words).status().unwrap().success(), "{words:?}");
    };
    route("del", "local");
    let is_there = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually(WAIT_LIMIT, "the new address is added", || {
                ip(&lab[a], &["address", "show", "dev", "lo", "to", "2001:db8::2"]).len() == 1
            });
            is_there.store(true, Ordering::Relaxed);
            route("add", "local");
        });
        lab[a].interface("lo").add_addr("2001:db8::2/128")?;
        assert!(is_there.load(Ordering::Relaxed), "not waited for");
        Ok(())
    })
}
