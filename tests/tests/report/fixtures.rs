//! Tests whose reports and files are looked at.

use std::net::TcpListener;
use std::process::Command;

use netns_test::{Topology, netns_test};

#[netns_test]
#[ignore = "run by main.rs"]
fn passes() {}

#[netns_test]
#[ignore = "run by main.rs"]
#[should_panic = "as it should"]
fn panics_as_it_should() {
    panic!("as it should");
}

#[netns_test]
#[ignore = "run by main.rs"]
fn fails_plainly() {
    assert_eq!(1 + 1, 3);
}

#[netns_test]
#[ignore = "run by main.rs"]
fn listens_and_panics() {
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    panic!("it listens and has no client");
}

/// Its name, which the kernel shows, is that of its file.
#[netns_test]
#[ignore = "run by main.rs"]
fn starts_a_program_with_a_hostile_name() {
    let place = netns_test_tests::scratch("name");
    let program = place.join("\u{1b}[31m\nred");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("1000").spawn().unwrap();
    std::fs::remove_dir_all(place).unwrap();
    assert_eq!(child.id(), 0, "it has a number");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[netns_test]
#[ignore = "run by main.rs"]
fn connects_to_another_port() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:8080").unwrap());
    let address = std::net::SocketAddr::new(lab[server].ipv4().into(), 8081);
    lab[client].run(|| std::net::TcpStream::connect(address)).unwrap();
    drop(listener);
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
fn waits_for_a_datagram() {
    let mut net = Topology::new();
    let (client, router, server) = (net.host("client"), net.router("router"), net.host("server"));
    net.link(client, router);
    let cut = net.link(router, server).id();
    let lab = net.build().unwrap();
    lab[cut].down().unwrap();
    let socket = lab[client].run(|| std::net::UdpSocket::bind("0.0.0.0:4000").unwrap());
    socket.send_to(b"x", (lab[server].ipv4(), 4000)).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}
