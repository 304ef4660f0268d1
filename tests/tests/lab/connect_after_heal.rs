//! Once packets pass, the next connection is made: nodes that have asked for an Ethernet address in
//! vain forget that.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use netns_test::{Lab, NodeId, Topology, netns_test};
use netns_test_tests::{LIMIT, eventually, stdout_of};

use crate::net::topology;

/// Returns the lines of `ip neigh` of a node that are in a state.
fn neighbours(lab: &Lab, node: NodeId, state: &str) -> String {
    let all = lab[node].run(|| ["-4", "-6"].map(|family| stdout_of("ip", &[family, "neigh"])));
    let all = all.iter().flat_map(|text| text.lines());
    all.filter(|line| line.contains(state)).map(|line| format!("{line}\n")).collect()
}

/// Makes a node ask for others that do not answer: a connection that begins now would wait
/// for an answer that does not come.
fn ask_in_vain(lab: &Lab, from: NodeId, to: &[IpAddr]) {
    for &to in to {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        // One that has no route is as good.
        drop(lab[from].run(|| UdpSocket::bind((any, 0)).unwrap().send_to(b"x", (to, 9))));
    }
}

/// Waits until the last of three requests has been sent, a second before the neighbour entry fails.
fn asks_for_the_last_time(lab: &Lab, nodes: &[NodeId]) {
    eventually(LIMIT, "the last of three requests is sent", || {
        let of_node = |&node: &NodeId| {
            let show = || ["-4", "-6"].map(|family| stdout_of("ip", &["-s", family, "neigh"]));
            if lab[node].is_on() { lab[node].run(show).concat() } else { String::new() }
        };
        let all: String = nodes.iter().map(of_node).collect();
        let mut asked = all.lines().filter(|line| line.contains("INCOMPLETE")).peekable();
        // The kernel counts from 3 on.
        asked.peek().is_some() && asked.all(|line| line.contains("probes 6"))
    });
}

fn listen(lab: &Lab, node: NodeId) -> TcpListener {
    lab[node].run(|| TcpListener::bind("[::]:80")).unwrap()
}

fn connects(lab: &Lab, from: NodeId, to: &[IpAddr]) {
    for &to in to {
        let made = lab[from].run(|| TcpStream::connect((to, 80)));
        drop(made.unwrap_or_else(|error| panic!("{} to {to}: {error}", lab[from].name())));
    }
}

/// Hosts at both ends of a row of routers.
fn chain(routers: usize) -> (Topology, Vec<NodeId>) {
    let mut net = topology();
    let mut nodes = vec![net.host("client")];
    nodes.extend((0..routers).map(|number| net.router(format!("r{number}"))));
    nodes.push(net.host("server"));
    for pair in nodes.windows(2) {
        net.link(pair[0], pair[1]);
    }
    (net, nodes)
}

/// Checks that `mend` undoes `cut`: the next connection is made.
fn is_mended(routers: usize, cut: impl Fn(&Lab, &[NodeId]), mend: impl Fn(&Lab, &[NodeId])) {
    let (net, nodes) = chain(routers);
    let lab = net.build().unwrap();
    let (client, server) = (nodes[0], *nodes.last().unwrap());
    let to = lab.plan().addresses_of(server).to_vec();
    let held = listen(&lab, server);
    cut(&lab, &nodes);
    // Not from both sides: who asks is heard by who asks back, partition or not.
    ask_in_vain(&lab, client, &to);
    asks_for_the_last_time(&lab, &nodes);
    mend(&lab, &nodes);
    // The listener may have gone with the power.
    let again = lab[server].run(|| TcpListener::bind("[::]:80"));
    let _again = again.inspect_err(|error| assert_eq!(error.kind(), ErrorKind::AddrInUse));
    connects(&lab, client, &to);
    for &node in &nodes {
        assert_eq!(neighbours(&lab, node, "FAILED"), "", "{}", lab[node].name());
    }
    drop(held);
}

fn part(lab: &Lab, one: &[NodeId], other: &[NodeId]) {
    lab.partition(one, other).unwrap();
}

#[netns_test]
fn neighbours_after_heal() {
    is_mended(0, |lab, nodes| part(lab, &nodes[..1], &nodes[1..]), |lab, _| lab.heal().unwrap());
}

#[netns_test]
fn a_routed_chain_after_heal() {
    for at in 1..4 {
        is_mended(
            2,
            |lab, nodes| part(lab, &nodes[..at], &nodes[at..]),
            |lab, _| lab.heal().unwrap(),
        );
    }
}

#[netns_test]
fn a_routed_chain_after_power_on() {
    for at in 1..4 {
        is_mended(
            2,
            |lab, nodes| lab.power_off(nodes[at]).unwrap(),
            |lab, nodes| lab.power_on(nodes[at]).unwrap(),
        );
    }
}

/// Others on the same switch have asked, and none of their own links has changed.
#[netns_test]
fn bystanders_on_a_switch() {
    let mut net = topology();
    let (switch, elsewhere) = (net.switch("switch"), net.switch("elsewhere"));
    let [client, server] = ["client", "server"].map(|name| net.host(name));
    net.link(client, switch);
    let link = net.link(server, switch).id();
    let lab = net.build().unwrap();
    let to = lab.plan().addresses_of(server).to_vec();
    let connected = || {
        let _held = listen(&lab, server);
        connects(&lab, client, &to);
        // Or the next round would know the address.
        lab[client]
            .run(|| ["-4", "-6"].map(|family| stdout_of("ip", &[family, "neigh", "flush", "all"])));
    };
    let rounds: [[&dyn Fn(); 2]; 3] = [
        [&|| lab[link].down().unwrap(), &|| lab[link].up().unwrap()],
        [&|| lab.power_off(server).unwrap(), &|| lab.power_on(server).unwrap()],
        [&|| drop(lab.move_link(link, switch, elsewhere).unwrap()), &|| {
            lab.move_link(link, elsewhere, switch).unwrap();
        }],
    ];
    for [cut, mend] in rounds {
        cut();
        ask_in_vain(&lab, client, &to);
        asks_for_the_last_time(&lab, &[client]);
        mend();
        connected();
    }
}

/// An address, and a node, that others have asked for before it was there.
#[netns_test]
fn what_is_new_is_reached_at_once() {
    let mut net = topology();
    let switch = net.switch("switch");
    let [client, server] = ["client", "server"].map(|name| net.host(name));
    for host in [client, server] {
        net.link(host, switch);
    }
    let mut lab = net.build().unwrap();
    let near = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
    let (first, second) = (near("10.0.0.77"), near("10.0.0.78"));
    ask_in_vain(&lab, client, &first);
    ask_in_vain(&lab, client, &second);
    let new = net.host("new");
    net.link(new, switch);
    let later = net.plan().unwrap().addresses_of(new).to_vec();
    ask_in_vain(&lab, client, &later);
    asks_for_the_last_time(&lab, &[client]);
    lab[server].interface("eth0").add_addr("10.0.0.77/24").unwrap();
    let held = listen(&lab, server);
    connects(&lab, client, &first);
    lab[server].interface("eth0").set_addr("10.0.0.78/24").unwrap();
    connects(&lab, client, &second);
    lab.extend(&net).unwrap();
    let _held = [held, listen(&lab, new)];
    connects(&lab, client, &later);
}

/// A partition is silent: a connect that begins meanwhile waits, and succeeds after it.
#[netns_test]
fn a_connection_that_hangs_is_made() {
    for routers in [0, 2] {
        let (net, nodes) = chain(routers);
        let lab = net.build().unwrap();
        let (client, server) = (nodes[0], *nodes.last().unwrap());
        let _held = listen(&lab, server);
        part(&lab, &nodes[..=routers], &nodes[routers + 1..]);
        std::thread::scope(|scope| {
            let to = lab.plan().addresses_of(server).to_vec();
            let hanging = to.iter().map(|to| {
                let to = SocketAddr::new(*to, 80);
                let (lab, connect) = (&lab, move || TcpStream::connect_timeout(&to, LIMIT));
                scope.spawn(move || lab[client].run(connect))
            });
            let hanging: Vec<_> = hanging.collect();
            let asks = nodes[routers];
            eventually(LIMIT, "both addresses are asked for", || {
                neighbours(&lab, asks, "INCOMPLETE").lines().count() == 2
            });
            lab.heal().unwrap();
            for made in hanging {
                made.join().unwrap().unwrap();
            }
        });
    }
}

/// The caller's own interfaces are none of the lab's.
#[netns_test]
fn the_callers_own_neighbours_stay() {
    let ip = |words: &str| stdout_of("ip", &words.split(' ').collect::<Vec<_>>());
    ip("link add own type veth peer name other");
    ip("link set own up");
    ip("link set other up");
    ip("address add 172.20.0.1/24 dev own");
    let mut net = topology();
    let (own, far) = (net.local(), net.host("far"));
    net.link(own, far);
    let lab = net.build().unwrap();
    lab.partition(&[own], &[far]).unwrap();
    let to = lab.plan().addresses_of(far).to_vec();
    ask_in_vain(&lab, own, &to);
    ask_in_vain(&lab, own, &["172.20.0.9".parse().unwrap()]);
    eventually(LIMIT, "the address is given up", || {
        neighbours(&lab, own, "FAILED").contains("172.20.0.9")
    });
    lab.heal().unwrap();
    assert!(neighbours(&lab, own, "FAILED").contains("172.20.0.9"));
    let _held = listen(&lab, far);
    connects(&lab, own, &to);
}
