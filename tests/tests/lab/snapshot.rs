//! Snapshots of a running lab, beside what `ip` and `ss` print, and as text.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use netns_test::lab::{NodeState, Protocol, Snapshot, TcpState};
use netns_test::{Lab, Node, NodeId, netns_test};
use netns_test_tests::{LIMIT, eventually, stdout_of};
use serde_json::Value;

use crate::net::{Mesh, connection, row, switched, topology};
use crate::oracle::{ip, text};

fn compare(snapshot: &Snapshot, lab: &Lab) {
    assert_eq!(snapshot.nodes.len(), lab.nodes().count());
    for (state, host) in snapshot.nodes.iter().zip(lab.nodes()) {
        assert_eq!((state.name.as_str(), state.kind), (host.name(), host.kind()));
        links(state, host);
        routes(state, host);
        neighbours(state, host);
        sockets(state, host);
    }
}

fn links(state: &NodeState, host: &Node) {
    let all = ip(host, &["-s", "address", "show"]);
    let names: Vec<&str> = all.iter().map(|link| text(link, "ifname")).collect();
    assert_eq!(names, state.interfaces.iter().map(|link| link.name.as_str()).collect::<Vec<_>>());
    for (link, found) in all.iter().zip(&state.interfaces) {
        let what = format!("{link}\n{found}");
        assert_eq!(link["mtu"], found.mtu, "{what}");
        let kind = text(&link["linkinfo"], "info_kind");
        assert_eq!(if kind.is_empty() { "loopback" } else { kind }, found.kind, "{what}");
        let mac = text(link, "address").replace("00:00:00:00:00:00", "");
        assert_eq!(mac, found.mac.map_or(String::new(), |mac| mac.to_string()), "{what}");
        let has = |flag: &str| link["flags"].as_array().unwrap().iter().any(|one| one == flag);
        assert_eq!((has("UP"), has("LOWER_UP")), (found.is_up, found.is_running), "{what}");
        assert_eq!(text(link, "master"), found.bridge.as_deref().unwrap_or(""), "{what}");
        let addresses = link["addr_info"].as_array().unwrap().iter();
        let addresses = addresses.map(|one| format!("{}/{}", text(one, "local"), one["prefixlen"]));
        let own = found.addresses.iter().map(ToString::to_string);
        assert_eq!(addresses.collect::<Vec<_>>(), own.collect::<Vec<_>>(), "{what}");
    }
}

/// Of each interface, by `ip`: packets, bytes and drops of what came, and of what went.
fn ip_counters(host: &Node) -> Vec<Vec<u64>> {
    let all = ip(host, &["-s", "link", "show"]);
    let of_link = |link: &Value| {
        let sides = ["rx", "tx"].map(|side| &link["stats64"][side]);
        let values =
            sides.map(|side| ["packets", "bytes", "dropped"].map(|one| side[one].as_u64()));
        values.as_flattened().iter().map(|value| value.unwrap()).collect()
    };
    all.iter().map(of_link).collect()
}

/// The kernels speak among themselves now and then: what a snapshot has is between what `ip` said
/// before and says after.
fn counters(state: &NodeState, [before, after]: [Vec<Vec<u64>>; 2]) {
    for (at, link) in state.interfaces.iter().enumerate() {
        let own = link.counters.unwrap();
        let rx = [own.rx_packets, own.rx_bytes, own.rx_dropped];
        let all = [rx, [own.tx_packets, own.tx_bytes, own.tx_dropped]];
        for (one, own) in all.as_flattened().iter().enumerate() {
            let bounds = before[at][one]..=after[at][one];
            assert!(bounds.contains(own), "{link} {bounds:?}");
        }
    }
}

fn routes(state: &NodeState, host: &Node) {
    let mut lines = BTreeSet::new();
    for family in ["-4", "-6"] {
        for route in ip(host, &[family, "route", "show", "table", "main"]) {
            let [to, via, dev] = ["dst", "gateway", "dev"].map(|field| text(&route, field));
            let via = if via.is_empty() { String::new() } else { format!(" via {via}") };
            let flags = route["flags"].as_array().cloned().unwrap_or_default();
            let down = if flags.iter().any(|flag| flag == "linkdown") { " linkdown" } else { "" };
            let kind = text(&route, "type").replace("unicast", "");
            if dev == "lo" {
                continue;
            }
            lines.insert(format!("{kind} {to}{via} dev {dev}{down}").trim().to_owned());
        }
    }
    let own: BTreeSet<String> = state.routes.iter().map(ToString::to_string).collect();
    assert_eq!(own, lines, "{}", state.name);
}

fn neighbours(state: &NodeState, host: &Node) {
    let lines = host.run(|| stdout_of("ip", &["neighbour", "show"]));
    // Their states change while one looks.
    let words = |line: &str| line.split_whitespace().take(5).collect::<Vec<_>>().join(" ");
    let found: BTreeSet<String> = lines.lines().map(words).collect();
    let own: BTreeSet<String> =
        state.neighbours.iter().map(|one| words(&one.to_string())).collect();
    assert_eq!(own, found, "{}", state.name);
    assert!(state.neighbours.iter().all(|one| one.state == one.state.to_uppercase()));
}

fn sockets(state: &NodeState, host: &Node) {
    let lines = host.run(|| stdout_of("ss", &["-Htuna"]));
    let found: BTreeSet<String> = lines
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let other = fields[5].replace("0.0.0.0:*", "*").replace("[::]:*", "*");
            let own = fields[4].replace("[::ffff:", "").replace("*:", "[::]:");
            format!("{} {} {own} {}", fields[0], fields[1], other.trim_end_matches(":*"))
        })
        .collect();
    let own: BTreeSet<String> = state.sockets.iter().map(ToString::to_string).collect();
    assert_eq!(own, found, "{}: {lines}", state.name);
}

#[netns_test]
fn it_shows_what_ip_and_ss_show() -> netns_test::Result<()> {
    for (net, nodes) in [row(2, false), switched(3)] {
        let lab = net.build()?;
        Mesh::new(&lab, &nodes).all_pairs_talk();
        let last = *nodes.last().unwrap();
        let held: Vec<_> = lab
            .plan()
            .addresses_of(last)
            .iter()
            .map(|address| connection(&lab, nodes[0], last, *address))
            .collect();
        let _listener = lab[last].run(|| TcpListener::bind("0.0.0.0:80"))?;
        let _wide = lab[last].run(|| TcpListener::bind("[::]:81"))?;
        let _socket = lab[last].run(|| UdpSocket::bind("10.0.0.3:53")).ok();
        let connected = lab[last].run(|| UdpSocket::bind("[::]:99"))?;
        connected.connect((lab.plan().addresses_of(last)[1], 99))?;
        let snapshot = lab.snapshot()?;
        compare(&snapshot, &lab);
        for (at, host) in lab.nodes().enumerate() {
            let before = ip_counters(host);
            let state = lab.snapshot()?.nodes.swap_remove(at);
            counters(&state, [before, ip_counters(host)]);
            assert!(state.interfaces[1].counters.unwrap().rx_packets > 0);
        }
        assert!(snapshot.nodes.iter().any(|host| !host.neighbours.is_empty()));
        drop(held);
    }
    Ok(())
}

#[netns_test]
fn tcp_states_are_shown() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    let [near, far] = connection(&lab, nodes[0], nodes[1], lab.plan().addresses_of(nodes[1])[0]);
    let state = |host: &str| {
        let snapshot = lab.snapshot().unwrap();
        let all = snapshot.node(host).unwrap().sockets.iter().copied();
        let of_tcp = all.filter(|one| one.protocol == Protocol::Tcp && one.remote.is_some());
        of_tcp.map(|socket| socket.state).collect::<Vec<_>>()
    };
    assert_eq!([state("h0"), state("h1")], [[TcpState::Established]; 2]);
    near.shutdown(std::net::Shutdown::Write)?;
    // It has come when the end of the stream is read.
    assert_eq!((&far).read(&mut [0])?, 0);
    eventually(LIMIT, "the FIN is acknowledged", || state("h0") != [TcpState::FinWait1]);
    assert_eq!([state("h0"), state("h1")], [[TcpState::FinWait2], [TcpState::CloseWait]]);
    drop(far);
    assert_eq!((&near).read(&mut [0])?, 0);
    drop(near);
    assert_eq!(state("h0"), [TcpState::TimeWait]);
    lab.partition(&nodes[..1], &nodes[1..])?;
    let target = (lab.plan().addresses_of(nodes[1])[0], 80);
    let host = &lab[nodes[0]];
    std::thread::scope(|scope| {
        let timeout = std::time::Duration::from_secs(1);
        let asking = scope.spawn(move || {
            host.run(|| TcpStream::connect_timeout(&target.into(), timeout).unwrap_err())
        });
        eventually(LIMIT, "the SYN is sent", || {
            assert!(!asking.is_finished(), "{:?}", state("h0"));
            state("h0").contains(&TcpState::SynSent)
        });
    });
    Ok(())
}

/// The example of the documentation, with a server and a client, and with what it has been sent.
fn example() -> netns_test::Result<(Lab, [NodeId; 3], Vec<TcpStream>)> {
    let mut net = topology();
    let (client, server, home) = (net.host("client"), net.host("server"), net.router("home"));
    net.link(client, home);
    net.link(home, server).mtu(1400).name("wan");
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    let mut near = lab[client].run(|| TcpStream::connect("server:80"))?;
    let (mut far, _) = listener.accept()?;
    near.write_all(b"hello")?;
    far.read_exact(&mut [0; 5])?;
    Ok((lab, [client, server, home], vec![near, far, std::os::fd::OwnedFd::from(listener).into()]))
}

#[netns_test]
fn the_stable_form_is_the_same_in_every_run() -> netns_test::Result<()> {
    let (first, _, _held) = example()?;
    let (second, [client, ..], _other) = example()?;
    let [one, other] = [first.snapshot()?, second.snapshot()?];
    assert_ne!(one, other);
    assert_eq!(one.clone().stable(), other.clone().stable());
    assert_eq!(one.clone().stable(), one.stable().stable());
    // What is no accident makes a difference.
    second[client].interface("eth0").add_addr("192.0.2.1/24")?;
    assert_ne!(second.snapshot()?.stable(), other.stable());
    Ok(())
}

#[netns_test]
fn its_text_is_that_of_ip_and_ss() -> netns_test::Result<()> {
    let (lab, [client, _, home], _held) = example()?;
    let own = |text: String| {
        // Kernels differ in the tunnels that they put into each network.
        let is_tunnel = |line: &str| line.contains("tunl0") || line.contains("sit0");
        assert!(!text.lines().any(is_tunnel), "{text}");
        text
    };
    let expected = "\
host client
  lo: <UP,LOWER_UP> mtu 65536 loopback
    inet 127.0.0.1/8
    inet6 ::1/128
  eth0: <UP,LOWER_UP> mtu 1500 veth
    link/ether 02:00:00:00:00:00
    inet 10.0.0.1/24
    inet6 fd6e:6574:6e73::1/64
    inet6 fe80::ff:fe00:0/64
  routes:
    default via 10.0.0.2 dev eth0
    10.0.0.0/24 dev eth0
    default via fd6e:6574:6e73::2 dev eth0
    fd6e:6574:6e73::/64 dev eth0
    fe80::/64 dev eth0
  sockets:
    tcp ESTAB 10.0.0.1:0 10.0.1.2:80
";
    let snapshot = lab.snapshot()?.stable();
    assert_eq!(own(snapshot.node("client").unwrap().to_string()), expected);
    let text = snapshot.to_string();
    assert!(text.starts_with(&format!("{expected}\nhost server\n")), "{text}");
    let server = "  sockets:\n    tcp LISTEN 0.0.0.0:80 *\n    tcp ESTAB 10.0.1.2:80 10.0.0.1:0\n";
    assert!(text.contains(server), "{text}");
    assert!(text.contains("\nrouter home\n"), "{text}");
    // With what changes from run to run.
    let text = lab.snapshot()?.to_string();
    assert!(text.contains("    10.0.0.2 dev eth0 lladdr 02:00:00:02:00:00 "), "{text}");
    let counted =
        text.lines().filter(|line| line.starts_with("    RX: ") && line.contains(" packets"));
    assert_eq!(counted.count(), 7, "{text}");
    lab[home].run(|| stdout_of("ip", &["link", "set", "eth0", "down"]));
    lab[client].run(|| stdout_of("ip", &["route", "add", "blackhole", "192.0.2.0/24"]));
    eventually(LIMIT, "the other end has no carrier", || {
        !lab.snapshot().unwrap().node("client").unwrap().interface("eth0").unwrap().is_running
    });
    let text = lab.snapshot()?.node("client").unwrap().to_string();
    assert!(text.contains("  eth0: <NO-CARRIER,UP> mtu 1500 veth\n"), "{text}");
    assert!(text.contains("    default via 10.0.0.2 dev eth0 linkdown\n"), "{text}");
    assert!(text.contains("    blackhole 192.0.2.0/24\n"), "{text}");
    lab.power_off(client)?;
    let off = lab.snapshot()?;
    assert_eq!(off.node("client").unwrap().to_string(), "host client: powered off\n");
    assert!(off.node("nobody").is_none());
    assert_eq!(off.node("server").unwrap().interface("eth0").unwrap().mtu, 1400);
    Ok(())
}

#[netns_test]
fn a_snapshot_is_indexed_by_the_ids_of_its_lab() -> netns_test::Result<()> {
    let mut net = topology();
    let (a, b) = (net.host("a"), net.router("b"));
    net.link(a, b);
    let mut lab = net.build()?;
    let before = lab.snapshot()?;
    assert_eq!([&before[a].name, &before[b].name], ["a", "b"]);
    assert_eq!(Some(&before[b]), before.node("b"));
    let late = net.host("late");
    net.link(late, b);
    lab.extend(&net)?;
    assert_eq!(lab.snapshot()?[late].name, "late");
    let stranger = topology().host("a");
    for unknown in [late, stranger] {
        let panic = std::panic::catch_unwind(|| before[unknown].name.clone()).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.starts_with("this node is not in the snapshot"), "{text}");
    }
    Ok(())
}
