//! Connections that are closed, sides that do not speak, and panics elsewhere.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use netns_test::{Lab, NodeId};

use super::servers::{LONG, pair};

cases! {
    (
        "closed_with_unread",
        closed_with_unread,
        &["certain: server closed the connection with unread"],
    ),
    ("both_wait", both_wait, &["likely: "]),
    ("not_answered", not_answered, &["likely: server has read 9 bytes from client, and has not"]),
    ("channel_timeout", channel_timeout, &["likely: nothing has connected to 0.0.0.0:80"]),
    ("near_expected_exit", near_expected_exit, &["not: exited"]),
    ("server_does_not_read", server_does_not_read, &["likely: does not read"]),
    ("panic_on_node_first", panic_on_node_first, &["also: of server panicked first: no entry"]),
    ("near_peer_closes_well", near_peer_closes_well, &["not: unread", "likely: server has closed"]),
}

/// Returns a connection from the client to the server, both ends.
pub(crate) fn connected() -> (Lab, [NodeId; 2], [TcpStream; 2]) {
    let (lab, client, server) = pair("client", "server");
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let stream = lab[client].run(|| TcpStream::connect("10.0.0.2:80")).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (lab, [client, server], [stream, accepted])
}

fn closed_with_unread() {
    let (_lab, _, [mut stream, accepted]) = connected();
    stream.write_all(b"a long request").unwrap();
    accepted.peek(&mut [0; 1]).unwrap();
    drop(accepted);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn both_wait() {
    let (lab, [_, server], [mut stream, mut accepted]) = connected();
    let _serving = lab[server].spawn_thread(move || accepted.read(&mut [0; 8]));
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn not_answered() {
    let (_lab, _, [mut stream, mut accepted]) = connected();
    stream.write_all(b"a request").unwrap();
    accepted.read_exact(&mut [0; 9]).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn channel_timeout() {
    let (lab, _client, server) = pair("client", "server");
    let (sender, receiver) = std::sync::mpsc::channel();
    let _accepting = lab[server].spawn_thread(move || {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        drop(sender.send(listener.accept().unwrap()));
    });
    receiver.recv_timeout(Duration::from_millis(500)).unwrap();
}

fn near_expected_exit() {
    let (lab, _client, server) = pair("client", "server");
    let status = lab[server].command("sh").args(["-c", "exit 3"]).status().unwrap();
    assert_eq!(status.code(), Some(3), "the status");
    assert_eq!(1 + 1, 3, "arithmetic");
}

fn server_does_not_read() {
    let (_lab, _, [mut stream, _accepted]) = connected();
    stream.write_all(b"a request").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn panic_on_node_first() {
    let (lab, [_, server], [mut stream, accepted]) = connected();
    let serving = lab[server].spawn_thread(move || {
        let _accepted = accepted;
        panic!("no entry for the key");
    });
    assert!(serving.join().is_err());
    stream.read_exact(&mut [0; 8]).unwrap();
}

fn near_peer_closes_well() {
    let (_lab, _, [mut stream, accepted]) = connected();
    drop(accepted);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
}
