//! Refused connections, and programs that have died.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, NodeId, Topology, netns_test};

use super::Case;

cases! {
    ("loopback_only", loopback_only, &["proven: listens on 127.0.0.1:8080 only"]),
    ("loopback_only_by_name", loopback_only_by_name, &["proven: listens on 127.0.0.1:8080 only"]),
    (
        "wrong_port",
        wrong_port,
        &["proven: nothing on server listens on 10.0.0.2:8080", "also: 8081"],
    ),
    ("wrong_family", wrong_family, &["proven: 0.0.0.0:8080"]),
    ("v6_only", v6_only, &["proven: [::]:8080 only"]),
    ("other_node", other_node, &["proven: nothing on web listens", "also: on db instead"]),
    ("never_started", never_started, &["proven: nothing on server listens on 10.0.0.2:8080"]),
    ("refused_in_async", refused_in_async, &["proven: listens on 127.0.0.1:8080 only"]),
    ("refused_returned", refused_returned, &["likely: listens on 127.0.0.1:8080 only"]),
    ("udp_not_bound", udp_not_bound, &["likely: nothing on server is bound to 10.0.0.2:53"]),
    ("program_died", program_died, &["likely: sh (process", "also: exited with status 3"]),
    ("program_failed", program_failed, &["likely: exited with status 3 on server"]),
    ("port_in_use", port_in_use, &["likely: port 8080 on server is in use by the test"]),
    ("port_in_use_on_node", port_in_use_on_node, &["likely: port 8080 on server is in use"]),
    ("unix_path_in_use", unix_path_in_use, &["likely: path of a UNIX socket", "not: port 80"]),
    ("loopback_only_ipv6", loopback_only_ipv6, &["proven: listens on [::1]:8080 only"]),
    ("helper_has_ended", helper_has_ended, &["proven: listens on 10.0.0.2:8081"]),
    ("near_bound_later", near_bound_later, &["likely: 127.0.0.1:8080 only", "no certain: "]),
    ("near_bound_meanwhile", near_bound_meanwhile, &["likely: nothing on", "no certain: "]),
    ("near_unix_refused", near_unix_refused, &["no certain: "]),
    ("near_too_late", near_too_late, &["not: nothing on server", "likely: did not listen"]),
    ("near_two_refused", near_two_refused, &["likely: the error is that of one of 2 refused connections", "no certain: "]),
    ("near_expected_refusal", near_expected_refusal, &["not: nothing on", "not: listen"]),
}

/// Lists cases that return the error.
pub(crate) const RETURNED: &[Case] = &[
    ("returned_in_a_lab", &["likely: nothing on server listened on 10.0.0.2:8080"]),
    (
        "returned_without_a_lab",
        &["likely: nothing in the test's own network listened on 127.0.0.1:80"],
    ),
];

#[netns_test]
#[ignore = "run by main.rs"]
fn returned_in_a_lab() -> std::io::Result<()> {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080"))?;
    lab[client].run(connect("10.0.0.2:8080"))?;
    Ok(())
}

#[netns_test]
#[ignore = "run by main.rs"]
fn returned_without_a_lab() -> std::io::Result<()> {
    TcpStream::connect("127.0.0.1:80")?;
    Ok(())
}

pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Returns a lab of two nodes on one link, 10.0.0.1 and 10.0.0.2.
pub(crate) fn pair(one: &str, other: &str) -> (Lab, NodeId, NodeId) {
    let mut net = Topology::new();
    let (a, b) = (net.host(one), net.host(other));
    net.link(a, b).name("lan");
    (net.build().unwrap(), a, b)
}

pub(crate) fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connect(to: &'static str) -> impl FnOnce() -> std::io::Result<TcpStream> + Send {
    move || TcpStream::connect(to)
}

fn loopback_only() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn loopback_only_by_name() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    lab[client].run(|| TcpStream::connect("server:8080").unwrap());
}

fn wrong_port() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:8081")).unwrap();
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn wrong_family() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
    let to = SocketAddr::new(lab[server].ipv6().into(), 8080);
    lab[client].run(|| TcpStream::connect(to)).unwrap();
}

fn v6_only() {
    let (lab, client, server) = pair("client", "server");
    lab[server].sysctl("net.ipv6.bindv6only", 1).unwrap();
    let _listener = lab[server].run(|| TcpListener::bind("[::]:8080")).unwrap();
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn other_node() {
    let mut net = Topology::new();
    let [client, web, db, lan] =
        [net.host("client"), net.host("web"), net.host("db"), net.switch("lan")];
    for node in [client, web, db] {
        net.link(node, lan);
    }
    let lab = net.build().unwrap();
    let _listener = lab[db].run(|| TcpListener::bind("0.0.0.0:5432")).unwrap();
    lab[client].run(connect("web:5432")).unwrap();
}

fn never_started() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn refused_in_async() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    lab[client].block_on(async {
        tokio::net::TcpStream::connect("10.0.0.2:8080").await.unwrap();
    });
}

fn refused_returned() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let refused = lab[client].run(connect("10.0.0.2:8080")).unwrap_err();
    panic!("the service is not there: {refused}");
}

fn udp_not_bound() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("10.0.0.2:53").unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.send(b"?").unwrap();
        socket.recv(&mut [0; 8]).unwrap();
    });
}

fn program_died() {
    let (lab, client, server) = pair("client", "server");
    let program = lab[server]
        .command("sh")
        .args(["-c", "echo cannot open config >&2; exit 3"])
        .spawn()
        .unwrap();
    program.wait(WAIT_LIMIT).exit().unwrap();
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn program_failed() {
    let (lab, _client, server) = pair("client", "server");
    let program = lab[server]
        .command("sh")
        .args(["-c", "echo cannot open config >&2; exit 3"])
        .spawn()
        .unwrap();
    assert!(program.wait(WAIT_LIMIT).exit().unwrap().success(), "the program has failed");
}

fn port_in_use() {
    let (lab, _client, server) = pair("client", "server");
    let _first = lab[server].run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
    lab[server].run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
}

fn port_in_use_on_node() {
    let (lab, _client, server) = pair("client", "server");
    let _first = lab[server].run(|| UdpSocket::bind("0.0.0.0:8080")).unwrap();
    lab[server].run(|| UdpSocket::bind("0.0.0.0:8080").unwrap());
}

fn near_too_late() {
    let (lab, client, server) = pair("client", "server");
    let refused = lab[client].run(connect("10.0.0.2:8080"));
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:8080")).unwrap();
    refused.unwrap();
}

fn near_two_refused() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let first = lab[client].run(connect("10.0.0.2:9090"));
    lab[client].run(connect("10.0.0.2:8080")).unwrap_err();
    first.unwrap();
}

fn near_expected_refusal() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(connect("10.0.0.2:8080")).unwrap_err();
    assert_eq!(1 + 1, 3, "arithmetic");
}

/// Returns a path for a UNIX socket.
fn unix_path() -> PathBuf {
    netns_test_tests::scratch("causes-unix").join("socket")
}

fn unix_path_in_use() {
    let (lab, _client, server) = pair("client", "server");
    let _other = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let path = unix_path();
    let listen = || UnixListener::bind(&path);
    let _first = listen().unwrap();
    listen().unwrap();
}

fn loopback_only_ipv6() {
    let (lab, client, server) = pair("client", "server");
    let _listener = lab[server].run(|| TcpListener::bind("[::1]:8080")).unwrap();
    lab[client].run(|| TcpStream::connect("server:8080")).unwrap();
}

fn helper_has_ended() {
    let (lab, client, server) = pair("client", "server");
    assert!(lab[server].command("true").status().unwrap().success());
    let _listener = lab[server].run(|| TcpListener::bind("10.0.0.2:8081")).unwrap();
    lab[client].run(connect("10.0.0.2:8080")).unwrap();
}

fn near_bound_later() {
    let (lab, client, server) = pair("client", "server");
    let refused = lab[client].run(|| TcpStream::connect("10.0.0.2:8080"));
    let _listener = lab[server].run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let _stream: TcpStream = refused.expect("a connection to 10.0.0.2:8080");
}

fn near_bound_meanwhile() {
    let (lab, client, server) = pair("client", "server");
    let refused = lab[client].run(|| TcpStream::connect("10.0.0.2:8080"));
    drop(lab[server].run(|| TcpListener::bind("0.0.0.0:8080")).unwrap());
    let _stream: TcpStream = refused.expect("a connection to 10.0.0.2:8080");
}

/// The expected refusal is not the one that fails.
fn near_unix_refused() {
    let (lab, client, _server) = pair("client", "server");
    let path = unix_path();
    drop(UnixListener::bind(&path).unwrap());
    lab[client].run(|| TcpStream::connect("10.0.0.2:8080")).unwrap_err();
    UnixStream::connect(&path).unwrap();
}
