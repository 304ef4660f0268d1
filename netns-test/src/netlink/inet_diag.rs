//! Sockets that take IPv6 alone, from `sock_diag(7)`: `/proc` does not show it.

use std::collections::HashSet;

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;

use crate::error::Failure;
use crate::netlink::attr::{IPV6, attributes, number as number_of};
use crate::netlink::message::{HEADER, framed, raw};
use crate::sys::errno;

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;

/// `INET_DIAG_SKV6ONLY` of `linux/inet_diag.h`.
const V6_ONLY: u16 = 11;

/// The lengths of an `inet_diag_req_v2` and of an `inet_diag_msg`, the last four bytes of which are
/// the inode.
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// `IPPROTO_TCP`, `IPPROTO_UDP`, each with the state of a socket that waits for others, as a bit.
/// For more states of TCP the kernel walks all connections of the machine.
const ASKED: [(u8, u32); 2] = [(6, 1 << 10), (17, 1 << 7)];

/// The inodes of sockets of IPv6, by whether they take IPv6 alone; none from a kernel that cannot
/// say so.
#[derive(Debug, Default)]
pub(crate) struct Inodes {
    pub(crate) v6_only: HashSet<u32>,
    pub(crate) both: HashSet<u32>,
}

impl Inodes {
    /// Lists the sockets of the calling thread's network.
    pub(crate) fn read() -> Result<Self, Failure> {
        let failed = |error| errno::failure("ask", "sock_diag", &error);
        let mut found = Self::default();
        let Ok(mut socket) = Socket::new(NETLINK_SOCK_DIAG) else { return Ok(found) };
        socket.bind_auto().map_err(failed)?;
        socket.set_non_blocking(true).map_err(failed)?;
        for (number, (protocol, states)) in (1..).zip(ASKED) {
            let mut body = vec![0; REQUEST];
            (body[0], body[1]) = (IPV6, protocol);
            body[4..8].copy_from_slice(&states.to_ne_bytes());
            let question = framed(BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, number, &body);
            socket.send(&question, 0).map_err(failed)?;
            while !found.take(&socket.recv_from_full().map_err(failed)?.0) {}
        }
        Ok(found)
    }

    /// Takes one datagram; whether it was the last. A kernel without that protocol's module
    /// refuses.
    fn take(&mut self, datagram: &[u8]) -> bool {
        for message in raw(datagram) {
            if matches!(u16::from_ne_bytes([message[4], message[5]]), NLMSG_DONE | NLMSG_ERROR) {
                return true;
            }
            let Some((head, rest)) = message[HEADER..].split_at_checked(MESSAGE) else { continue };
            let inode = number_of(&head[MESSAGE - 4..]).unwrap_or_default();
            match attributes(rest).iter().find(|one| one.kind == V6_ONLY).map(|one| one.value) {
                Some([0]) => self.both.insert(inode),
                Some(_) => self.v6_only.insert(inode),
                None => false,
            };
        }
        false
    }
}
