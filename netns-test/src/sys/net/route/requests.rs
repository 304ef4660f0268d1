//! Requests to the kernel's network configuration, laid out as bytes.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use crate::sys::net::route::message::{HEADER, put};

/// The index of `lo`, in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// `RTM_*` of linux/rtnetlink.h.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// `NLM_F_REQUEST`, and `NLM_F_CREATE` with `NLM_F_EXCL`.
const REQUEST: u16 = 0x1;
const CREATE: u16 = 0x400 | 0x200;

/// `IFLA_*` of `linux/if_link.h`.
const LINK_MAC: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const LINK_FAMILIES: u16 = 26;
const LINK_NAMESPACE: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;

/// `VETH_INFO_PEER` of linux/veth.h.
const PEER: u16 = 1;

/// `IFLA_INET6_ADDR_GEN_MODE` and `IN6_ADDR_GEN_MODE_NONE` of `linux/if_link.h`.
const LINK_LOCAL_MODE: u16 = 8;
const NO_LINK_LOCAL: u8 = 1;

/// `IFA_*` of `linux/if_addr.h`.
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_BROADCAST: u16 = 4;
const ADDRESS_NO_DAD: u8 = 2;

/// `RTA_*`, `RTPROT_BOOT`, `RT_SCOPE_*` of linux/rtnetlink.h.
const ROUTE_TO: u16 = 1;
const ROUTE_DEVICE: u16 = 4;
const ROUTE_METRIC: u16 = 6;
const ROUTE_SOURCE: u16 = 7;
const BY_ADMINISTRATOR: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;

/// Requests to be sent together.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    count: u32,
}

/// The kind of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Unicast = 1,
    /// The destination is the own node.
    Local = 2,
    Broadcast = 3,
    Multicast = 5,
}

/// The table of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// Looked up after the main table, for IPv4.
    Default = 253,
    Main = 254,
    /// Looked up before the main table.
    Local = 255,
}

/// A route that is to be added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) kind: Kind,
    pub(crate) table: Table,
    pub(crate) to: (IpAddr, u8),
    pub(crate) device: u32,
    /// The source address of packets that have none yet.
    pub(crate) source: Option<IpAddr>,
    /// The lowest wins.
    pub(crate) metric: Option<u32>,
}

/// One end of a veth pair that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: [u8; 6],
    /// The index; if `None`, the kernel chooses it.
    pub(crate) index: Option<u32>,
}

impl Requests {
    /// Adds a route.
    pub(crate) fn route(&mut self, route: &Route) {
        let Route { kind, table, to, device, source, metric } = *route;
        let scope = if to.0.is_ipv4() { SCOPE_LINK } else { SCOPE_UNIVERSE };
        let (table, kind) = (table as u8, kind as u8);
        let head = [family(to.0), to.1, 0, 0, table, BY_ADMINISTRATOR, scope, kind, 0, 0, 0, 0];
        let mut attributes = Vec::new();
        put(&mut attributes, ROUTE_TO, &octets(to.0));
        put(&mut attributes, ROUTE_DEVICE, &device.to_ne_bytes());
        if let Some(source) = source {
            put(&mut attributes, ROUTE_SOURCE, &octets(source));
        }
        if let Some(metric) = metric {
            put(&mut attributes, ROUTE_METRIC, &metric.to_ne_bytes());
        }
        self.add(NEW_ROUTE, CREATE, &[&head, &attributes]);
    }

    /// Adds a veth pair, with the far end in the network namespace `there`.
    pub(crate) fn veth(&mut self, near: End<'_>, far: End<'_>, there: BorrowedFd<'_>) {
        let mut peer = interface(far.index.unwrap_or(0), 0).to_vec();
        end(&mut peer, far);
        put(&mut peer, LINK_NAMESPACE, &there.as_raw_fd().to_ne_bytes());
        let (mut data, mut info, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        put(&mut data, PEER, &peer);
        put(&mut info, INFO_KIND, b"veth");
        put(&mut info, INFO_DATA, &data);
        end(&mut attributes, near);
        put(&mut attributes, LINK_INFO, &info);
        let head = interface(near.index.unwrap_or(0), 0);
        self.add(NEW_LINK, CREATE, &[&head, &attributes]);
    }

    /// Brings an interface up.
    pub(crate) fn up(&mut self, index: u32) {
        self.add(NEW_LINK, 0, &[&interface(index, libc::IFF_UP as u32)]);
    }

    /// Brings an interface up that asks for no MAC address (`IFF_NOARP`).
    pub(crate) fn up_without_arp(&mut self, index: u32) {
        let flags = libc::IFF_UP | libc::IFF_NOARP;
        self.add(NEW_LINK, 0, &[&interface(index, flags as u32)]);
    }

    /// Stops the kernel from adding a link-local IPv6 address to an interface, which must be down.
    pub(crate) fn no_link_local(&mut self, index: u32) {
        let (mut settings, mut families, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        put(&mut settings, LINK_LOCAL_MODE, &[NO_LINK_LOCAL]);
        put(&mut families, libc::AF_INET6 as u16, &settings);
        put(&mut attributes, LINK_FAMILIES, &families);
        self.add(NEW_LINK, 0, &[&interface(index, 0), &attributes]);
    }

    /// Adds an address, which is usable at once: DAD is skipped.
    pub(crate) fn address(&mut self, index: u32, (address, prefix): (IpAddr, u8)) {
        let scope = match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => SCOPE_LINK,
            _ => SCOPE_UNIVERSE,
        };
        let no_dad = if address.is_ipv6() { ADDRESS_NO_DAD } else { 0 };
        let mut head = vec![family(address), prefix, no_dad, scope];
        head.extend(index.to_ne_bytes());
        let mut attributes = Vec::new();
        put(&mut attributes, ADDRESS_LOCAL, &octets(address));
        put(&mut attributes, ADDRESS, &octets(address));
        if let IpAddr::V4(v4) = address {
            let broadcast = broadcast_of(v4, prefix);
            put(&mut attributes, ADDRESS_BROADCAST, &broadcast.octets());
        }
        self.add(NEW_ADDRESS, CREATE, &[&head, &attributes]);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, kind: u16, flags: u16, parts: &[&[u8]]) {
        let length = HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
        let flags = REQUEST | flags;
        self.bytes.extend((length as u32).to_ne_bytes());
        self.bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].as_flattened());
        self.bytes.extend([self.count.to_ne_bytes(), [0; 4]].as_flattened());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.count += 1;
    }
}

/// The name and the MAC address of an interface that is to be made.
fn end(attributes: &mut Vec<u8>, end: End<'_>) {
    put(attributes, LINK_NAME, &[end.name.as_bytes(), &[0]].concat());
    put(attributes, LINK_MAC, &end.mac);
}

/// An `ifinfomsg` that sets these flags.
fn interface(index: u32, flags: u32) -> [u8; 16] {
    let mut message = [0; 16];
    let words = [index, flags, flags];
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    message.iter_mut().skip(4).zip(bytes).for_each(|(place, byte)| *place = byte);
    message
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn broadcast_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() | hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length_and_attributes_are_padded() {
        let mut requests = Requests::default();
        requests.up(7);
        requests.address(7, ("192.168.1.2".parse().unwrap(), 24));
        let bytes = requests.bytes();
        assert_eq!(bytes.len(), 32 + 16 + 8 + 3 * 8);
        assert_eq!(bytes[..4], 32_u32.to_ne_bytes());
        assert_eq!(bytes[32..36], 48_u32.to_ne_bytes());
        assert_eq!(bytes[40..44], 1_u32.to_ne_bytes());
        assert_eq!(bytes[76..], [192, 168, 1, 255]);
        let mut attributes = Vec::new();
        put(&mut attributes, 7, b"abcde");
        assert_eq!((attributes.len(), &attributes[4..]), (12, &b"abcde\0\0\0"[..]));
    }

    #[test]
    fn broadcast_addresses_end_with_ones() {
        let of = |prefix| broadcast_of(Ipv4Addr::new(10, 1, 2, 3), prefix).to_string();
        assert_eq!([of(0), of(9), of(32)], ["255.255.255.255", "10.127.255.255", "10.1.2.3"]);
    }
}
