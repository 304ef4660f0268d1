//! Routes, addresses and neighbours of the caller's own network as they were before a lab took
//! them, and the requests that put them back: the kernel's own messages, so that no attribute is
//! lost.

#[cfg(feature = "lab")]
pub(crate) mod belongings;
#[cfg(feature = "lab")]
pub(crate) mod lifetime;

use std::time::Instant;

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use crate::addr::cidr::{Cidr, Subnet};
use crate::netlink::Request;
use crate::netlink::attr::{
    ADDRESS, IPV6, NEIGHBOUR, ROUTE, address, attributes, number, unspecified,
};
use crate::netlink::kept::lifetime::{Lifetime, seconds_to};
use crate::netlink::message::attribute;
use crate::netlink::route;
use crate::netlink::route::list::{LOCAL, MAIN, Route};

/// `RTM_NEW*` of `linux/rtnetlink.h`; `RTM_DEL*` is one more, `RTM_GET*` two.
pub(crate) const ADDRESSES: u16 = 20;
pub(crate) const ROUTES: u16 = 24;
pub(crate) const NEIGHBOURS: u16 = 28;

/// `RTNH_F_ONLINK`, the only flag of a next hop that a request sets.
const ONLINK: u8 = 4;

/// `IFA_F_*` of `linux/if_addr.h`. A request may set: NODAD, HOMEADDRESS, MANAGETEMPADDR,
/// NOPREFIXROUTE, MCAUTOJOIN.
const SECONDARY: u32 = 1;
const NODAD: u32 = 2;
const DAD_FAILED: u32 = 8;
const MANAGES_TEMPORARY: u32 = 0x100;
const STABLE_PRIVACY: u32 = 0x800;
const GIVEN: u32 = NODAD | 0x10 | MANAGES_TEMPORARY | 0x200 | 0x400;

/// `NUD_PERMANENT`, `NTF_PROXY` of `linux/neighbour.h`.
const PERMANENT: u16 = 0x80;
pub(crate) const PROXY: u8 = 8;

/// A route, an address, or a permanent neighbour.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    class: Class,
    /// The body of the kernel's message, without what changes by itself.
    body: Vec<u8>,
    lifetime: Option<Lifetime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    Address,
    Neighbour,
    Route,
}

/// Two objects are equal if they differ only in their remaining lifetime.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Kept {
    pub(crate) fn route(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(ROUTE)?;
        // `RTPROT_KERNEL`; none before Linux 4.17. They come and go with the addresses.
        if u32::from(head[4]) == LOCAL && matches!(head[5], 0 | 2) {
            return None;
        }
        let mut kept = given_head(head);
        let mut lifetime = None;
        for one in attributes(rest) {
            match one.kind {
                9 => kept.extend(attribute(9, &given_hops(one.value))),
                // `RTA_CACHEINFO`: when it was used last, and how long it stays.
                12 => lifetime = lifetime::of_route(one.value),
                _ => kept.extend(one.whole),
            }
        }
        Some(Self { class: Class::Route, body: kept, lifetime })
    }

    pub(crate) fn address(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(ADDRESS)?;
        let all = attributes(rest);
        let long = all.iter().find(|one| one.kind == 8).and_then(|one| number(one.value));
        let has_failed = if head[0] == IPV6 { DAD_FAILED | STABLE_PRIVACY } else { 0 };
        // `IFA_F_TEMPORARY` has the number of `IFA_F_SECONDARY`.
        let flags = long.unwrap_or(head[2].into()) & (GIVEN | SECONDARY | has_failed);
        let mut kept = head.to_vec();
        kept[2] = flags.to_le_bytes()[0];
        let mut lifetime = None;
        for one in &all {
            match one.kind {
                6 => lifetime = lifetime::of_address(one.value),
                8 => {}
                _ => kept.extend(one.whole),
            }
        }
        kept.extend(attribute(8, &flags.to_ne_bytes()));
        Some(Self { class: Class::Address, body: kept, lifetime })
    }

    pub(crate) fn neighbour(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(NEIGHBOUR)?;
        let state = u16::from_ne_bytes([head[8], head[9]]);
        if state & PERMANENT == 0 && head[10] & PROXY == 0 {
            return None;
        }
        let mut kept = head.to_vec();
        // `NDA_CACHEINFO`, `NDA_PROBES`
        let all = attributes(rest).into_iter().filter(|one| ![3, 4].contains(&one.kind));
        all.for_each(|one| kept.extend(one.whole));
        Some(Self { class: Class::Neighbour, body: kept, lifetime: None })
    }

    pub(crate) fn identity(&self) -> (Class, &[u8], bool) {
        (self.class, &self.body, self.lifetime.is_some())
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// Returns the indexes of its interfaces, including `lo` if the kernel shows that for a route
    /// without next hop.
    pub(crate) fn indexes(&self) -> Vec<u32> {
        match self.class {
            Class::Address | Class::Neighbour => number(&self.body[4..8]).into_iter().collect(),
            Class::Route => {
                let hops = self.as_route().map(|route| route.hops).unwrap_or_default();
                hops.iter().filter_map(|hop| hop.index).collect()
            }
        }
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        self.body[0] != IPV6
    }

    /// Returns the destination of a route.
    pub(crate) fn destination(&self) -> Option<Subnet> {
        self.as_route().map(|route| route.destination)
    }

    /// Returns whether it is a route that a user or a daemon has added, not the kernel.
    pub(crate) fn is_added(&self) -> bool {
        self.as_route().is_some_and(|route| {
            route.table != LOCAL && !["kernel", "ra"].contains(&route.protocol.as_str())
        })
    }

    /// Returns whether it is a route that the kernel has added for an address.
    pub(crate) fn is_route_of_kernel(&self) -> bool {
        self.as_route().is_some_and(|route| route.protocol == "kernel")
    }

    /// Returns whether a route is for packets of one TOS only.
    pub(crate) fn has_tos(&self) -> bool {
        self.class == Class::Route && self.body[3] != 0
    }

    pub(crate) fn has_gateway(&self) -> bool {
        let hops = self.as_route().map(|route| route.hops).unwrap_or_default();
        hops.iter().any(|hop| hop.via.is_some())
    }

    /// Parses a route.
    pub(crate) fn as_route(&self) -> Option<Route> {
        (self.class == Class::Route).then(|| route::list::route(&self.body)).flatten()
    }

    /// Parses an address with its prefix.
    pub(crate) fn as_address(&self) -> Option<Cidr> {
        let all = attributes(self.body.get(ADDRESS..)?);
        let find =
            |kind| all.iter().find(|one| one.kind == kind).and_then(|one| address(one.value));
        let found = find(2).or_else(|| find(1)).filter(|_| self.class == Class::Address);
        Cidr::new(found?, self.body[1]).ok()
    }

    /// Returns whether the kernel keeps both in one ordered list: routes with the same destination,
    /// table, TOS and metric; addresses of one interface.
    pub(crate) fn shares_list_with(&self, other: &Self) -> bool {
        self.list() == other.list()
    }

    pub(crate) fn list(&self) -> (Class, Vec<u8>, Vec<u8>) {
        let (family, length) = (self.body[0], self.body[1]);
        match self.class {
            Class::Route => {
                let all = attributes(&self.body[ROUTE..]);
                let is_key = |kind: u16| [1, 2, 6, 15].contains(&kind);
                let all = all.iter().filter(|one| is_key(one.kind));
                let key = all.flat_map(|one| one.whole).copied().collect();
                (self.class, vec![family, length, self.body[2], self.body[3]], key)
            }
            Class::Address => (self.class, vec![family], self.body[4..8].to_vec()),
            Class::Neighbour => (self.class, vec![family], self.body[4..].to_vec()),
        }
    }

    /// Returns whether the kernel treats both as the same object. Different flags do not make a
    /// second one.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let ways = |route: Option<Route>| {
            let hops = route.map(|route| route.hops).unwrap_or_default();
            hops.iter().map(|hop| (hop.via, hop.index)).collect::<Vec<_>>()
        };
        self.shares_list_with(other)
            && match self.class {
                Class::Address => self.as_address() == other.as_address(),
                Class::Neighbour => true,
                Class::Route => ways(self.as_route()) == ways(other.as_route()),
            }
    }

    /// Returns whether its lifetime has ended.
    pub(crate) fn is_over(&self) -> bool {
        let valid = self.lifetime.and_then(|lifetime| lifetime.valid);
        valid.is_some_and(|valid| seconds_to(valid) == 0)
    }

    /// Returns the reason for which only the kernel can create it, or what depends on it, if there
    /// is one.
    pub(crate) fn is_of_kernel_alone(&self) -> Option<&'static str> {
        if self.class != Class::Address || self.is_ipv4() {
            return None;
        }
        let all = attributes(&self.body[ADDRESS..]);
        let of = |kind| all.iter().find(|one| one.kind == kind).map(|one| one.value);
        let flags = of(8).and_then(number).unwrap_or_default();
        // `IFA_PROTO`: `IFAPROT_KERNEL_RA`
        if of(11) == Some(&[2]) {
            Some("the kernel has made it from a router's advertisement (SLAAC)")
        } else if flags & MANAGES_TEMPORARY != 0 {
            // Before Linux 5.18, which has no `IFA_PROTO`, also an address by SLAAC.
            Some("the kernel derives temporary addresses from it (flag mngtmpaddr, RFC 8981)")
        } else if flags & SECONDARY != 0 {
            Some("it is a temporary address (RFC 8981)")
        } else if flags & STABLE_PRIVACY != 0 {
            Some("the kernel has made it from a secret (RFC 7217)")
        } else if flags & DAD_FAILED != 0 {
            Some("another node has the address, too (DAD)")
        } else {
            None
        }
    }

    /// Returns the requests that recreate it at the end of its list. (An IPv6 address is added at
    /// the front.)
    pub(crate) fn again(&self) -> Vec<Request> {
        let new = |body, flags| Request::raw("add", self.to_string(), self.kind(), body, flags);
        match self.class {
            Class::Neighbour => vec![new(self.body.clone(), NLM_F_CREATE | NLM_F_REPLACE)],
            Class::Route => vec![new(self.timed_route(), NLM_F_CREATE | NLM_F_APPEND)],
            Class::Address => {
                let flags = self.flags();
                let body = self.address_with(flags);
                if self.is_ipv4() || flags & NODAD != 0 {
                    return vec![new(body, NLM_F_CREATE | NLM_F_EXCL)];
                }
                // It is usable at once, as before: DAD is skipped.
                let first = self.address_with(flags | NODAD);
                vec![new(first, NLM_F_CREATE | NLM_F_EXCL), new(body, NLM_F_REPLACE)]
            }
        }
    }

    /// Returns a request that replaces it by itself, which fails if its gateway is unreachable.
    pub(crate) fn again_in_place(&self) -> Request {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        Request::raw("add", self.to_string(), self.kind(), self.timed_route(), flags)
    }

    /// Returns the request that removes exactly this object.
    pub(crate) fn remove(&self) -> Request {
        let body = match self.class {
            Class::Route => self.plain_route(),
            Class::Address => self.address_with(self.flags()),
            Class::Neighbour => self.body.clone(),
        };
        Request::raw("remove", self.to_string(), self.kind() + 1, body, 0)
    }

    fn kind(&self) -> u16 {
        match self.class {
            Class::Address => ADDRESSES,
            Class::Neighbour => NEIGHBOURS,
            Class::Route => ROUTES,
        }
    }

    fn flags(&self) -> u32 {
        let all = attributes(&self.body[ADDRESS..]);
        let found = all.iter().find(|one| one.kind == 8).and_then(|one| number(one.value));
        found.unwrap_or_default() & GIVEN
    }

    fn address_with(&self, flags: u32) -> Vec<u8> {
        let mut body = self.body[..ADDRESS].to_vec();
        body[2] = flags.to_le_bytes()[0];
        let all = attributes(&self.body[ADDRESS..]);
        all.iter().filter(|one| one.kind != 8).for_each(|one| body.extend(one.whole));
        body.extend(attribute(8, &flags.to_ne_bytes()));
        if let Some(Lifetime { preferred, valid }) = self.lifetime {
            let left = |until: Option<Instant>| until.map_or(u32::MAX, seconds_to).to_ne_bytes();
            body.extend(attribute(6, &[left(preferred), left(valid), [0; 4], [0; 4]].concat()));
        }
        body
    }

    fn timed_route(&self) -> Vec<u8> {
        let mut body = self.plain_route();
        if let Some(valid) = self.lifetime.and_then(|lifetime| lifetime.valid) {
            // `RTA_EXPIRES`
            body.extend(attribute(23, &seconds_to(valid).to_ne_bytes()));
        }
        body
    }

    /// Removes the attributes that the kernel has copied from a next hop object (`ip nexthop`).
    fn plain_route(&self) -> Vec<u8> {
        let all = attributes(&self.body[ROUTE..]);
        if all.iter().all(|one| one.kind != 30) {
            return self.body.clone();
        }
        let mut body = self.body[..ROUTE].to_vec();
        body[8] = 0;
        let of_hop = [4, 5, 9, 18, 21, 22];
        let own = all.iter().filter(|one| !of_hop.contains(&one.kind));
        own.for_each(|one| body.extend(one.whole));
        body
    }
}

/// `route 203.0.113.0/24 table 254`, `address 10.0.0.1/24`
impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(address) = self.as_address() {
            return write!(f, "address {address}");
        }
        let Some(route) = self.as_route() else {
            let all = attributes(&self.body[NEIGHBOUR..]);
            let to = all.iter().find(|one| one.kind == 1).and_then(|one| address(one.value));
            return write!(f, "neighbour {}", to.unwrap_or_else(|| unspecified(self.body[0])));
        };
        write!(f, "route {}", route.destination)?;
        for hop in &route.hops {
            hop.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        }
        if route.metric != 0 {
            write!(f, " metric {}", route.metric)?;
        }
        if route.table == MAIN { Ok(()) } else { write!(f, " table {}", route.table) }
    }
}

/// Returns the header of a route with the flags that a request may set.
fn given_head(head: &[u8]) -> Vec<u8> {
    let mut kept = head.to_vec();
    let flags = number(&head[8..12]).unwrap_or_default() & u32::from(ONLINK);
    kept[8..12].copy_from_slice(&flags.to_ne_bytes());
    kept
}

/// Returns the next hops of `RTA_MULTIPATH` with the flags that a request may set.
fn given_hops(hops: &[u8]) -> Vec<u8> {
    let (mut kept, mut at) = (hops.to_vec(), 0);
    while let Some(head) = kept.get_mut(at..at + 8) {
        head[2] &= ONLINK;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]])).next_multiple_of(4);
        at += length.max(8);
    }
    kept
}
