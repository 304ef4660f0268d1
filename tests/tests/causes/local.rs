//! Names, addresses and descriptors.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use super::paths::run;
use super::servers::pair;

cases! {
    ("name_typo", name_typo, &["likely: the nearest name is \"server\""]),
    ("name_typo_in_source", name_typo_in_source, &["likely: node", "not: _server"]),
    ("name_typo_in_async", name_typo_in_async, &["likely: node", "not: _server"]),
    ("tentative", tentative, &["certain: was not usable yet"]),
    ("too_many_files", too_many_files, &["certain: the test has"]),
    ("foreign_address", foreign_address, &["certain: client does not have the address 10.0.0.2"]),
    ("many_files", many_files, &["likely: the test has"]),
    ("plain_refused", plain_refused, &["proven: nothing "]),
    ("plain_no_route", plain_no_route, &["certain: the test's own network has no route"]),
    ("plain_name", plain_name, &["likely: no name server can be asked"]),
    ("plain_other_port", plain_other_port, &["likely: 127.0.0.1:81"]),
}

fn name_typo() {
    let (lab, client, _server) = pair("client", "server");
    let refused = lab[client].run(|| TcpStream::connect("sevrer:80")).unwrap_err();
    panic!("connect to sevrer:80: {refused}");
}

/// The error does not have the name. The source has, where it can be read.
fn name_typo_in_source() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(|| TcpStream::connect("sevrer:80")).unwrap();
}

fn name_typo_in_async() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].block_on(async {
        tokio::net::TcpStream::connect("serer:80").await.unwrap();
    });
}

fn tentative() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].sysctl("net.ipv6.conf.eth0.accept_dad", 1).unwrap();
    lab[client].sysctl("net.ipv6.conf.eth0.dad_transmits", 50).unwrap();
    run(&lab, client, "ip -6 address add fd00:9::1/64 dev eth0");
    lab[client].run(|| {
        let address = "[fd00:9::1]:80";
        TcpListener::bind(address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
    });
}

fn too_many_files() {
    let (lab, client, _server) = pair("client", "server");
    let limit = libc::rlimit { rlim_cur: 200, rlim_max: 200 };
    // SAFETY: it reads a live variable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    lab[client].run(|| {
        let listener = TcpListener::bind("127.0.0.1:80").unwrap();
        let mut open = Vec::new();
        loop {
            open.push(listener.try_clone().unwrap());
        }
    });
}

fn many_files() {
    let limit = libc::rlimit { rlim_cur: 1700, rlim_max: 1700 };
    // SAFETY: it reads a live variable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut open = Vec::new();
    loop {
        open.push(std::fs::File::open("/dev/null").unwrap());
    }
}

fn plain_other_port() {
    let _listener = TcpListener::bind("127.0.0.1:81").unwrap();
    TcpStream::connect("127.0.0.1:80").unwrap();
}

fn foreign_address() {
    let (lab, client, _server) = pair("client", "server");
    lab[client].run(|| {
        TcpListener::bind("10.0.0.2:80")
            .unwrap_or_else(|error| panic!("bind 10.0.0.2:80: {error}"));
    });
}

fn plain_no_route() {
    TcpStream::connect("192.0.2.1:443").unwrap();
}

/// The name server is the same on each machine.
fn plain_name() {
    let resolver = netns_test_tests::scratch("causes-resolver").join("resolv.conf");
    std::fs::write(&resolver, "nameserver 192.0.2.53\n").unwrap();
    let mount = Command::new("mount").arg("--bind").arg(&resolver).arg("/etc/resolv.conf").status();
    assert!(mount.unwrap().success());
    TcpStream::connect("example.org:443").unwrap();
}

fn plain_refused() {
    TcpStream::connect("127.0.0.1:80").unwrap();
}
