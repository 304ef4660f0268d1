//! The network of a body: `lo` and nothing else, and all rights over it.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use netns_test::netns_test;
use netns_test_tests::{LIMIT, eventually, stdout_of};

#[netns_test]
fn only_lo_is_seen() {
    let in_sys: Vec<_> =
        fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(in_sys, ["lo"]);
    let in_proc = fs::read_to_string("/proc/net/dev").unwrap();
    assert_eq!(in_proc.lines().skip(2).count(), 1, "{in_proc}");
    let by_netlink = stdout_of("ip", &["-o", "link", "show"]);
    assert_eq!(by_netlink.lines().count(), 1, "{by_netlink}");
    assert!(by_netlink.contains("LOOPBACK,UP"), "{by_netlink}");
}

#[netns_test]
fn nothing_leads_out() {
    assert_eq!(stdout_of("ip", &["-4", "route", "show"]), "");
    for address in ["192.0.2.1:80", "[2001:db8::1]:80"] {
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{address}: {error}");
    }
}

#[netns_test]
fn both_loopback_addresses_work() {
    for address in ["127.0.0.1", "[::1]"] {
        let listener = TcpListener::bind(format!("{address}:0")).unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }
    assert!(("localhost", 80).to_socket_addrs().unwrap().all(|found| found.ip().is_loopback()));
}

#[netns_test]
fn low_ports_are_free() {
    let _http = TcpListener::bind("0.0.0.0:80").unwrap();
    let _dns = UdpSocket::bind("[::]:53").unwrap();
}

#[netns_test]
fn raw_packet_and_ping_sockets_open() {
    let sockets = [
        (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
        (libc::AF_PACKET, libc::SOCK_RAW, i32::from((libc::ETH_P_ALL as u16).to_be())),
        (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
    ];
    for (family, kind, protocol) in sockets {
        // SAFETY: makes a descriptor, which the end of the process closes.
        let socket = unsafe { libc::socket(family, kind, protocol) };
        let error = std::io::Error::last_os_error();
        assert!(socket >= 0, "socket({family}, {kind}, {protocol}): {error}");
    }
}

#[netns_test]
fn links_are_made_and_their_addresses_are_not_checked_for_duplicates() {
    for line in [
        "link add one type veth peer name two",
        "link add switch type bridge",
        "link set two master switch",
        "link set one up",
        "link set two up",
        "link set switch up",
        "addr add fd00::1/64 dev one",
        "addr add 10.0.0.1/24 dev one",
    ] {
        stdout_of("ip", &line.split(' ').collect::<Vec<_>>());
    }
    // The kernel takes an address into use in a worker of its own, a moment later.
    eventually(LIMIT, "no address is tentative", || {
        stdout_of("ip", &["-6", "addr", "show", "dev", "one", "tentative"]).is_empty()
    });
    let counters = fs::read_to_string("/proc/net/snmp6").unwrap();
    let asked = counters.lines().find(|line| line.starts_with("Icmp6OutNeighborSolicits")).unwrap();
    assert!(asked.ends_with("\t0") || asked.ends_with(" 0"), "{asked}");
    UdpSocket::bind("[fd00::1]:9").unwrap();
    UdpSocket::bind("10.0.0.1:9").unwrap();
}

#[netns_test]
fn named_namespaces_are_made_by_ip() {
    stdout_of("ip", &["netns", "add", "inner"]);
    assert!(stdout_of("ip", &["netns", "list"]).starts_with("inner"));
    let inside = stdout_of("ip", &["netns", "exec", "inner", "ip", "-o", "link", "show"]);
    assert_eq!(inside.lines().count(), 1, "{inside}");
    stdout_of("ip", &["netns", "delete", "inner"]);
    assert_eq!(stdout_of("ip", &["netns", "list"]), "");
}

#[netns_test]
fn sysctls_of_the_network_are_writable() {
    for (name, value) in [("ipv4/ip_forward", "1"), ("ipv4/ip_local_port_range", "5000\t5999")] {
        let path = format!("/proc/sys/net/{name}");
        fs::write(&path, value).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), value);
    }
}

/// Two tests of one name space of ports, at the same time: each waits for the other.
#[test]
fn two_tests_hold_one_port_at_the_same_time() {
    let scratch = netns_test_tests::scratch("port");
    let mut run = netns_test_tests::again(&[], &["network::holds_port_80_", "--test-threads=2"]);
    netns_test_tests::passes(run.env("MEETING_PLACE", &scratch), 2);
    fs::remove_dir_all(scratch).unwrap();
}

fn hold_port_80(own: &str, other: &str) {
    let place = std::path::PathBuf::from(std::env::var_os("MEETING_PLACE").unwrap());
    let _listener = TcpListener::bind("0.0.0.0:80").unwrap();
    fs::write(place.join(own), "").unwrap();
    eventually(LIMIT, "the other test holds it, too", || place.join(other).exists());
}

#[netns_test]
#[ignore = "run by two_tests_hold_one_port_at_the_same_time"]
fn holds_port_80_here() {
    hold_port_80("here", "there");
}

#[netns_test]
#[ignore = "run by two_tests_hold_one_port_at_the_same_time"]
fn holds_port_80_there() {
    hold_port_80("there", "here");
}

/// The kernel copies those of the machine, which may forward, filter by source, or be hardened. A
/// setting that a kernel does not have is passed over.
#[netns_test]
fn settings_of_interfaces_are_the_kernels_own() {
    for name in ["all", "default", "lo"] {
        for (setting, default) in [
            ("ipv4", "forwarding", "0"),
            ("ipv4", "rp_filter", "0"),
            ("ipv4", "accept_redirects", "1"),
            ("ipv4", "secure_redirects", "1"),
            ("ipv4", "send_redirects", "1"),
            ("ipv4", "accept_source_route", if name == "all" { "0" } else { "1" }),
            ("ipv4", "log_martians", "0"),
            ("ipv4", "arp_ignore", "0"),
            ("ipv4", "arp_announce", "0"),
            ("ipv4", "promote_secondaries", "0"),
            ("ipv4", "route_localnet", "0"),
            ("ipv4", "disable_policy", if name == "lo" { "1" } else { "0" }),
            ("ipv6", "forwarding", "0"),
            ("ipv6", "accept_ra", "1"),
            ("ipv6", "hop_limit", "64"),
        ]
        .map(|(family, setting, default)| (format!("{family}/conf/{name}/{setting}"), default))
        {
            let Ok(now) = fs::read_to_string(format!("/proc/sys/net/{setting}")) else { continue };
            assert_eq!(now.trim_end(), default, "{setting}");
        }
    }
}
