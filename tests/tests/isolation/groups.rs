//! Multicast and broadcast in a body: groups are joined and sent to without a route of the body's
//! own, and without the name of an interface.

use std::io::{self, ErrorKind};
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::stdout_of;

/// A deadline for a packet that does not come.
const LIMIT: Duration = Duration::from_secs(60);

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Sends a packet to `group` and takes it from `receiver`; the address that it came from.
fn reaches(receiver: &UdpSocket, sender: &UdpSocket, group: IpAddr) -> IpAddr {
    let port = receiver.local_addr().unwrap().port();
    sender.send_to(b"hello", (group, port)).unwrap_or_else(|error| panic!("{group}: {error}"));
    let mut buffer = [0; 16];
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello");
    // Once only.
    receiver.set_nonblocking(true).unwrap();
    assert_eq!(receiver.recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    receiver.set_nonblocking(false).unwrap();
    from.ip()
}

#[netns_test]
fn groups_of_ipv4_are_joined_and_sent_to() {
    for group in ["224.0.0.1", "224.0.0.251", "224.1.2.3", "232.1.1.1", "239.255.255.250"] {
        let group: Ipv4Addr = group.parse().unwrap();
        let receiver = socket("0.0.0.0:0");
        receiver.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).unwrap();
        let from = reaches(&receiver, &socket("0.0.0.0:0"), group.into());
        assert_eq!(from, Ipv4Addr::LOCALHOST);
        reaches(&receiver, &socket("127.0.0.1:0"), group.into());
        receiver.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).unwrap();
        receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        reaches(&receiver, &socket("0.0.0.0:0"), group.into());
    }
}

#[netns_test]
fn groups_of_ipv6_are_joined_and_sent_to() {
    for group in ["ff01::5", "ff02::fb", "ff05::2", "ff08::1", "ff0e::1234", "ff32::8000:1"] {
        let group: Ipv6Addr = group.parse().unwrap();
        for interface in [0, 1] {
            let receiver = socket("[::]:0");
            receiver.join_multicast_v6(&group, interface).unwrap();
            let from = reaches(&receiver, &socket("[::]:0"), group.into());
            assert_eq!(from, Ipv6Addr::LOCALHOST);
            reaches(&receiver, &socket("[::1]:0"), group.into());
        }
    }
}

/// By the calls that name a source, and the one that names no family.
#[netns_test]
fn groups_are_joined_by_the_other_calls() {
    let group = Ipv4Addr::new(232, 7, 7, 7);
    let request = libc::ip_mreq_source {
        imr_multiaddr: libc::in_addr { s_addr: u32::from(group).to_be() },
        imr_sourceaddr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        imr_interface: libc::in_addr { s_addr: 0 },
    };
    let receiver = socket("0.0.0.0:0");
    set(&receiver, libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP, &request).unwrap();
    reaches(&receiver, &socket("0.0.0.0:0"), group.into());
    let group = Ipv4Addr::new(239, 7, 7, 7);
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: u32::from(group).to_be() },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: 0,
    };
    let receiver = socket("0.0.0.0:0");
    set(&receiver, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request).unwrap();
    let sender = socket("0.0.0.0:0");
    sender.connect((group, receiver.local_addr().unwrap().port())).unwrap();
    sender.send(b"connected").unwrap();
    assert_eq!(receiver.recv(&mut [0; 16]).unwrap(), 9);
}

fn set<T>(socket: &UdpSocket, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap();
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the kernel reads so many bytes of the value.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[netns_test]
fn broadcasts_arrive() {
    for broadcast in [Ipv4Addr::BROADCAST, Ipv4Addr::new(127, 255, 255, 255)] {
        let (receiver, sender) = (socket("0.0.0.0:0"), socket("0.0.0.0:0"));
        let port = receiver.local_addr().unwrap().port();
        let refused = sender.send_to(b"hello", (broadcast, port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "as everywhere: {refused}");
        sender.set_broadcast(true).unwrap();
        assert_eq!(reaches(&receiver, &sender, broadcast.into()), Ipv4Addr::LOCALHOST);
    }
}

#[netns_test]
fn addresses_of_others_stay_unreachable() {
    for address in ["8.8.8.8:53", "192.0.2.1:80", "223.255.255.255:1", "[2001:db8::1]:80"] {
        let address: SocketAddr = address.parse().unwrap();
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{address}: {error}");
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let error = socket(own).send_to(b"out", address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{address}: {error}");
    }
}

/// Routes that the documentation shows, by `ip route`.
#[netns_test]
fn the_routes_for_groups_are_in_tables_of_their_own() {
    assert_eq!(stdout_of("ip", &["-4", "route", "show"]), "");
    let default = stdout_of("ip", &["-4", "route", "show", "table", "default"]);
    let lines: Vec<Vec<&str>> = default.lines().map(|line| line.split(' ').collect()).collect();
    let begins: Vec<_> = lines.iter().map(|line| line[..4].join(" ")).collect();
    assert_eq!(begins, ["multicast 224.0.0.0/4 dev lo", "broadcast 255.255.255.255 dev lo"]);
    let local = stdout_of("ip", &["-6", "route", "show", "table", "local"]);
    assert!(local.contains("local ff00::/8 dev lo"), "{local}");
    let main = stdout_of("ip", &["-6", "route", "show", "table", "main"]);
    assert!(!main.contains("ff00"), "{main}");
}

/// Interfaces and routes that a body adds come first.
#[netns_test]
fn routes_of_the_body_win() {
    for line in [
        "link add one type veth peer name two",
        "link set two up",
        "link set one up",
        "addr add 10.0.0.1/24 dev one",
        "addr add fd00::1/64 dev one nodad",
        "route add default via 10.0.0.2",
    ] {
        stdout_of("ip", &line.split(' ').collect::<Vec<_>>());
    }
    for group in ["224.0.0.251", "255.255.255.255"] {
        let route = stdout_of("ip", &["route", "get", group]);
        assert!(route.contains("dev one") && route.contains("src 10.0.0.1"), "{route}");
    }
    let route = stdout_of("ip", &["-6", "route", "get", "ff02::fb"]);
    assert!(!route.contains("dev lo"), "{route}");
}
