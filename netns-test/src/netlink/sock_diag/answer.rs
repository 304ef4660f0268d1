//! Answers of `linux/inet_diag.h`, from bytes: no input or output.

use std::net::{IpAddr, SocketAddr};

use crate::netlink::attr::{IPV4, IPV6, address, attributes, number};
use crate::netlink::message::{HEADER, raw};
use crate::netlink::sock_diag::socket::{LISTENING, Protocol, Socket};

/// `NLMSG_ERROR`, `NLMSG_DONE`, `NLM_F_DUMP_INTR` of `linux/netlink.h`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const INTERRUPTED: u16 = 0x10;

/// The length of an `inet_diag_msg`.
const MESSAGE: usize = 72;

/// The kind of a timer (`idiag_timer`) that sends a segment again.
const RETRANSMISSION: u8 = 1;

/// `INET_DIAG_INFO`, `INET_DIAG_SKMEMINFO`, `INET_DIAG_SKV6ONLY` of `linux/inet_diag.h`.
const INFO: u16 = 2;
const MEMORY: u16 = 7;
const V6_ONLY: u16 = 11;

/// `SK_MEMINFO_DROPS` of `linux/sock_diag.h`, in bytes.
const DROPS: usize = 8 * 4;

/// `tcpi_bytes_received` of `tcp_info` in `linux/tcp.h`.
const CAME: usize = 128;

/// A list that is being received.
#[derive(Debug)]
pub(crate) struct Answer {
    number: u32,
    protocol: Protocol,
    pub(crate) sockets: Vec<Socket>,
    /// Whether the kernel's table has not changed meanwhile.
    pub(crate) is_whole: bool,
    pub(crate) end: Option<End>,
}

/// The end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// The kernel refuses to go on, with this error number.
    Refused(i32),
}

impl Answer {
    /// Begins the list that the request with this number asks for.
    pub(crate) fn to(number: u32, protocol: Protocol) -> Self {
        Self { number, protocol, sockets: Vec::new(), is_whole: true, end: None }
    }

    /// Takes one datagram. Messages to another request are ignored.
    pub(crate) fn take(&mut self, datagram: &[u8]) {
        for message in raw(datagram) {
            let half = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
            if number(&message[8..12]) != Some(self.number) || self.end.is_some() {
                continue;
            }
            self.is_whole &= half(6) & INTERRUPTED == 0;
            let body = &message[HEADER..];
            match half(4) {
                ERROR | DONE => self.end = Some(end(body)),
                _ => self.sockets.extend(socket(self.protocol, body)),
            }
        }
    }
}

/// Parses the end of a list: zero or an error number, negative. An end without a number is taken
/// for a refusal, as it may hide one.
fn end(body: &[u8]) -> End {
    let code = body.first_chunk().map(|code| i32::from_ne_bytes(*code).saturating_neg());
    match code {
        Some(..=0) => End::Done,
        Some(errno) => End::Refused(errno),
        None => End::Refused(0),
    }
}

/// Parses a socket. Returns none for a message of another family, or one that is too short.
fn socket(protocol: Protocol, body: &[u8]) -> Option<Socket> {
    let (head, rest) = body.split_at_checked(MESSAGE)?;
    let family = head[0];
    let end = |port: usize, ip: usize| {
        let length = match family {
            IPV4 => 4,
            IPV6 => 16,
            _ => return None,
        };
        let port = u16::from_be_bytes([head[port], head[port + 1]]);
        // An IPv6 socket with an IPv4 connection has a mapped address.
        let ip: IpAddr = address(&head[ip..ip + length])?.to_canonical();
        Some(SocketAddr::new(ip, port))
    };
    let word = |at: usize| number(&head[at..at + 4]);
    let state = head[1];
    // In place of unsent bytes a listener has its backlog.
    let (unsent, is_listener) = (word(60)?, protocol == Protocol::Tcp && state == LISTENING);
    let mut found = Socket {
        protocol,
        local: end(4, 8)?,
        remote: end(6, 24)?,
        state,
        inode: word(68)?,
        uid: word(64)?,
        unread: word(56)?,
        unsent: if is_listener { 0 } else { unsent },
        backlog: is_listener.then_some(unsent),
        interface: Some(word(40)?),
        is_ipv6_only: None,
        drops: None,
        // The number counts what the timer of the socket is for.
        retransmits: if head[2] == RETRANSMISSION { head[3].into() } else { 0 },
        came: None,
    };
    for one in attributes(rest) {
        match one.kind {
            MEMORY => {
                let drops = one.value.get(DROPS..DROPS + 4).and_then(number);
                found.drops = drops.map(u64::from);
            }
            INFO if protocol == Protocol::Tcp => {
                let came = one.value.get(CAME..).and_then(|bytes| bytes.first_chunk());
                found.came = came.map(|bytes| u64::from_ne_bytes(*bytes));
            }
            V6_ONLY => found.is_ipv6_only = one.value.first().map(|only| *only != 0),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{attribute, framed};

    /// A message as the kernel sends it: state, ends, then inode, user, queues and interface.
    fn message(family: u8, state: u8, ends: [&str; 2], words: [u32; 5]) -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        (body[0], body[1]) = (family, state);
        for (at, end) in ends.into_iter().enumerate() {
            let end: SocketAddr = end.parse().unwrap();
            body[4 + 2 * at..][..2].copy_from_slice(&end.port().to_be_bytes());
            match end.ip() {
                IpAddr::V4(ip) => body[8 + 16 * at..][..4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => body[8 + 16 * at..][..16].copy_from_slice(&ip.octets()),
            }
        }
        let [inode, uid, unread, unsent, interface] = words;
        let all = [(40, interface), (56, unread), (60, unsent), (64, uid), (68, inode)];
        for (at, word) in all {
            body[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        body
    }

    fn parsed(protocol: Protocol, body: &[u8]) -> Socket {
        let mut answer = Answer::to(5, protocol);
        answer.take(&framed(20, 2, 5, body));
        answer.sockets.pop().unwrap()
    }

    #[test]
    fn a_connection_is_parsed() {
        let ends = ["[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:4000"];
        let found = parsed(Protocol::Tcp, &message(IPV6, 1, ends, [4711, 1000, 5, 6, 3]));
        let expected = Socket {
            protocol: Protocol::Tcp,
            local: "10.0.0.1:80".parse().unwrap(),
            remote: "10.0.0.2:4000".parse().unwrap(),
            state: 1,
            inode: 4711,
            uid: 1000,
            unread: 5,
            unsent: 6,
            backlog: None,
            interface: Some(3),
            is_ipv6_only: None,
            drops: None,
            retransmits: 0,
            came: None,
        };
        assert_eq!(found, expected);
        let mut body = message(IPV4, 1, ["10.0.0.1:1", "10.0.0.2:2"], [1; 5]);
        let mut info = vec![0; CAME];
        body.extend(attribute(INFO, &info));
        assert_eq!(parsed(Protocol::Tcp, &body).came, None);
        info.extend(4711_u64.to_ne_bytes());
        body.extend(attribute(INFO, &info));
        assert_eq!(parsed(Protocol::Tcp, &body).came, Some(4711));
    }

    #[test]
    fn a_listener_has_a_backlog_and_attributes() {
        let ends = ["[::]:80", "[::]:0"];
        let mut body = message(IPV6, LISTENING, ends, [1, 0, 2, 128, 0]);
        // What the kernel also sends: `INET_DIAG_SHUTDOWN`.
        body.extend(attribute(8, &[0]));
        body.extend(attribute(V6_ONLY, &[1]));
        let words: Vec<u8> = (1..=9_u32).flat_map(u32::to_ne_bytes).collect();
        body.extend(attribute(MEMORY, &words));
        let found = parsed(Protocol::Tcp, &body);
        assert_eq!((found.unread, found.unsent, found.backlog), (2, 0, Some(128)));
        assert_eq!((found.is_ipv6_only, found.drops), (Some(true), Some(9)));
        assert_eq!(found.local, "[::]:80".parse().unwrap());
        // An older kernel has fewer numbers of memory.
        let mut body = message(IPV4, 7, ["0.0.0.0:53", "0.0.0.0:0"], [1, 0, 2, 128, 0]);
        body.extend(attribute(MEMORY, &words[..32]));
        let found = parsed(Protocol::Udp, &body);
        assert_eq!((found.unsent, found.backlog, found.drops), (128, None, None));
    }

    #[test]
    fn retransmissions_are_those_of_their_timer() {
        let mut body = message(IPV4, 2, ["10.0.0.1:1", "10.0.0.2:2"], [1; 5]);
        for (timer, expected) in [(RETRANSMISSION, 3), (2, 0), (0, 0)] {
            (body[2], body[3]) = (timer, 3);
            assert_eq!(parsed(Protocol::Tcp, &body).retransmits, expected);
        }
    }

    #[test]
    fn a_list_ends_with_its_own_end() {
        let one = message(IPV4, 1, ["10.0.0.1:1", "10.0.0.2:2"], [0; 5]);
        let mut answer = Answer::to(7, Protocol::Tcp);
        answer.take(&[framed(20, 2, 6, &one), framed(DONE, 2, 6, &[0; 4])].concat());
        assert_eq!((answer.sockets.len(), answer.end), (0, None));
        answer.take(&[framed(20, 2, 7, &one), framed(20, 2 | INTERRUPTED, 7, &one)].concat());
        assert_eq!((answer.sockets.len(), answer.is_whole, answer.end), (2, false, None));
        answer.take(&[framed(DONE, 2, 7, &[0; 4]), framed(20, 2, 7, &one)].concat());
        assert_eq!((answer.sockets.len(), answer.end), (2, Some(End::Done)));
        for (kind, body, expected) in [
            (ERROR, &(-2_i32).to_ne_bytes()[..], End::Refused(2)),
            (DONE, &(-95_i32).to_ne_bytes(), End::Refused(95)),
            (DONE, &[], End::Refused(0)),
        ] {
            let mut answer = Answer::to(7, Protocol::Udp);
            answer.take(&framed(kind, 2, 7, body));
            assert_eq!(answer.end, Some(expected));
        }
    }

    #[test]
    fn bytes_that_are_cut_off_are_no_socket() {
        let whole = message(IPV6, 1, ["[fd00::1]:1", "[fd00::2]:2"], [1; 5]);
        let mut answer = Answer::to(7, Protocol::Tcp);
        (0..MESSAGE).for_each(|length| answer.take(&framed(20, 2, 7, &whole[..length])));
        let datagram = framed(20, 2, 7, &whole);
        (0..datagram.len()).for_each(|length| answer.take(&datagram[..length]));
        answer.take(&framed(20, 2, 7, &message(1, 1, ["0.0.0.0:0"; 2], [1; 5])));
        assert!(answer.sockets.is_empty());
        answer.take(&datagram);
        assert_eq!(answer.sockets.len(), 1);
    }
}
