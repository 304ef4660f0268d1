//! The state of IPv6 addresses: tentative (DAD), or usable. A lab polls it, so the two lists are
//! parsed as bytes.

use std::collections::HashSet;
use std::net::Ipv6Addr;

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NlasIterator};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::message::{HEADER, raw};
use crate::sys::errno;
use crate::sys::lock::lock;

/// `RTM_GETADDR` and `RTM_GETROUTE` of linux/rtnetlink.h.
const GET_ADDRESSES: u16 = 22;
const GET_ROUTES: u16 = 26;

/// The lengths of an `ifaddrmsg`, whose last four bytes are the interface's index, and of an
/// `rtmsg`.
const ADDRESS: usize = 8;
const ROUTE: usize = 12;

/// `AF_INET6`.
const IPV6: u8 = 10;

/// `IFA_ADDRESS` and `IFA_LOCAL`, `RTA_DST` and `RTA_OIF`.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// `IFA_F_DADFAILED`: another node has the address, so it is never used.
const DUPLICATE: u8 = 8;

/// `RTN_LOCAL`.
const LOCAL: u8 = 2;

/// The interfaces by the state of their IPv6 addresses, as indexes.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The interfaces with an address that is not usable yet.
    pub(crate) late: HashSet<u32>,
    /// The interfaces with a link-local address.
    pub(crate) link_local: HashSet<u32>,
    /// Whether any interface, such as `lo`, has an IPv6 address.
    pub(crate) has_ipv6: bool,
}

impl Netlink {
    /// Reads the state of all IPv6 addresses.
    ///
    /// The kernel adds the local route of a new address last, after it has joined the
    /// solicited-node group. With it the address is usable.
    pub(crate) fn settled(&self) -> Result<Settled, Failure> {
        let mut addresses = Vec::new();
        self.each(GET_ADDRESSES, ADDRESS, "addresses", |body| addresses.extend(address(body)))?;
        let mut routes = HashSet::new();
        if !addresses.is_empty() {
            self.each(GET_ROUTES, ROUTE, "routes", |body| routes.extend(local_route(body)))?;
        }
        // Before Linux 4.18 such a route leads to `lo`.
        let is_settled =
            |own: &(u32, Ipv6Addr)| routes.contains(own) || routes.contains(&(1, own.1));
        let late = addresses.iter().filter(|own| !is_settled(own)).map(|own| own.0).collect();
        let link_local = addresses.iter().filter(|own| own.1.is_unicast_link_local());
        let link_local = link_local.map(|own| own.0).collect();
        Ok(Settled { late, link_local, has_ipv6: !addresses.is_empty() })
    }

    /// Calls `with` for the body of each message of a list.
    fn each(
        &self,
        kind: u16,
        body: usize,
        object: &str,
        mut with: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let failed = |error| errno::failure("list", object, &error);
        let mut talk = lock(&self.socket);
        talk.number = talk.number.wrapping_add(1);
        talk.socket.send(&request(talk.number, kind, body), 0).map_err(failed)?;
        loop {
            let (answers, _) = talk.socket.recv_from_full().map_err(failed)?;
            for answer in raw(&answers) {
                match u16::from_ne_bytes([answer[4], answer[5]]) {
                    // A kernel without IPv6 knows no such request.
                    NLMSG_DONE | NLMSG_ERROR => return Ok(()),
                    _ => with(&answer[HEADER..]),
                }
            }
        }
    }
}

/// Builds a request whose body has only a family.
fn request(number: u32, kind: u16, body: usize) -> Vec<u8> {
    let length = u32::try_from(HEADER + body).expect("it is short").to_ne_bytes();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes();
    let mut bytes = [&length[..], &kind.to_ne_bytes(), &flags, &number.to_ne_bytes()].concat();
    bytes.resize(HEADER + body, 0);
    bytes[HEADER] = IPV6;
    bytes
}

/// Parses an address that has not failed DAD, with the index of its interface.
fn address(body: &[u8]) -> Option<(u32, Ipv6Addr)> {
    let flags = *body.get(2)?;
    let index = body.get(4..ADDRESS)?.try_into().ok()?;
    // A kernel without IPv6 lists IPv4 addresses instead.
    let is_meant = body[0] == IPV6 && flags & DUPLICATE == 0;
    let attributes = body.get(ADDRESS..)?;
    // For a point-to-point address, `IFA_ADDRESS` is the peer's.
    let own = find(attributes, IFA_LOCAL).or_else(|| find(attributes, IFA_ADDRESS));
    let octets: [u8; 16] = own?.try_into().ok()?;
    is_meant.then(|| (u32::from_ne_bytes(index), octets.into()))
}

/// Parses a local route: the address, with the index of its interface.
fn local_route(body: &[u8]) -> Option<(u32, Ipv6Addr)> {
    let is_meant = body.first() == Some(&IPV6) && body.get(7) == Some(&LOCAL);
    let attributes = body.get(ROUTE..).filter(|_| is_meant)?;
    let octets: [u8; 16] = find(attributes, RTA_DST)?.try_into().ok()?;
    let index = find(attributes, RTA_OIF)?.try_into().ok()?;
    Some((u32::from_ne_bytes(index), octets.into()))
}

fn find(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut all = NlasIterator::new(attributes).flatten();
    all.find(|attribute| attribute.kind() == kind).map(|attribute| attribute.value().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_settled() {
        let start = std::time::Instant::now();
        let netlink = Netlink::open().unwrap();
        while !netlink.settled().unwrap().late.is_empty() {
            assert!(start.elapsed().as_secs() < 60);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    #[test]
    fn answers_that_are_too_short_are_nothing() {
        let own: Ipv6Addr = "fd00::1".parse().unwrap();
        let mut message = vec![IPV6, 64, 0, 0, 7, 0, 0, 0, 20, 0, IFA_ADDRESS as u8, 0];
        assert_eq!(address(&message), None);
        message.extend(own.octets());
        assert_eq!(address(&message), Some((u32::from_ne_bytes([7, 0, 0, 0]), own)));
        message[2] = DUPLICATE;
        assert_eq!(address(&message), None);
        for length in 0..message.len() {
            assert_eq!(address(&message[..length]), None);
        }
        let mut message = vec![IPV6, 128, 0, 0, 255, 2, 0, LOCAL, 0, 0, 0, 0];
        message.extend([8, 0, RTA_OIF as u8, 0, 7, 0, 0, 0, 20, 0, RTA_DST as u8, 0]);
        message.extend(own.octets());
        assert_eq!(local_route(&message), Some((u32::from_ne_bytes([7, 0, 0, 0]), own)));
        for length in 0..message.len() {
            assert_eq!(local_route(&message[..length]), None);
        }
        message[7] = 1;
        assert_eq!(local_route(&message), None);
    }
}
