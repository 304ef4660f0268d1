//! Links that can be impaired: what programs do to their ends, what is on them besides the packets
//! of the nodes, what is left of them, and links that become such.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use netns_test::lab::{Impairment, Packet, WAIT_LIMIT};
use netns_test::{Lab, LinkId, NodeId, Topology, netns_test};
use netns_test_tests::{LIMIT, Resources, Said as _, eventually};

use crate::must_fail;
use crate::net::{Mesh, PATIENCE, connection, row};
use crate::oracle;

fn pair() -> netns_test::Result<(Topology, Lab, [NodeId; 2], LinkId)> {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    let link = net.link(a, b).name("wan").impairable().id();
    let lab = net.build()?;
    Ok((net, lab, [a, b], link))
}

/// Runs `ip` as a program of the node.
fn ip(lab: &Lab, node: NodeId, words: &str) {
    let status = lab[node].command("ip").args(words.split(' ')).status();
    assert!(status.unwrap().success(), "{words}");
}

/// Looks after the lab has looked at the ends. The kernel reports the state "running" later.
fn has_carrier(lab: &Lab, node: NodeId) -> bool {
    lab.snapshot().unwrap();
    let flags = &oracle::ip(&lab[node], &["link", "show", "eth0"])[0]["flags"];
    flags.as_array().unwrap().iter().any(|flag| flag == "LOWER_UP")
}

/// Waits as a program would: without the lab, which looks at the ends itself.
fn carrier_becomes(lab: &Lab, node: NodeId, expected: bool) {
    let read = || std::fs::read_to_string("/sys/class/net/eth0/operstate").unwrap();
    eventually(LIMIT, "the carrier", || {
        let state = lab[node].run(read);
        if (state.trim() == "up") == expected { Ok(()) } else { Err(state) }
    });
}

#[netns_test]
fn carrier_follows_a_program() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    for (own, far) in [(a, b), (b, a), (a, b)] {
        ip(&lab, own, "link set eth0 down");
        carrier_becomes(&lab, far, false);
        ip(&lab, own, "link set eth0 up");
        carrier_becomes(&lab, far, true);
        carrier_becomes(&lab, own, true);
    }
    // Both down: the carrier of neither shows the state of the other.
    ip(&lab, a, "link set eth0 down");
    ip(&lab, b, "link set eth0 down");
    ip(&lab, b, "link set eth0 up");
    assert!(!has_carrier(&lab, b));
    ip(&lab, a, "link set eth0 up");
    carrier_becomes(&lab, b, true);
    // The lab sees it at once.
    for _ in 0..20 {
        ip(&lab, a, "link set eth0 down");
        assert!(!has_carrier(&lab, b));
        ip(&lab, a, "link set eth0 up");
        assert!(has_carrier(&lab, b));
    }
    lab[link].down()?;
    lab[link].up()?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[1]));
    Ok(())
}

#[netns_test]
fn an_end_that_a_program_deletes_takes_the_other_with_it() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    ip(&lab, a, "link delete eth0");
    eventually(LIMIT, "both ends are gone", || {
        let state = lab.snapshot().unwrap();
        if state[b].interface("eth0").is_none() { Ok(()) } else { Err(state) }
    });
    let message = lab[link].down().unwrap_err().said();
    assert!(message.starts_with("set up link `wan` (a to b): ENODEV"), "{message}");
    Ok(())
}

/// A program may move an end to a network that is none of the lab's.
#[netns_test]
fn an_end_that_a_program_takes_away_goes_on() -> netns_test::Result<()> {
    let (_, lab, [a, b], _) = pair()?;
    let script = "echo in; until ip link show eth0; do sleep 0.02; done >/dev/null 2>&1; \
                  ip address add 10.0.0.1/24 dev eth0; ip link set eth0 up; exec sleep 1000";
    let child = lab[a].command("unshare").args(["-n", "sh", "-c", script]).spawn()?;
    child.wait(WAIT_LIMIT).line(|line| line == "in")?;
    ip(&lab, a, &format!("link set eth0 netns {}", child.id()));
    eventually(LIMIT, "an answer", || {
        let target = "10.0.0.1:9".parse().unwrap();
        let tried = lab[b].run(|| TcpStream::connect_timeout(&target, LIMIT / 100));
        let error = tried.unwrap_err();
        if error.kind() == std::io::ErrorKind::ConnectionRefused { Ok(()) } else { Err(error) }
    });
    Ok(())
}

/// Nothing is on the link but what the nodes send.
#[netns_test]
fn the_hub_is_silent() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[0]));
    lab[link].down()?;
    lab[link].up()?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[1]));
    eventually(LIMIT, "what one sends the other receives", || {
        let state = lab.snapshot().unwrap();
        let counters = [a, b].map(|node| state[node].interface("eth0").unwrap().counters.unwrap());
        let [one, two] = counters;
        // What is sent before the far end is up is not received.
        let is_so = one.rx_packets <= two.tx_packets && two.rx_packets <= one.tx_packets;
        if is_so { Ok(()) } else { Err(counters) }
    });
    Ok(())
}

#[netns_test]
fn a_lab_with_a_hub_leaves_nothing() -> netns_test::Result<()> {
    let build = || -> netns_test::Result<()> {
        let (mut net, nodes) = row(2, false);
        net.impairable_links();
        let lab = net.build()?;
        Mesh::new(&lab, &nodes).all_pairs_talk();
        lab.power_off(nodes[0])?;
        lab.power_on(nodes[0])?;
        Ok(())
    };
    build()?;
    let before = Resources::of_process();
    for _ in 0..8 {
        build()?;
        before.come_back(LIMIT, Resources::of_process);
    }
    Ok(())
}

#[netns_test]
fn a_direct_link_is_not_impaired() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b, c) = (net.host("a"), net.router("b"), net.host("c"));
    let direct = net.link(a, b).id();
    let lab = net.build()?;
    let expected =
        "impair link a to b: it was built as a direct veth pair, which has no impairments";
    let message = lab[direct].set_impairment(Impairment::new().loss("1%")).unwrap_err().said();
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("impairable()"), "{message}");
    // Also where others can be.
    let wan = net.link(b, c).impairable().id();
    let lab = net.build()?;
    let message = lab[direct].hold().unwrap_err().said();
    assert!(message.starts_with("hold link a to b"), "{message}");
    lab[wan].set_impairment(Impairment::new().delay(PATIENCE / 1000))?;
    let message = lab[wan].set_impairment_from(a, Impairment::new()).unwrap_err().said();
    let expected = "impair link b to c: `a` is at neither end; its ends are at b and c";
    assert_eq!(message, expected);
    let message = lab[wan].set_impairment(Impairment::new().rate(0)).unwrap_err().said();
    assert!(message.starts_with("impair link b to c: a rate of 0"), "{message}");
    Ok(())
}

/// The first link that can be impaired comes with an extension.
#[netns_test]
fn a_lab_gets_a_hub_later() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b, c) = (net.host("a"), net.router("b"), net.host("c"));
    net.link(a, b);
    let mut lab = net.build()?;
    let wan = net.link(b, c).impairable().id();
    lab.extend(&net)?;
    Mesh::new(&lab, &[a, b, c]).all_pairs_talk();
    lab[wan].down()?;
    lab[wan].up()?;
    ip(&lab, b, "link set eth1 down");
    carrier_becomes(&lab, c, false);
    ip(&lab, b, "link set eth1 up");
    carrier_becomes(&lab, c, true);
    let d = net.host("d");
    net.link(d, b).impairable();
    lab.extend(&net)?;
    Mesh::new(&lab, &[a, b, c, d]).all_pairs_talk();
    Ok(())
}

/// More than the engine can hold at once.
#[netns_test]
fn much_data_passes() -> netns_test::Result<()> {
    let (_, lab, [a, b], _) = pair()?;
    for address in lab.plan().addresses_of(b) {
        let listener = lab[b].run(|| TcpListener::bind((*address, 0))).unwrap();
        let target = listener.local_addr().unwrap();
        let mut near = lab[a].run(|| TcpStream::connect_timeout(&target, PATIENCE)).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let data: Vec<u8> = (0..8 << 20_u32).map(|at| ((at * 31) >> 3) as u8).collect();
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                near.write_all(&data).unwrap();
                near.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            far.read_to_end(&mut received).unwrap();
            received
        });
        assert!(received == data, "{} bytes", received.len());
    }
    Ok(())
}

/// A packet that a rule drops is sent again, and the guard counts it.
#[netns_test]
fn a_rule_holds_until_it_is_lifted() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    let rule = lab[link].on(Packet::tcp().syn_ack()).nth(1).drop()?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[0]));
    assert_eq!((rule.hits(), format!("{rule:?}").contains("drop")), (1, true));
    drop(rule);
    let rule = lab[link].on(Packet::tcp().syn()).from(b).drop()?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[0]));
    assert_eq!((rule.hits(), rule.matched()), (0, 0));
    let message = lab[link].on(Packet::tcp()).nth(0).drop().unwrap_err().said();
    assert!(message.starts_with("add a rule to link `wan`"), "{message}");
    Ok(())
}

#[test]
fn a_panic_of_a_rule_fails_the_test() {
    let text = must_fail("engine_links::has_a_rule_that_panics");
    assert!(text.contains("has panicked: "), "{text}");
    assert!(text.contains("not this one"), "{text}");
}

#[netns_test]
#[ignore = "run by a_panic_of_a_rule_fails_the_test"]
fn has_a_rule_that_panics() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    let packet = Packet::tcp().when(|_| panic!("not this one"));
    let _rule = lab[link].drop_matching(packet)?;
    drop(connection(&lab, a, b, lab.plan().addresses_of(b)[0]));
    Ok(())
}

/// Impairments outlive moves of the link and power cycles.
#[netns_test]
fn impairments_stay() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b, one, two) = (net.host("a"), net.host("b"), net.switch("one"), net.switch("two"));
    let link = net.link(a, one).impairable().id();
    net.link(b, two);
    let mut lab = net.build()?;
    lab[link].set_impairment_from(a, Impairment::new().loss_pattern("x"))?;
    lab.move_link(link, one, two)?;
    lab.power_off(a)?;
    lab.power_on(a)?;
    lab.extend(&net)?;
    let socket = lab[a].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let lost = lab[link].stats()?.from[0].lost;
    socket.send_to(b"lost", (lab[b].ipv4(), 9)).unwrap();
    eventually(LIMIT, "the loss of the packet", || {
        let stats = lab[link].stats().unwrap();
        if stats.from[0].lost > lost { Ok(()) } else { Err(stats.to_string()) }
    });
    assert!(lab[link].losses()?.iter().any(|lost| lost.from == "a"));
    lab[link].set_impairment(Impairment::new())?;
    drop(connection(&lab, a, b, lab[b].ipv4().into()));
    Ok(())
}

#[netns_test]
fn a_link_holds_and_releases() -> netns_test::Result<()> {
    let (_, lab, [a, b], link) = pair()?;
    let far = lab[b].run(|| UdpSocket::bind("0.0.0.0:4000")).unwrap();
    let near = lab[a].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = |text: &str| {
        near.send_to(text.as_bytes(), (lab[b].ipv4(), 4000)).unwrap();
    };
    let receive = || {
        let mut buffer = [0; 16];
        let length = far.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    send("0");
    assert_eq!(receive(), "0");
    lab[link].hold_from(a)?;
    ["1", "2", "3"].into_iter().for_each(send);
    eventually(LIMIT, "the link holds them", || {
        let stats = lab[link].stats().unwrap();
        if stats.from[0].in_transit >= 3 { Ok(()) } else { Err(stats.to_string()) }
    });
    lab[link].release()?;
    assert_eq!([receive(), receive(), receive()], ["1", "2", "3"]);
    Ok(())
}

/// The offloads of an end, as ethtool(8) names them, that are on.
fn offloads(lab: &Lab, node: NodeId) -> Vec<String> {
    let script = "import fcntl, socket, struct, array, sys\n\
        s = socket.socket()\n\
        def ask(words):\n\
        \tdata = array.array('I', words)\n\
        \tfcntl.ioctl(s, 0x8946, struct.pack('16sP16x', b'eth0', data.buffer_info()[0]))\n\
        \treturn data\n\
        count = ask([0x37, 0, 1 << 4, 0, 0])[4]\n\
        text = ask([0x1b, 4, count] + [0] * (count * 8)).tobytes()[12:]\n\
        names = [text[at * 32:at * 32 + 32].rstrip(b'\\0').decode() for at in range(count)]\n\
        blocks = (count + 31) // 32\n\
        state = ask([0x3a, blocks] + [0] * (4 * blocks))\n\
        print(' '.join(n for at, n in enumerate(names) if state[4 + at // 32 * 4] >> at % 32 & 1))";
    let output = lab[node].command("python3").args(["-c", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.split_whitespace().map(str::to_owned).collect()
}

#[netns_test]
fn offloads_are_those_that_the_link_has() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map(|name| net.host(name));
    net.link(a, b);
    net.link(c, d).impairable();
    net.link(e, f).offloads(false);
    let lab = net.build()?;
    let has = |node, name: &str| offloads(&lab, node).iter().any(|one| one == name);
    let (tcp, tunnel) = ("tx-tcp-segmentation", "tx-udp_tnl-segmentation");
    assert_eq!(
        [a, b, c, d, e, f].map(|node| has(node, tcp)),
        [true, true, true, true, false, false]
    );
    assert_eq!([a, c].map(|node| has(node, tunnel)), [true, false]);
    assert!(!has(e, "tx-checksum-ip-generic"));
    Ok(())
}
