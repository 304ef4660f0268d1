//! Requests of `linux/inet_diag.h` as bytes: no input or output.

use crate::netlink::attr::{IPV4, IPV6};
use crate::netlink::message::framed;
use crate::netlink::sock_diag::socket::Protocol;

/// `NLM_F_REQUEST`, `NLM_F_DUMP` of `linux/netlink.h`.
const DUMP: u16 = 0x1 | 0x300;

/// `TCPDIAG_GETSOCK` of `linux/inet_diag.h`, `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const TCP_BY_PROTOCOL: u16 = 18;
const BY_FAMILY: u16 = 20;

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

/// The extension `INET_DIAG_SKMEMINFO`, as a bit.
pub(crate) const MEMORY: u8 = 1 << 6;

/// The extension `INET_DIAG_INFO`, as a bit: the kernel locks each TCP socket for it.
pub(crate) const INFO: u8 = 1 << 1;

/// The length of an `inet_diag_sockid`: all zeros stand for any.
const ANY: [u8; 48] = [0; 48];

/// A request for a list.
#[derive(Debug)]
pub(crate) struct Request {
    kind: u16,
    body: Vec<u8>,
}

/// Returns the requests that list the sockets of a protocol in these states, with these extensions,
/// a bit each. A request is to be sent when the one before has been answered.
pub(crate) fn dumps(protocol: Protocol, states: u32, extensions: u8) -> Vec<Request> {
    if states == 0 {
        return Vec::new();
    }
    let states = states.to_ne_bytes();
    match protocol {
        // The older of two requests (`inet_diag_req`) lists both families in one walk through the
        // table, as `ss` does.
        Protocol::Tcp => {
            let body = [&[IPV4, 0, 0, extensions], &ANY[..], &states, &[0; 4]].concat();
            vec![Request { kind: TCP_BY_PROTOCOL, body }]
        }
        Protocol::Udp => [IPV4, IPV6]
            .map(|family| {
                let body = [&[family, UDP, extensions, 0], &states[..], &ANY].concat();
                Request { kind: BY_FAMILY, body }
            })
            .into(),
    }
}

impl Request {
    /// Returns the message, with a number that its answer has, too.
    pub(crate) fn numbered(&self, number: u32) -> Vec<u8> {
        framed(self.kind, DUMP, number, &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::sock_diag::socket::ALL_STATES;

    fn messages(protocol: Protocol) -> Vec<Vec<u8>> {
        dumps(protocol, ALL_STATES, MEMORY).iter().map(|one| one.numbered(7)).collect()
    }

    #[test]
    fn requests_have_the_layout_of_the_kernel() {
        let all = messages(Protocol::Tcp);
        assert_eq!(all.len(), 1);
        let [kind, flags] = [18_u16.to_ne_bytes(), 0x301_u16.to_ne_bytes()];
        // An `inet_diag_req` has 60 bytes, the states are at 52.
        let head = [&76_u32.to_ne_bytes()[..], &kind, &flags, &7_u32.to_ne_bytes(), &[0; 4]];
        assert_eq!(all[0][..16], head.concat());
        assert_eq!(all[0][16..20], [2, 0, 0, 0x40]);
        assert_eq!(all[0][16 + 52..], [&0x1ffe_u32.to_ne_bytes()[..], &[0; 4]].concat());
        // An `inet_diag_req_v2` has 56 bytes, the states are at 4.
        let both = messages(Protocol::Udp);
        let heads: Vec<_> = both.iter().map(|one| (one.len(), &one[16..20])).collect();
        assert_eq!(heads, [(72, &[2, 17, 0x40, 0][..]), (72, &[10, 17, 0x40, 0])]);
        assert_eq!(both[0][20..24], 0x1ffe_u32.to_ne_bytes());
    }

    #[test]
    fn no_states_need_no_request() {
        assert!(dumps(Protocol::Udp, 0, MEMORY).is_empty());
    }
}
