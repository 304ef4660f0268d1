//! The kernel's table of connections (conntrack): lists its flows, and empties it
//! (`linux/netfilter/nfnetlink_conntrack.h`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Failure;
use crate::netlink::attr::{Attribute, address, attributes};
use crate::netlink::message::attribute;
use crate::netlink::nft::Nft;
use crate::netlink::nft::socket::HEAD;
use crate::sys::errno;

/// `NFNL_SUBSYS_CTNETLINK` as the upper byte of a type.
const CONNTRACK: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW`, `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE`
const NEW: u16 = CONNTRACK;
const GET: u16 = CONNTRACK | 1;
const DELETE: u16 = CONNTRACK | 2;
/// `CTA_TUPLE_ORIG`, `CTA_ZONE`
const ORIGINAL: u16 = 1;
const ZONE: u16 = 18;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;
/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowThere {
    /// IP protocol.
    pub(crate) protocol: u8,
    /// Addresses of the first packet before translation.
    pub(crate) original: Tuple,
    /// Addresses of answers before translation.
    pub(crate) reply: Tuple,
    /// State of a TCP connection (`enum tcp_conntrack`).
    pub(crate) tcp_state: Option<u8>,
    /// Bits of the status (`enum ip_conntrack_status`).
    pub(crate) status: u32,
    pub(crate) expires: Duration,
    pub(crate) zone: u16,
    /// The original addresses as the kernel has sent them.
    pub(crate) raw: Vec<u8>,
}

/// Source and destination; for ICMP queries the ports are the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// Removes all flows of the network of the socket.
pub(crate) fn flush(nft: &mut Nft) -> Result<(), Failure> {
    let done = nft.request(DELETE, &[0; HEAD]);
    done.map_err(|error| errno::failure("flush", "flows of conntrack", &error))
}

/// Removes a flow of the network of the socket. One that has ended meanwhile is no error.
pub(crate) fn forget(nft: &mut Nft, flow: &FlowThere) -> Result<(), Failure> {
    let mut body = vec![0; HEAD];
    body[0] = if flow.original.from.is_ipv4() { IPV4 } else { IPV6 };
    body.extend(attribute(NESTED | ORIGINAL, &flow.raw));
    body.extend(attribute(ZONE, &flow.zone.to_be_bytes()));
    match nft.request(DELETE, &body) {
        Err(error) if error.raw_os_error() == Some(errno::ENOENT) => Ok(()),
        done => done.map_err(|error| errno::failure("remove", "a flow of conntrack", &error)),
    }
}

/// Adds an open TCP connection, from its client to its server. One that is there stays. The kernel
/// learns its sequence numbers by its next packets.
pub(crate) fn add_open(nft: &mut Nft, [from, to]: [SocketAddr; 2]) -> Result<(), Failure> {
    /// `TCP_CONNTRACK_ESTABLISHED`, `IP_CT_TCP_FLAG_BE_LIBERAL`
    const OPEN: u8 = 3;
    const LIBERAL: u8 = 0x8;
    /// `IPS_SEEN_REPLY`, `IPS_ASSURED`, `IPS_CONFIRMED`
    const STATUS: u32 = 0x2 | 0x4 | 0x8;
    /// The kernel's time-out of open connections, in seconds.
    const TIME: u32 = 5 * 24 * 3600;
    let nested = |kind: u16, parts: &[Vec<u8>]| attribute(NESTED | kind, &parts.concat());
    let flags = [4, 5].map(|kind| attribute(kind, &[LIBERAL; 2]));
    let tcp = [attribute(1, &[OPEN]), flags.concat()];
    let mut body = vec![0; HEAD];
    body[0] = if from.is_ipv4() { IPV4 } else { IPV6 };
    body.extend(nested(ORIGINAL, &tcp_tuple([from, to])));
    body.extend(nested(2, &tcp_tuple([to, from])));
    body.extend(attribute(3, &STATUS.to_be_bytes()));
    body.extend(nested(4, &[nested(1, &tcp)]));
    body.extend(attribute(7, &TIME.to_be_bytes()));
    match nft.request_new(NEW, &body) {
        Err(error) if error.raw_os_error() == Some(errno::EEXIST) => Ok(()),
        done => done.map_err(|error| {
            errno::failure("add", format!("connection {from} - {to} to conntrack"), &error)
        }),
    }
}

/// Lists all flows of the network of the socket.
pub(crate) fn flows(nft: &mut Nft) -> Result<Vec<FlowThere>, Failure> {
    let found = nft.dump(GET, &[0; HEAD]);
    let found = found.map_err(|error| errno::failure("list", "flows of conntrack", &error))?;
    Ok(found.iter().filter_map(|body| flow(body)).collect())
}

fn flow(body: &[u8]) -> Option<FlowThere> {
    let fields = attributes(body.get(HEAD..)?);
    let ((protocol, original), (_, reply)) =
        (tuple(value(&fields, ORIGINAL)?)?, tuple(value(&fields, 2)?)?);
    let word = |kind| Some(u32::from_be_bytes(value(&fields, kind)?.try_into().ok()?));
    let state = value(&fields, 4).and_then(|info| {
        let tcp = attributes(value(&attributes(info), 1)?);
        value(&tcp, 1)?.first().copied()
    });
    let zone = value(&fields, ZONE).and_then(half).unwrap_or(0);
    let raw = value(&fields, ORIGINAL)?.to_vec();
    let expires = Duration::from_secs(u64::from(word(7).unwrap_or(0)));
    let status = word(3).unwrap_or(0);
    Some(FlowThere { protocol, original, reply, tcp_state: state, status, expires, zone, raw })
}

/// Parses the protocol and the addresses.
fn tuple(bytes: &[u8]) -> Option<(u8, Tuple)> {
    let fields = attributes(bytes);
    let (ip, proto) = (attributes(value(&fields, 1)?), attributes(value(&fields, 2)?));
    let either = |kinds: [u16; 2]| -> Option<IpAddr> {
        address(kinds.into_iter().find_map(|kind| value(&ip, kind))?)
    };
    let port = |kinds: [u16; 3]| {
        kinds.into_iter().find_map(|kind| value(&proto, kind).and_then(half)).unwrap_or(0)
    };
    let from = SocketAddr::new(either([1, 3])?, port([2, 4, 7]));
    let to = SocketAddr::new(either([2, 4])?, port([3, 4, 7]));
    Some((*value(&proto, 1)?.first()?, Tuple { from, to }))
}

/// Returns the attributes of the addresses of TCP segments.
fn tcp_tuple([from, to]: [SocketAddr; 2]) -> [Vec<u8>; 2] {
    const TCP: u8 = 6;
    let address = |address: IpAddr, kinds: [u16; 2]| match address {
        IpAddr::V4(address) => attribute(kinds[0], &address.octets()),
        IpAddr::V6(address) => attribute(kinds[1], &address.octets()),
    };
    let addresses = [address(from.ip(), [1, 3]), address(to.ip(), [2, 4])].concat();
    let port = |kind: u16, end: SocketAddr| attribute(kind, &end.port().to_be_bytes());
    let ports = [attribute(1, &[TCP]), port(2, from), port(3, to)].concat();
    [attribute(NESTED | 1, &addresses), attribute(NESTED | 2, &ports)]
}

fn value<'a>(fields: &[Attribute<'a>], kind: u16) -> Option<&'a [u8]> {
    fields.iter().find(|one| one.kind == kind).map(|one| one.value)
}

fn half(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.try_into().ok()?))
}
