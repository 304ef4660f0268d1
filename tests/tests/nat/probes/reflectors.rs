//! Reflectors: what they answer by UDP, TCP and STUN, and from where.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::{Node, NodeId};
use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::Said as _;

/// A limit for what must happen.
const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

/// Builds `client` and `server` with two links, so that the server has two addresses.
fn two_links() -> (Lab, [NodeId; 2], [IpAddr; 2]) {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let links = [0, 1].map(|_| net.link(client, server).id());
    let lab = net.build().unwrap();
    let addresses = links.map(|link| lab[server].address_on(link));
    (lab, [client, server], addresses)
}

fn client_socket(node: &Node, any: impl Into<IpAddr>) -> UdpSocket {
    let any = any.into();
    let socket = node.run(|| UdpSocket::bind((any, 0))).unwrap();
    socket.set_read_timeout(LIMIT).unwrap();
    socket
}

fn asked(socket: &UdpSocket, request: &[u8], to: SocketAddr) -> (Vec<u8>, SocketAddr) {
    socket.send_to(request, to).unwrap();
    let mut answer = [0; 2048];
    let (length, from) = socket.recv_from(&mut answer).unwrap();
    (answer[..length].to_vec(), from)
}

/// Returns a Binding request with these attributes.
fn stun(attributes: &[u8]) -> Vec<u8> {
    let head = [0, 1, 0, u8::try_from(attributes.len()).unwrap(), 0x21, 0x12, 0xa4, 0x42];
    [&head, &b"transaction!"[..], attributes].concat()
}

#[netns_test]
fn udp_and_tcp_get_the_source_as_text() {
    let (lab, [client, server], addresses) = two_links();
    let reflector = lab[server].reflector(3478).unwrap();
    assert_eq!((reflector.port(), reflector.other_port()), (3478, 3479));
    for address in addresses {
        assert!(reflector.addresses().contains(&address), "{reflector:?}");
        for port in [3478, 3479] {
            let to = SocketAddr::new(address, port);
            let any: IpAddr = match to.is_ipv4() {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = client_socket(&lab[client], any);
            let (text, from) = asked(&socket, b"hello", to);
            assert_eq!(from, to);
            let seen: SocketAddr = String::from_utf8(text).unwrap().parse().unwrap();
            assert_eq!(seen.port(), socket.local_addr().unwrap().port());

            let mut stream = lab[client].run(|| TcpStream::connect(to)).unwrap();
            stream.set_read_timeout(LIMIT).unwrap();
            // Also to a client that sends something, without a reset.
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut seen = String::new();
            stream.read_to_string(&mut seen).unwrap();
            assert_eq!(seen, stream.local_addr().unwrap().to_string());
        }
    }
}

#[netns_test]
fn stun_requests_change_address_and_port() {
    let (lab, [client, server], [first, second]) = two_links();
    let _reflector = lab[server].reflector(3478).unwrap();
    let socket = client_socket(&lab[client], Ipv4Addr::UNSPECIFIED);
    let to = SocketAddr::new(first, 3478);
    let sources = [
        (0, SocketAddr::new(first, 3478)),
        (2, SocketAddr::new(first, 3479)),
        (4, SocketAddr::new(second, 3478)),
        (6, SocketAddr::new(second, 3479)),
    ];
    for (flags, source) in sources {
        let (answer, from) = asked(&socket, &stun(&[0, 3, 0, 4, 0, 0, 0, flags]), to);
        assert_eq!(from, source, "{flags}");
        assert_eq!(answer[..2], [1, 1]);
        // MAPPED-ADDRESS.
        assert_eq!(answer[20..26], [0, 1, 0, 8, 0, 1]);
        let port = u16::from_be_bytes([answer[26], answer[27]]);
        assert_eq!(port, socket.local_addr().unwrap().port());
    }
    // RESPONSE-PORT.
    let other = client_socket(&lab[client], Ipv4Addr::UNSPECIFIED);
    let port = other.local_addr().unwrap().port().to_be_bytes();
    let request = stun(&[0, 0x27, 0, 2, port[0], port[1], 0, 0]);
    socket.send_to(&request, to).unwrap();
    assert_eq!(other.recv_from(&mut [0; 2048]).unwrap().1, to);
    // An attribute that must be understood, and is not.
    let (answer, _) = asked(&socket, &stun(&[0, 0x7f, 0, 0]), to);
    assert_eq!(answer[..2], [1, 0x11]);
}

#[netns_test]
fn a_server_with_one_address_refuses_to_change_it() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let _reflector = lab[server].reflector(u16::MAX).unwrap();
    let socket = client_socket(&lab[client], Ipv4Addr::UNSPECIFIED);
    let to = SocketAddr::new(lab[server].ipv4().into(), u16::MAX);
    let (answer, from) = asked(&socket, &stun(&[0, 3, 0, 4, 0, 0, 0, 6]), to);
    assert_eq!((from, &answer[..2]), (to, &[1, 0x11][..]));
    let (_, from) = asked(&socket, &stun(&[0, 3, 0, 4, 0, 0, 0, 2]), to);
    assert_eq!(from.port(), 65534);
}

#[netns_test]
fn the_ports_are_free_after_the_guard() {
    let (lab, [_, server], _) = two_links();
    let reflector = lab[server].reflector(3478).unwrap();
    let error = lab[server].reflector(3479).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(98));
    let text = error.said();
    assert!(
        text.starts_with("bind udp ") && text.contains(":3479 of server: EADDRINUSE"),
        "{text}"
    );
    drop(reflector);
    drop(lab[server].reflector(3479).unwrap());
    let text = lab[server].reflector(0).unwrap_err().said();
    assert_eq!(text, "start a reflector of server: port 0 is no port of a server");
}
