//! The body is the administrator of its network: `ip` builds a second host and a cable to it,
//! without root. Everything is gone when the test ends.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;

use netns_test::netns_test;

#[netns_test]
fn a_cable_leads_to_another_host() {
    ip("netns add peer");
    ip("link add wire type veth peer name eth0 netns peer");
    ip("address add 10.0.0.1/24 dev wire");
    ip("link set wire up");
    ip("-n peer address add 10.0.0.2/24 dev eth0");
    ip("-n peer link set eth0 up");

    // `ci/example --nocapture` shows it.
    println!("{}", ip("-brief address"));
    assert!(ip("-json address show dev wire").contains(r#""local":"10.0.0.1""#));

    // No socket listens there: the other host answers by RST.
    let refused = TcpStream::connect("10.0.0.2:80").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    // With the cable pulled there is no answer, and no other way out.
    ip("link delete wire");
    let unreachable = TcpStream::connect("10.0.0.2:80").unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::NetworkUnreachable);
}

#[netns_test]
fn the_same_names_and_addresses_are_free_here() {
    ip("netns add peer");
    ip("link add wire type veth peer name eth0");
    ip("address add 10.0.0.1/24 dev wire");
}

/// Runs `ip` of iproute2 and returns its output.
fn ip(arguments: &str) -> String {
    let output =
        Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).expect("ip prints text")
}
