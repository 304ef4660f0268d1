//! Dumps (lists) of the kernel's objects, as bytes. The types of `rtnetlink` drop unknown
//! attributes, which would then be neither shown, nor compared, nor restored.

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{IPV4, IPV6, number, signed};
use crate::netlink::message::{HEADER, framed, raw};
use crate::sys::errno;
use crate::sys::lock::lock;

/// `NLM_F_DUMP_INTR`: the list has changed while it was sent.
const INTERRUPTED: u16 = 0x10;

/// The most attempts for a list that changes while it is sent.
const ATTEMPTS: usize = 8;

/// The errors of a kernel that has no objects of that kind.
const NONE_OF_THEM: [i32; 2] = [errno::EOPNOTSUPP, errno::EAFNOSUPPORT];

impl Netlink {
    /// Lists the objects of a family: the bodies of the answers. `head` is the body of the
    /// question, the first byte of which is the family; answers begin with that byte, too.
    pub(crate) fn dump(
        &self,
        kind: u16,
        head: &[u8],
        object: &str,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let failed = |error| errno::failure("list", object, &error);
        let mut talk = lock(&self.socket);
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            talk.number = talk.number.wrapping_add(1);
            let number = talk.number;
            let question = framed(kind, NLM_F_REQUEST | NLM_F_DUMP, number, head);
            talk.socket.send(&question, 0).map_err(failed)?;
            let mut list = List { number, found: Vec::new(), is_whole: true };
            while !list.take(&talk.socket.recv_from_full().map_err(failed)?.0).map_err(failed)? {}
            // A kernel without a family lists all that it has instead.
            list.found.retain(|body| body.first() == head.first());
            found = list.found;
            if list.is_whole {
                break;
            }
        }
        Ok(found)
    }

    /// The same for IPv4, then for IPv6.
    pub(crate) fn dump_both(
        &self,
        kind: u16,
        length: usize,
        object: &str,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut found = Vec::new();
        for family in [IPV4, IPV6] {
            let mut head = vec![0; length];
            head[0] = family;
            found.extend(self.dump(kind, &head, object)?);
        }
        Ok(found)
    }
}

/// A dump that is being received.
struct List {
    number: u32,
    found: Vec<Vec<u8>>,
    is_whole: bool,
}

impl List {
    /// Takes one datagram; returns whether it was the last.
    fn take(&mut self, datagram: &[u8]) -> std::io::Result<bool> {
        for message in raw(datagram) {
            let half = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
            if number(&message[8..12]) != Some(self.number) {
                continue;
            }
            self.is_whole &= half(6) & INTERRUPTED == 0;
            let body = &message[HEADER..];
            match half(4) {
                NLMSG_DONE | NLMSG_ERROR => {
                    // Zero or an error number, negative.
                    let code = signed(body.get(..4).unwrap_or_default()).unwrap_or_default();
                    let errno = code.saturating_neg();
                    if errno > 0 && !NONE_OF_THEM.contains(&errno) {
                        return Err(std::io::Error::from_raw_os_error(errno));
                    }
                    return Ok(true);
                }
                _ => self.found.push(body.to_vec()),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_with_its_own_end() {
        let mut list = List { number: 7, found: Vec::new(), is_whole: true };
        let datagram = [framed(24, 2, 6, &[1]), framed(24, 2 | INTERRUPTED, 7, &[2, 0])].concat();
        assert!(!list.take(&datagram).unwrap());
        assert_eq!((list.found.clone(), list.is_whole), (vec![vec![2, 0]], false));
        assert!(list.take(&framed(NLMSG_DONE, 2, 7, &[0; 4])).unwrap());
        assert!(
            list.take(&framed(NLMSG_ERROR, 0, 7, &(-errno::EOPNOTSUPP).to_ne_bytes())).unwrap()
        );
        assert!(list.take(&framed(NLMSG_DONE, 2, 7, &(-errno::EPERM).to_ne_bytes())).is_err());
    }
}
