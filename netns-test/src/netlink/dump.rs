//! Lists of the kernel as bytes. A crate's types leave out what they do not know: an attribute that is
//! left out is not shown, not compared, and does not come back when the object is made again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::PoisonError;

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};

use crate::error::Failure;
use crate::netlink::{HEADER, Netlink, framed, raw};
use crate::sys::errno;

/// `AF_INET`, `AF_INET6` of linux/socket.h.
pub(crate) const IPV4: u8 = 2;
pub(crate) const IPV6: u8 = 10;

/// The length of an `rtmsg`, which a `fib_rule_hdr` has, too; of an `ifaddrmsg`, and an `ndmsg`.
pub(crate) const ROUTE: usize = 12;
pub(crate) const ADDRESS: usize = 8;
pub(crate) const NEIGHBOUR: usize = 12;

/// `NLM_F_DUMP_INTR`: the list has changed while it was sent.
const INTERRUPTED: u16 = 0x10;

/// The times that a list is asked for which changes again and again.
const ATTEMPTS: usize = 8;

/// `EOPNOTSUPP`, `EAFNOSUPPORT`: the kernel has no objects of that kind.
const NONE_OF_THEM: [i32; 2] = [95, 97];

impl Netlink {
    /// Lists the objects of a family: the bodies of the answers. `head` is the body of the question, the
    /// first byte of which is the family; answers begin with that byte, too.
    pub(crate) fn dump(
        &self,
        kind: u16,
        head: &[u8],
        object: &str,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let failed = |error| errno::failure("list", object, &error);
        let mut talk = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A list that is being received.
struct List {
    number: u32,
    found: Vec<Vec<u8>>,
    is_whole: bool,
}

impl List {
    /// Takes one datagram; whether it was the last.
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

/// A netlink attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    /// Its type, without the flags for nested ones.
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    /// With its header and padding.
    pub(crate) whole: &'a [u8],
}

/// The attributes one after the other; what is cut off at the end is none.
pub(crate) fn attributes(mut bytes: &[u8]) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        let Some(value) = bytes.get(4..length) else { break };
        let end = length.next_multiple_of(4).min(bytes.len());
        found.push(Attribute { kind, value, whole: &bytes[..end] });
        bytes = &bytes[end..];
    }
    found
}

/// A number of 32 bits.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// The same with a sign.
pub(crate) fn signed(value: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(value.try_into().ok()?))
}

/// An address, the family of which its length says.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

/// `0.0.0.0` or `::`.
pub(crate) fn unspecified(family: u8) -> IpAddr {
    if family == IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// An attribute that has no name here: `attribute 31 0x0100`.
pub(crate) fn unnamed(attribute: Attribute<'_>) -> String {
    format!("attribute {} {}", attribute.kind, hex(attribute.value))
}

pub(crate) fn hex(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attribute;

    #[test]
    fn attributes_that_are_cut_off_are_none() {
        let bytes = [attribute(7, b"abcde"), attribute(0x8009, &[1, 0, 0, 0])].concat();
        let all = attributes(&bytes);
        assert_eq!(all.iter().map(|one| one.kind).collect::<Vec<_>>(), [7, 9]);
        assert_eq!((all[0].value, all[0].whole.len()), (&b"abcde"[..], 12));
        assert_eq!(number(all[1].value), Some(1));
        assert!((0..9).all(|length| attributes(&bytes[..length]).is_empty()));
        // One without padding at the end.
        assert_eq!(attributes(&bytes[..9]).len(), 1);
        assert!(attributes(&[3, 0, 1, 0]).is_empty());
    }

    #[test]
    fn a_list_ends_with_its_own_end() {
        let mut list = List { number: 7, found: Vec::new(), is_whole: true };
        let datagram = [framed(24, 2, 6, &[1]), framed(24, 2 | INTERRUPTED, 7, &[2, 0])].concat();
        assert!(!list.take(&datagram).unwrap());
        assert_eq!((list.found.clone(), list.is_whole), (vec![vec![2, 0]], false));
        assert!(list.take(&framed(NLMSG_DONE, 2, 7, &[0; 4])).unwrap());
        assert!(list.take(&framed(NLMSG_ERROR, 0, 7, &(-95_i32).to_ne_bytes())).unwrap());
        assert!(list.take(&framed(NLMSG_DONE, 2, 7, &(-1_i32).to_ne_bytes())).is_err());
    }
}
