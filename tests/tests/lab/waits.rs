//! Waits for what happens on hosts: each sees a later event, and reports the state when nothing
//! comes.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use netns_test::lab::{Node, WAIT_LIMIT, Wait};
use netns_test::{Result, Topology, netns_test};
use netns_test_tests::{Said as _, again, passes};

use super::two_hosts;

const SHORT: Duration = Duration::from_millis(30);

/// Returns the error text of a wait that is over.
fn late(host: &Node, wait: impl Fn(&Wait<'_, Node>) -> Result<()>) -> String {
    wait(&host.wait(SHORT)).expect_err("nothing has happened").said()
}

/// Starts `wait`, then lets `event` happen; the wait must see it.
fn sees(wait: impl FnOnce() -> Result<()> + Send, event: impl FnOnce()) {
    thread::scope(|scope| {
        let (begun, begins) = mpsc::channel();
        let waiting = scope.spawn(move || {
            begun.send(()).unwrap();
            wait()
        });
        begins.recv().unwrap();
        assert!(!waiting.is_finished());
        event();
        waiting.join().unwrap().unwrap();
    });
}

#[netns_test]
fn sockets_that_listen() {
    let (lab, _, server) = two_hosts();
    let server = &lab[server];
    let _tcp = server.run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let _udp = server.run(|| UdpSocket::bind("[::]:53")).unwrap();
    assert_eq!(
        late(server, |server| server.listening(80)),
        "wait for a socket on tcp port 80 of server: there is none within 30ms\n  \
         listening on server: tcp 127.0.0.1:8080, udp [::]:53"
    );
    assert_eq!(
        late(server, |server| server.bound(8080)),
        "wait for a socket on udp port 8080 of server: there is none within 30ms\n  \
         listening on server: tcp 127.0.0.1:8080, udp [::]:53"
    );
    server.wait(WAIT_LIMIT).bound(53).unwrap();
    let mut listener = None;
    let bind = || listener = Some(server.run(|| TcpListener::bind("[::]:80")).unwrap());
    sees(|| server.wait(WAIT_LIMIT).listening(80), bind);
}

#[netns_test]
fn connections() {
    let (lab, client, server) = two_hosts();
    let (client, server) = (&lab[client], &lab[server]);
    let listener = server.run(|| TcpListener::bind("[::]:80")).unwrap();
    let to = client.run(|| std::net::ToSocketAddrs::to_socket_addrs("server:80").unwrap().next());
    let to = to.unwrap();
    assert_eq!(
        late(client, |client| client.established(to)),
        format!(
            "wait for an established connection with {to} of client: there is none within 30ms\n  \
             TCP connections of client: nothing"
        )
    );
    let mut connection = None;
    let connect = || connection = Some(client.run(|| TcpStream::connect(to)).unwrap());
    sees(|| client.wait(WAIT_LIMIT).established(80), connect);
    let own = connection.as_ref().unwrap().local_addr().unwrap();
    server.wait(WAIT_LIMIT).established(own).unwrap();
    server.wait(WAIT_LIMIT).established(own.ip()).unwrap();
    let shown = late(client, |client| client.established(81));
    assert!(shown.contains(&format!("TCP connections of client: {own} - {to} ESTAB")), "{shown}");
    drop(listener);
}

#[netns_test]
fn links_and_routes() {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    net.link(client, home);
    let wan = net.link(home, server).id();
    let lab = net.build().unwrap();
    let (client, wan) = (&lab[client], &lab[wan]);
    let names: Vec<_> = lab.plan().nodes()[1].interfaces.iter().map(|one| &*one.name).collect();
    let (home, outer) = (&lab[home], *names.last().unwrap());
    home.wait(WAIT_LIMIT).link_up(outer).unwrap();
    wan.down().unwrap();
    let shown = late(home, |home| home.link_up(outer));
    let head = format!("wait for interface {outer} of home: it is not up within 30ms\n");
    assert!(
        shown.starts_with(&(head + "  interfaces of home:\n    lo: up, mtu 65536\n")),
        "{shown}"
    );
    assert!(shown.contains(&format!("\n    {outer}: down, mtu 1500")), "{shown}");
    sees(|| home.wait(WAIT_LIMIT).link_up(outer), || wan.up().unwrap());

    let route = || client.wait(WAIT_LIMIT).route("10.99.0.0/24");
    let shown = late(client, |client| client.route("10.99.0.0/24"));
    let head = "wait for a route to 10.99.0.0/24 of client: there is none within 30ms\n  \
                routes of client:\n    ";
    assert!(shown.starts_with(head), "{shown}");
    let ip = |arguments: &str| {
        let status = client.command("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    };
    // For a while there is one that leads nowhere.
    ip("route add blackhole 10.99.0.0/24");
    let shown = late(client, |client| client.route("10.99.0.0/24"));
    assert!(shown.contains("\n    blackhole 10.99.0.0/24"), "{shown}");
    ip("route del blackhole 10.99.0.0/24");
    let dev = &lab.plan().nodes()[0].interfaces[0].name;
    sees(route, || ip(&format!("route add 10.99.0.0/24 dev {dev}")));
    sees(
        || client.wait(WAIT_LIMIT).route("fd99::/64"),
        || ip(&format!("route add fd99::/64 dev {dev}")),
    );
    let shown = late(client, |client| client.route("10.98.0.0/24"));
    assert!(shown.contains(&format!("\n    10.99.0.0/24 dev {dev}")), "{shown}");
    let wrong = client.wait(WAIT_LIMIT).route("10.99.0.1/24").unwrap_err().said();
    assert!(wrong.starts_with("wait for a route of client: "), "{wrong}");
}

#[netns_test]
fn other_nodes() {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    let lan = net.link(client, home).id();
    let wan = net.link(home, server).id();
    let lab = net.build().unwrap();
    let (client, server) = (&lab[client], &lab[server]);
    client.wait(WAIT_LIMIT).reachable(server).unwrap();
    client.wait(WAIT_LIMIT).reachable("server").unwrap();
    for address in &lab.plan().nodes()[2].addresses {
        client.wait(WAIT_LIMIT).reachable(*address).unwrap();
    }
    let unknown = client.wait(WAIT_LIMIT).reachable("absent").unwrap_err().said();
    assert_eq!(
        unknown,
        "wait for absent to answer client: the lab has no node of this name that has an address\n  \
         nodes with addresses: client, home, server"
    );

    lab[wan].down().unwrap();
    let shown = late(client, |client| client.reachable(server));
    let [there, .., router] = [2, 1].map(|node| lab.plan().nodes()[node].addresses[0]);
    assert!(
        shown.starts_with(&format!(
            "wait for server ({there}) to answer client over IPv4: no answer within 30ms\n"
        )),
        "{shown}"
    );
    let message = format!(
        "\n  last node that has answered: home ({router})\n  last refusal: home ({router}): ENETUNREACH"
    );
    assert!(shown.contains(&message), "{shown}");
    sees(|| client.wait(WAIT_LIMIT).reachable(server), || lab[wan].up().unwrap());

    // The router forwards it, and no host answers.
    let drop_all = "net.ipv4.icmp_echo_ignore_all";
    server.sysctl(drop_all, 1).unwrap();
    let shown = late(client, |client| client.reachable(server));
    assert!(shown.contains(&format!("last node that has answered: home ({router})")), "{shown}");
    sees(|| client.wait(WAIT_LIMIT).reachable(server), || server.sysctl(drop_all, 0).unwrap());

    lab[lan].down().unwrap();
    let shown = late(client, |client| client.reachable("server"));
    assert!(shown.contains("no node on the way has answered"), "{shown}");
    assert!(shown.contains("last refusal: ENETUNREACH (Network is unreachable)"), "{shown}");
}

#[netns_test]
fn nodes_of_the_callers_own_host() {
    let mut net = Topology::new();
    let (own, other) = (net.local(), net.host("other"));
    net.link(own, other);
    let lab = net.build().unwrap();
    lab[own].wait(WAIT_LIMIT).reachable(&lab[other]).unwrap();
    lab[other].wait(WAIT_LIMIT).reachable(&lab[own]).unwrap();
}

/// Not a body of the harness, whose network lets everybody ping.
#[test]
#[ignore = "run by the test below"]
fn ping_is_forbidden() {
    // SAFETY: takes numbers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP) };
    let error = std::io::Error::last_os_error();
    assert_eq!((fd, error.raw_os_error()), (-1, Some(libc::EACCES)));
    let mut net = Topology::new();
    let (own, home, server) = (net.local(), net.router("home"), net.host("server"));
    net.link(own, home);
    let wan = net.link(home, server).id();
    let lab = net.build().unwrap();
    let own = &lab[own];
    own.wait(WAIT_LIMIT).reachable("server").unwrap();
    lab[wan].down().unwrap();
    let shown = late(own, |own| own.reachable("server"));
    assert!(shown.contains("last node that has answered: home ("), "{shown}");
    sees(|| own.wait(WAIT_LIMIT).reachable(&lab[server]), || lab[wan].up().unwrap());
}

#[test]
fn where_ping_is_forbidden_another_way_is_taken() {
    let arguments = ["--exact", "waits::ping_is_forbidden"];
    passes(&mut again(&["unshare", "-Urn"], &arguments), 1);
}

#[netns_test]
fn lines_that_do_not_come() {
    let (lab, _, server) = two_hosts();
    let spawn = |script: &str| {
        let child = lab[server].command("sh").args(["-c", script]).spawn().unwrap();
        let subject = format!("sh (process {}) on server", child.id());
        (child, subject)
    };
    let (child, subject) = spawn("echo one; echo two; exit 3");
    let message = child.wait(WAIT_LIMIT).line(|line| line == "ready").unwrap_err().said();
    assert_eq!(
        message,
        format!(
            "wait for {subject} to print a line: no output line matches\n  \
             it has ended: exit status: 3\n  its last lines:\n    one\n    two"
        )
    );
    let message = child.wait(WAIT_LIMIT).listening(80).unwrap_err().said();
    assert_eq!(
        message,
        format!(
            "wait for {subject} to listen on port 80: nothing listens there\n  \
             listening on server: nothing\n  \
             it has ended: exit status: 3\n  its last lines:\n    one\n    two"
        )
    );
    let (child, subject) = spawn("seq 30; echo now; exec sleep 1000");
    child.wait(WAIT_LIMIT).line(|line| line == "now").unwrap();
    let last: String = (12..=30).map(|number| format!("    {number}\n")).collect();
    let state = format!("  it runs\n  its last lines:\n{last}    now");
    let short = child.wait(SHORT);
    assert_eq!(
        short.line(|line| line == "ready").unwrap_err().said(),
        format!("wait for {subject} to print a line: no output line matches within 30ms\n{state}")
    );
    assert_eq!(
        short.exit().unwrap_err().said(),
        format!("wait for {subject} to end: it runs within 30ms\n{state}")
    );
    let (child, subject) = spawn("exec >&- 2>&-; exec sleep 1000");
    assert_eq!(
        child.wait(WAIT_LIMIT).line(|_| true).unwrap_err().said(),
        format!(
            "wait for {subject} to print a line: no output line matches\n  it runs\n  \
             it has printed nothing"
        )
    );
}
