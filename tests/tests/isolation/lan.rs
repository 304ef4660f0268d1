//! `network = "lan"`: an interface besides `lo`, with addresses that are usable at once, and a
//! neighbour that answers.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use netns_test::netns_test;
use netns_test_tests::{passes, stdout_of};

const OWN: [&str; 3] = ["192.168.1.2", "fd00:1::2", "fe80::2"];
const NEIGHBOUR: [&str; 3] = ["192.168.1.1", "fd00:1::1", "fe80::1"];

const LIMIT: Duration = Duration::from_secs(60);

fn index() -> u32 {
    fs::read_to_string("/sys/class/net/eth0/ifindex").unwrap().trim().parse().unwrap()
}

/// With the index of `eth0` for a link-local address.
fn address(text: &str, port: u16) -> SocketAddr {
    match text.parse().unwrap() {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, index()).into()
        }
        other => (other, port).into(),
    }
}

fn socket(own: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address(own, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

#[netns_test(network = "lan")]
fn the_interface_is_there_and_carries_packets() {
    let shown = stdout_of("ip", &["-o", "link", "show"]);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let shown = stdout_of("ip", &["-o", "link", "show", "eth0"]);
    for part in ["BROADCAST,MULTICAST,UP,LOWER_UP", "mtu 1500", "state UP", "02:00:00:00:00:02"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let mut addresses: Vec<String> = Vec::new();
    for line in stdout_of("ip", &["-o", "addr", "show", "dev", "eth0"]).lines() {
        assert!(!line.contains("tentative"), "{line}");
        addresses.push(line.split_whitespace().nth(3).unwrap().to_owned());
    }
    addresses.sort();
    assert_eq!(addresses, ["192.168.1.2/24", "fd00:1::2/64", "fe80::2/64"]);
    for family in ["-4", "-6"] {
        assert_eq!(stdout_of("ip", &[family, "route", "show", "default"]), "");
    }
}

/// The first packet is answered: a lost one would be sent again after a second.
#[netns_test(network = "lan")]
fn the_neighbour_answers() {
    for neighbour in NEIGHBOUR {
        let error = TcpStream::connect(address(neighbour, 80)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{neighbour}: {error}");
        ping(neighbour);
    }
    let lost = fs::read_to_string("/proc/net/snmp").unwrap();
    let values: Vec<_> = lost.lines().filter(|line| line.starts_with("Tcp:")).collect();
    let at = values[0].split(' ').position(|name| name == "RetransSegs").unwrap();
    assert_eq!(values[1].split(' ').nth(at), Some("0"), "{lost}");
    let known = stdout_of("ip", &["neigh", "show", "dev", "eth0"]);
    for neighbour in NEIGHBOUR {
        let line = known.lines().find(|line| line.starts_with(&format!("{neighbour} "))).unwrap();
        assert!(line.contains("lladdr 02:00:00:00:00:01"), "{known}");
    }
}

/// By a socket that needs no rights: an echo request, and its answer.
fn ping(to: &str) {
    let (is_v6, to) = (to.contains(':'), address(to, 0));
    let (family, protocol) = if is_v6 {
        (libc::AF_INET6, libc::IPPROTO_ICMPV6)
    } else {
        (libc::AF_INET, libc::IPPROTO_ICMP)
    };
    // SAFETY: makes a descriptor.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the number was made a moment ago, and is owned nowhere else.
    let socket: UdpSocket = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let (request, answer) = if is_v6 { (128, 129) } else { (8, 0) };
    socket.send_to(&[request, 0, 0, 0, 0, 1, 0, 1, b'h', b'i'], to).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 10);
    assert_eq!((buffer[0], &buffer[8..10]), (answer, &b"hi"[..]));
}

#[netns_test(network = "lan")]
fn own_addresses_are_usable_at_once() {
    for own in OWN {
        let listener = TcpListener::bind(address(own, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        TcpStream::connect(to).unwrap();
    }
}

#[netns_test(network = "lan")]
fn the_outside_is_unreachable() {
    for far in ["8.8.8.8:53", "192.168.2.1:80", "[2001:db8::1]:80"] {
        let error = TcpStream::connect(far).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{far}: {error}");
        let own = if far.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let error = UdpSocket::bind(own).unwrap().send_to(b"out", far).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{far}: {error}");
    }
}

#[netns_test(network = "lan")]
fn groups_are_on_the_interface() {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    for interface in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(192, 168, 1, 2)] {
        let receiver = socket("0.0.0.0");
        receiver.join_multicast_v4(&group, &interface).unwrap();
        hears(&receiver, &socket("0.0.0.0"), group.into(), OWN[0]);
        let silent = socket("0.0.0.0");
        silent.set_multicast_loop_v4(false).unwrap();
        silent.send_to(b"quiet", (group, receiver.local_addr().unwrap().port())).unwrap();
        receiver.set_nonblocking(true).unwrap();
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    let group: Ipv6Addr = "ff02::fb".parse().unwrap();
    for interface in [0, index()] {
        let receiver = socket("::");
        receiver.join_multicast_v6(&group, interface).unwrap();
        hears(&receiver, &socket("::"), group.into(), OWN[2]);
    }
    let (receiver, sender) = (socket("0.0.0.0"), socket("0.0.0.0"));
    sender.set_broadcast(true).unwrap();
    for broadcast in [Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 168, 1, 255)] {
        hears(&receiver, &sender, broadcast.into(), OWN[0]);
    }
}

fn hears(receiver: &UdpSocket, sender: &UdpSocket, to: IpAddr, from: &str) {
    sender.send_to(b"hello", (to, receiver.local_addr().unwrap().port())).unwrap();
    let (length, sent_from) = receiver.recv_from(&mut [0; 8]).unwrap();
    assert_eq!((length, sent_from.ip().to_string().as_str()), (5, from), "{to}");
}

#[netns_test(network = "lan", user = "root", timeout = "20s")]
async fn goes_with_other_options() {
    assert_eq!(stdout_of("id", &["-u"]).trim(), "0");
    let error = tokio::net::TcpStream::connect("192.168.1.1:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[netns_test(network = "lan")]
fn nothing_of_the_neighbour_is_in_reach() {
    assert_eq!(stdout_of("ip", &["netns", "list"]), "");
    // Init and the body, and the program that lists them.
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    assert_eq!(pids.count(), 2);
}

/// The neighbour's network namespace goes with its test: so few could not hold all of them.
#[test]
fn nothing_is_left_of_the_neighbour() {
    let limit = "echo 3 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    let own = std::env::current_exe().unwrap();
    let mut run = Command::new("unshare");
    run.args(["-Ur", "sh", "-c", limit]).arg(own).args(["lan::", "--test-threads=1"]);
    // A warm sandbox would hold namespaces, too.
    run.args(["--skip", "left_of_the", "--skip", "depend_on_spares"]);
    passes(run.env("NETNS_TEST_SPARES", "0"), 8);
}

/// Made before the tests ask.
#[test]
fn networks_do_not_depend_on_spares() {
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.args(["lan::", "--test-threads=2", "--skip", "left_of_the", "--skip", "depend_on_spares"]);
    passes(run.env("NETNS_TEST_SPARES", "2"), 8);
}

#[netns_test(network = "loopback")]
fn loopback_is_the_default() {
    let shown = stdout_of("ip", &["-o", "link", "show"]);
    assert_eq!(shown.lines().count(), 1, "{shown}");
}
