//! Time limits: who waits for what.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use netns_test::netns_test;

use super::Case;
use super::ends::connected;
use super::paths::routed;
use super::servers::{LONG, pair};

cases! { (timeout = "1s");
    ("accept", accept, &["certain: nothing has connected to 0.0.0.0:80 on server"]),
    ("accept_on_node", accept_on_node, &["likely: nothing has connected to 0.0.0.0:80 on server"]),
    ("nothing_sent", nothing_sent, &["certain: nothing was sent to 0.0.0.0:53 on server"]),
    ("both_read", both_read, &["certain: client and server wait for each other"]),
    ("stopped", stopped, &["likely: is stopped"]),
    ("channel", channel, &["likely: the test waits for a lock, a channel or a thread"]),
    ("sleep", sleep, &["likely: the test waits for time to pass"]),
    ("panic_on_node", panic_on_node, &["likely: of server panicked first: no entry"]),
    ("port_taken_on_node", port_taken_on_node, &["also: of server panicked first", "also: in use"]),
    ("connecting", connecting, &["certain: router does not forward"]),
    ("nft_black_hole", nft_black_hole, &["likely: too large for"]),
    ("near_one_side_works", near_one_side_works, &["not: wait for each other"]),
}

pub(crate) const ASYNC: &[Case] = &[
    ("blocking_sleep", &["likely: the async runtime is blocked: the test sleeps"]),
    ("blocking_accept", &["also: the async runtime is blocked: the test waits in accept4"]),
    ("near_awaits", &["not: runtime is blocked"]),
];

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
async fn blocking_sleep() {
    std::thread::sleep(LONG);
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
async fn blocking_accept() {
    drop(TcpListener::bind("127.0.0.1:80").unwrap().accept());
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
async fn near_awaits() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:81").await.unwrap();
    drop(listener.accept().await);
}

fn accept() {
    let (lab, _client, server) = pair("client", "server");
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    listener.accept().unwrap();
}

fn accept_on_node() {
    let (lab, _client, server) = pair("client", "server");
    lab[server].run(|| TcpListener::bind("0.0.0.0:80").unwrap().accept()).unwrap();
}

fn nothing_sent() {
    let (lab, _client, server) = pair("client", "server");
    let socket = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}

fn both_read() {
    let (lab, [_, server], [mut stream, mut accepted]) = connected();
    let _serving = lab[server].spawn_thread(move || accepted.read(&mut [0; 8]));
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn near_one_side_works() {
    let (lab, [_, server], [mut stream, accepted]) = connected();
    let _serving = lab[server].spawn_thread(move || {
        std::thread::sleep(LONG);
        drop(accepted);
    });
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn stopped() {
    let (lab, _client, server) = pair("client", "server");
    let program = lab[server].command("sleep").arg("1000").spawn().unwrap();
    program.signal(19).unwrap();
    program.wait(LONG).exit().unwrap();
}

fn channel() {
    let (_lab, ..) = pair("client", "server");
    let (_sender, receiver) = mpsc::channel::<()>();
    receiver.recv().unwrap();
}

fn sleep() {
    std::thread::sleep(LONG);
}

fn panic_on_node() {
    let (lab, [_, server], [mut stream, accepted]) = connected();
    let _serving = lab[server].spawn_thread(move || {
        if accepted.peer_addr().is_ok() {
            panic!("no entry for the key");
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    std::thread::sleep(LONG);
}

fn port_taken_on_node() {
    let (lab, _client, server) = pair("client", "server");
    let _first = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let (sender, receiver) = mpsc::channel();
    let _serving = lab[server].spawn_thread(move || {
        let _second = TcpListener::bind("0.0.0.0:80").unwrap();
        sender.send(()).unwrap();
    });
    receiver.recv().unwrap_or_else(|_| std::thread::sleep(LONG));
}

fn connecting() {
    let net = routed();
    net.lab[net.router].sysctl("net.ipv4.ip_forward", 0).unwrap();
    net.lab[net.client].run(|| TcpStream::connect("10.0.1.2:80")).unwrap();
}

fn nft_black_hole() {
    use std::io::Write as _;
    let net = routed();
    let listener = net.lab[net.server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let mut stream = net.lab[net.client].run(|| TcpStream::connect("10.0.1.2:80")).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    super::paths::run(&net.lab, net.router, "ip link set eth1 mtu 1280");
    super::paths::run(&net.lab, net.client, "sysctl -q net.ipv4.ip_no_pmtu_disc=1");
    super::paths::nft(&net.lab, net.client, "input", "icmp type destination-unreachable drop");
    stream.write_all(&[0; 6000]).unwrap();
    accepted.read_exact(&mut [0; 6000]).unwrap();
}
