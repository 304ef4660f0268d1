//! A client of name servers that writes its messages itself, and the program `getent`.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use netns_test::lab::RecordType;
use netns_test::{Lab, NodeId};

/// Id of all queries.
pub(crate) const ID: u16 = 0x1DEA;

/// Time within which an answer comes that comes at all.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    pub(crate) fn id(&self) -> u16 {
        self.word(0)
    }

    pub(crate) fn code(&self) -> u8 {
        self.0[3] & 15
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.0[2] & 2 != 0
    }

    pub(crate) fn is_authoritative(&self) -> bool {
        self.0[2] & 4 != 0
    }

    pub(crate) fn may_recurse(&self) -> bool {
        self.0[3] & 128 != 0
    }

    /// Numbers of records: answers, authority, additional.
    pub(crate) fn counts(&self) -> [u16; 3] {
        [6, 8, 10].map(|at| self.word(at))
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }
}

/// Returns a query with the flag RD, and EDNS of this size.
pub(crate) fn query(name: &str, record_type: RecordType, edns: Option<u16>) -> Vec<u8> {
    let additional = u8::from(edns.is_some());
    let mut bytes = [&ID.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, additional]].concat();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(record_type.0.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(size) = edns {
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0; 6]);
    }
    bytes
}

/// Sends bytes by UDP from a node, and returns what comes back within `limit`.
pub(crate) fn send(
    lab: &Lab,
    node: NodeId,
    server: IpAddr,
    bytes: &[u8],
    limit: Duration,
) -> Option<Answer> {
    lab[node].run(|| {
        let any: SocketAddr =
            if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        // An answer from another address than the one that was asked does not come.
        socket.connect((server, 53)).unwrap();
        socket.set_read_timeout(Some(limit)).unwrap();
        socket.send(bytes).unwrap();
        let mut buffer = vec![0; 65_536];
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(Answer(buffer))
    })
}

/// Asks by UDP.
pub(crate) fn ask(
    lab: &Lab,
    node: NodeId,
    server: IpAddr,
    name: &str,
    record_type: RecordType,
) -> Answer {
    let answer = send(lab, node, server, &query(name, record_type, None), SOON);
    answer.unwrap_or_else(|| panic!("no answer about {name}"))
}

/// Asks by TCP, all at once, and returns the answers in order.
pub(crate) fn ask_by_tcp(
    lab: &Lab,
    node: NodeId,
    server: IpAddr,
    queries: &[Vec<u8>],
) -> Vec<Answer> {
    lab[node].run(|| {
        let mut stream = TcpStream::connect((server, 53)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        for bytes in queries {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], bytes].concat()).unwrap();
        }
        let read = |_| {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).unwrap();
            Answer(bytes)
        };
        queries.iter().map(read).collect()
    })
}

/// Returns the addresses that the C library finds on a node, through `std`; empty for none.
pub(crate) fn found(lab: &Lab, node: NodeId, name: &str) -> Vec<String> {
    lab[node].run(|| match (name, 0).to_socket_addrs() {
        Ok(all) => all.map(|one| one.ip().to_string()).collect(),
        Err(_) => Vec::new(),
    })
}

/// Returns what `getent` prints on a node, as words, and its status.
pub(crate) fn getent(lab: &Lab, node: NodeId, arguments: &[&str]) -> (Vec<String>, i32) {
    let output = lab[node].command("getent").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace().map(str::to_owned).collect();
    (words, output.status.code().unwrap())
}
