//! The multicast groups that a namespace is a member of: a request that `rtnetlink` does not have.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::PoisonError;

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NlasIterator};

use super::{HEADER, Netlink, raw};
use crate::error::Failure;
use crate::sys::errno;

/// `RTM_GETMULTICAST` and `IFA_MULTICAST` of linux/rtnetlink.h and `linux/if_addr.h`.
const GET: u16 = 58;
const MULTICAST: u16 = 7;

/// `AF_INET6`.
const IPV6: u8 = 10;

/// The length of an `ifaddrmsg`, whose last four bytes are the interface's index.
const BODY: usize = 8;

impl Netlink {
    /// Those of IPv6, each with the index of the interface.
    pub(crate) fn groups(&self) -> Result<HashSet<(u32, Ipv6Addr)>, Failure> {
        let failed = |error| errno::failure("list", "multicast groups", &error);
        let mut talk = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        talk.number = talk.number.wrapping_add(1);
        talk.socket.send(&request(talk.number), 0).map_err(failed)?;
        let mut found = HashSet::new();
        loop {
            let (answers, _) = talk.socket.recv_from_full().map_err(failed)?;
            for answer in raw(&answers) {
                match u16::from_ne_bytes([answer[4], answer[5]]) {
                    // A kernel without IPv6 knows no such request.
                    NLMSG_DONE | NLMSG_ERROR => return Ok(found),
                    _ => found.extend(group(answer)),
                }
            }
        }
    }
}

/// A header, and an `ifaddrmsg`.
fn request(number: u32) -> Vec<u8> {
    let length = u32::try_from(HEADER + BODY).expect("it is short").to_ne_bytes();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes();
    let mut bytes = [&length[..], &GET.to_ne_bytes(), &flags, &number.to_ne_bytes()].concat();
    bytes.resize(HEADER + BODY, 0);
    bytes[HEADER] = IPV6;
    bytes
}

fn group(answer: &[u8]) -> Option<(u32, Ipv6Addr)> {
    let index = answer.get(HEADER + 4..HEADER + BODY)?.try_into().ok()?;
    let mut attributes = NlasIterator::new(answer.get(HEADER + BODY..)?).flatten();
    let address = attributes.find(|attribute| attribute.kind() == MULTICAST)?;
    let octets: [u8; 16] = address.value().try_into().ok()?;
    Some((u32::from_ne_bytes(index), octets.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Netlink;

    #[test]
    fn lo_hears_all_nodes() {
        let groups = Netlink::open().unwrap().groups().unwrap();
        let has_ipv6 = std::path::Path::new("/proc/net/igmp6").exists();
        assert_eq!(groups.contains(&(1, "ff02::1".parse().unwrap())), has_ipv6);
    }

    #[test]
    fn answers_that_are_too_short_are_nothing() {
        let mut answer = request(1);
        assert_eq!(group(&answer), None);
        answer[HEADER + 4] = 7;
        answer.extend([20, 0, 7, 0, 0xff, 2]);
        assert_eq!(group(&answer), None);
        answer.extend([0; 13]);
        answer.push(1);
        assert_eq!(
            group(&answer),
            Some((u32::from_ne_bytes([7, 0, 0, 0]), "ff02::1".parse().unwrap()))
        );
    }
}
