//! Queues that are full, and packets that are too large.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::servers::{end, pair};

cases! {
    ("receiver_does_not_read", receiver_does_not_read, &["likely: the receive buffer of udp"]),
    ("accept_queue_full", accept_queue_full, &["first: the accept queue of 0.0.0.0:80 on server"]),
    ("datagram_too_long", datagram_too_long, &["likely: UDP has at most 65507"]),
    ("near_all_read", near_all_read, &["not: receive buffer"]),
}

fn receiver_does_not_read() {
    let (lab, client, server) = pair("client", "server");
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    for _ in 0..2000 {
        sender.send_to(&[0; 1000], "10.0.0.2:53").unwrap();
    }
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let received = (0..2000).take_while(|_| receiver.recv(&mut [0; 1000]).is_ok()).count();
    assert_eq!(received, 2000, "all datagrams arrive");
}

fn near_all_read() {
    let (lab, client, server) = pair("client", "server");
    let receiver = lab[server].run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    for _ in 0..100 {
        sender.send_to(&[0; 1000], "10.0.0.2:53").unwrap();
        receiver.recv(&mut [0; 1000]).unwrap();
    }
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    receiver.recv(&mut [0; 1000]).unwrap();
}

fn accept_queue_full() {
    let (lab, client, server) = pair("client", "server");
    lab[server].sysctl("net.core.somaxconn", 1).unwrap();
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let limit = Duration::from_millis(500);
    let _open: Vec<TcpStream> = lab[client].run(|| {
        (0..20).map(|_| TcpStream::connect_timeout(&end("10.0.0.2:80"), limit).unwrap()).collect()
    });
}

fn datagram_too_long() {
    let (lab, client, _server) = pair("client", "server");
    let sender = lab[client].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    sender.send_to(&vec![0; 70_000], "10.0.0.2:53").unwrap();
}
