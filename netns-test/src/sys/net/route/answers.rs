//! Messages from the kernel's network configuration: refusals and changes. Pure.

use std::io;
use std::net::IpAddr;

use crate::sys::net::route::message::{HEADER, find, kind};

/// `NLMSG_ERROR`, `RTM_NEWLINK` and `RTM_NEWROUTE`.
const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const NEW_ROUTE: u16 = 24;

/// `NLM_F_CAPPED`, `NLM_F_ACK_TLVS` and `NLMSGERR_ATTR_MSG` of linux/netlink.h.
const IS_CAPPED: u16 = 0x100;
const HAS_WORDS: u16 = 0x200;
const WORDS: u16 = 1;

/// The lengths of an `ifinfomsg` and of an `rtmsg`.
const INTERFACE: usize = 16;
const ROUTE: usize = 12;

/// `IFLA_OPERSTATE`, and its value `IF_OPER_UP` of linux/if.h.
const STATE: u16 = 16;
const UP: u8 = 6;

/// `RTN_LOCAL`, and `RTA_DST` of linux/rtnetlink.h.
const LOCAL: u8 = 2;
const TO: u16 = 1;

/// A request that the kernel has refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The position of the request in its batch.
    pub(crate) place: usize,
    pub(crate) error: io::Error,
    /// The kernel's text (extended ACK), if there is one.
    pub(crate) words: Option<String>,
}

/// A change that the kernel reports, by a request or by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The interface with this index is operational (`IF_OPER_UP`).
    Carries(u32),
    /// This address is usable: it has a local route.
    Arrives(IpAddr),
}

/// Parses the refusal in a message, if it is one.
pub(crate) fn refusal_in(message: &[u8]) -> Option<Refusal> {
    let body = message.get(HEADER..)?;
    let code = i32::from_ne_bytes(*body.first_chunk()?);
    if kind(message)? != ERROR || code == 0 {
        return None;
    }
    // The request comes after the number: its header alone, or all of it.
    let request = body.get(4..)?;
    let length = u32::from_ne_bytes(*request.first_chunk()?) as usize;
    let place = u32::from_ne_bytes(*request.get(8..)?.first_chunk()?) as usize;
    let flags = u16::from_ne_bytes(*message.get(6..)?.first_chunk()?);
    let skipped = if flags & IS_CAPPED == 0 { length.next_multiple_of(4) } else { HEADER };
    let words = (flags & HAS_WORDS != 0).then(|| find(request.get(skipped..)?, WORDS)).flatten();
    let words = words.map(|words| String::from_utf8_lossy(words).trim_end_matches('\0').into());
    Some(Refusal { place, error: io::Error::from_raw_os_error(-code), words })
}

/// Parses the change in a message, if it is one of [`Change`].
pub(crate) fn change_in(message: &[u8]) -> Option<Change> {
    let body = message.get(HEADER..)?;
    match kind(message)? {
        NEW_LINK => {
            let index = u32::from_ne_bytes(*body.get(4..)?.first_chunk()?);
            let state = find(body.get(INTERFACE..)?, STATE)?;
            (state == [UP]).then_some(Change::Carries(index))
        }
        NEW_ROUTE if body.get(7) == Some(&LOCAL) => {
            let to: [u8; 16] = find(body.get(ROUTE..)?, TO)?.try_into().ok()?;
            Some(Change::Arrives(IpAddr::from(to)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno;
    use crate::sys::net::route::message::next;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEADER + body.len()) as u32;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(
            [kind.to_ne_bytes(), flags.to_ne_bytes(), [0; 2], [0; 2], [0; 2], [0; 2]].concat(),
        );
        bytes.extend(body);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (4 + value.len()) as u16;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_refusal_has_its_place_and_the_words() {
        let mut request = message(NEW_LINK, 1, &attribute(1, b"padding"));
        request[8..12].copy_from_slice(&3_u32.to_ne_bytes());
        let words = attribute(WORDS, b"Unknown device type\0");
        for (flags, request) in [(HAS_WORDS, &request[..]), (HAS_WORDS | IS_CAPPED, &request[..16])]
        {
            let body = [&(-errno::EOPNOTSUPP).to_ne_bytes()[..], request, &words].concat();
            let refusal = refusal_in(&message(ERROR, flags, &body)).unwrap();
            assert_eq!((refusal.place, refusal.error.raw_os_error()), (3, Some(errno::EOPNOTSUPP)));
            assert_eq!(refusal.words.as_deref(), Some("Unknown device type"));
        }
        let done = [&0_i32.to_ne_bytes()[..], &request].concat();
        assert!(refusal_in(&message(ERROR, 0, &done)).is_none());
    }

    #[test]
    fn changes_are_distinguished_from_other_messages() {
        let mut interface = [0; INTERFACE];
        interface[4] = 7;
        let up = [&interface[..], &attribute(STATE, &[UP])].concat();
        let index = u32::from_ne_bytes([7, 0, 0, 0]);
        assert_eq!(change_in(&message(NEW_LINK, 0, &up)), Some(Change::Carries(index)));
        let down = [&interface[..], &attribute(STATE, &[2])].concat();
        assert_eq!(change_in(&message(NEW_LINK, 0, &down)), None);
        let own: std::net::Ipv6Addr = "fe80::2".parse().unwrap();
        let mut route = vec![10, 128, 0, 0, 255, 2, 0, LOCAL, 0, 0, 0, 0];
        route.extend(attribute(TO, &own.octets()));
        assert_eq!(change_in(&message(NEW_ROUTE, 0, &route)), Some(Change::Arrives(own.into())));
        route[7] = 1;
        assert_eq!(change_in(&message(NEW_ROUTE, 0, &route)), None);
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let whole = message(NEW_LINK, 0, &[0; 16]);
        for length in 0..whole.len() {
            let mut bytes = &whole[..length];
            assert_eq!(next(&mut bytes), None);
            assert_eq!(refusal_in(&whole[..length]).map(|refusal| refusal.place), None);
            assert_eq!(change_in(&whole[..length]), None);
        }
        let mut two = &[&whole[..], &whole].concat()[..];
        assert!(next(&mut two).is_some() && next(&mut two).is_some() && next(&mut two).is_none());
    }
}
