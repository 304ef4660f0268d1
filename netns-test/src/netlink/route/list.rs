//! Routes with all their attributes, as ip-route(8) shows them. An attribute without a known name
//! is shown by its number.

use std::net::{IpAddr, Ipv4Addr};

use crate::addr::cidr::{Cidr, Subnet};
use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{
    Attribute, IPV4, ROUTE, address, attributes, hex, number, signed, unnamed, unspecified,
};

/// `RTM_GETROUTE` of linux/rtnetlink.h.
const GET: u16 = 26;

/// `RT_TABLE_MAIN`, `RT_TABLE_LOCAL`.
pub(crate) const MAIN: u32 = 254;
pub(crate) const LOCAL: u32 = 255;

/// `RTNH_F_DEAD`, `RTNH_F_ONLINK`, `RTNH_F_LINKDOWN`.
const DEAD: u8 = 1;
const ONLINK: u8 = 4;
const LINKDOWN: u8 = 16;

/// A route, of whatever table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Subnet,
    pub(crate) table: u32,
    /// `unicast`, `blackhole`.
    pub(crate) kind: &'static str,
    /// `kernel`, `static`.
    pub(crate) protocol: String,
    pub(crate) metric: u32,
    /// Several for one that leads several ways, none for one that leads nowhere.
    pub(crate) hops: Vec<Hop>,
    /// All else, in the words of ip-route(8).
    pub(crate) more: Vec<String>,
    /// Whether packets go there, and not that they are dropped.
    pub(crate) is_usable: bool,
}

/// A next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) via: Option<IpAddr>,
    pub(crate) index: Option<u32>,
    pub(crate) weight: u16,
    /// Whether it is of several: these have weights.
    pub(crate) is_one_of_several: bool,
    pub(crate) more: Vec<String>,
    /// The type and the value of an encapsulation come in either order.
    encap: String,
    is_dead: bool,
}

impl Netlink {
    /// Lists all routes, IPv4 first, in the kernel's order.
    pub(crate) fn routes(&self) -> Result<Vec<Route>, Failure> {
        let all = self.dump_both(GET, ROUTE, "routes")?;
        Ok(all.iter().filter_map(|body| route(body)).collect())
    }
}

/// Parses a route from the body of its message.
pub(crate) fn route(body: &[u8]) -> Option<Route> {
    let (head, rest) = body.split_at_checked(ROUTE)?;
    let [family, to_length, from_length, tos, table, protocol, scope, kind] = head[..8] else {
        return None;
    };
    let flags = head[8];
    let mut only = Hop::new(flags);
    let (mut hops, mut said) = (Vec::new(), Vec::new());
    let mut to = unspecified(family);
    let mut found = Route {
        destination: Cidr::new(to, to_length).ok()?.subnet(),
        table: table.into(),
        kind: name_of_kind(kind),
        protocol: name_of_protocol(protocol),
        metric: 0,
        hops: Vec::new(),
        more: Vec::new(),
        is_usable: kind == 1,
    };
    if from_length > 0 && !attributes(rest).iter().any(|one| one.kind == 2) {
        said.push(format!("from {}/{from_length}", unspecified(family)));
    }
    if tos != 0 {
        said.push(format!("tos {tos:#04x}"));
    }
    for one in attributes(rest) {
        match one.kind {
            1 => to = address(one.value)?,
            2 => said.push(format!("from {}/{from_length}", text(one))),
            6 => found.metric = number(one.value)?,
            7 => said.push(format!("src {}", text(one))),
            8 => said.extend(metrics(one.value)),
            9 => hops = next_hops(one.value),
            // Of each use, and of each moment.
            12 => said.extend(expiry(one.value)),
            15 => found.table = number(one.value)?,
            20 => said.push(format!("pref {}", preference(one.value))),
            30 => said.push(format!("nhid {}", number(one.value)?)),
            _ if only.take(one) => {}
            _ => said.push(unnamed(one)),
        }
    }
    found.destination = Cidr::new(to, to_length).ok()?.subnet();
    if family == IPV4 {
        said.push(format!("scope {}", name_of_scope(scope)));
    }
    let is_nowhere = only.via.is_none() && only.index.is_none();
    found.hops = match hops.len() {
        0 if is_nowhere => Vec::new(),
        0 => vec![only.finish()],
        _ => hops,
    };
    found.is_usable &= found.hops.is_empty() || !found.hops.iter().all(|hop| hop.is_dead);
    found.more = said;
    Some(found)
}

impl Route {
    /// `RT_TABLE_LOCAL`: the node's own addresses.
    pub(crate) fn is_local(&self) -> bool {
        self.table == LOCAL
    }
}

impl Hop {
    fn new(flags: u8) -> Self {
        let words = [(ONLINK, "onlink"), (2, "pervasive"), (DEAD, "dead"), (LINKDOWN, "linkdown")];
        let more = words.iter().filter(|(bit, _)| flags & bit != 0);
        Self {
            via: None,
            index: None,
            weight: 1,
            is_one_of_several: false,
            more: more.map(|(_, word)| (*word).to_owned()).collect(),
            encap: String::new(),
            is_dead: flags & (DEAD | LINKDOWN) != 0,
        }
    }

    /// Takes an attribute that is a next hop's; whether it is one.
    fn take(&mut self, one: Attribute<'_>) -> bool {
        match one.kind {
            4 => self.index = number(one.value),
            5 => self.via = address(one.value),
            // A family, and an address of it.
            18 => self.via = one.value.get(2..).and_then(address),
            11 => self.more.push(realm(one.value)),
            21 => self.encap = format!("encap {}{}", name_of_encap(one.value), self.encap),
            22 => self.encap += &format!(" {}", hex(one.value)),
            _ => return false,
        }
        true
    }

    fn finish(mut self) -> Self {
        if !self.encap.is_empty() {
            self.more.insert(0, std::mem::take(&mut self.encap));
        }
        self
    }
}

/// The hops of `RTA_MULTIPATH`: an `rtnexthop` each, with attributes.
fn next_hops(mut bytes: &[u8]) -> Vec<Hop> {
    let mut found = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(own) = bytes.get(8..length) else { break };
        let mut hop = Hop::new(head[2]);
        hop.index = number(&head[4..]).filter(|index| *index != 0);
        (hop.weight, hop.is_one_of_several) = (u16::from(head[3]) + 1, true);
        for one in attributes(own) {
            if !hop.take(one) {
                hop.more.push(unnamed(one));
            }
        }
        found.push(hop.finish());
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// `RTA_METRICS`: `mtu lock 1300`.
fn metrics(bytes: &[u8]) -> Vec<String> {
    const NAMES: [&str; 18] = [
        "",
        "lock",
        "mtu",
        "window",
        "rtt",
        "rttvar",
        "ssthresh",
        "cwnd",
        "advmss",
        "reordering",
        "hoplimit",
        "initcwnd",
        "features",
        "rto_min",
        "initrwnd",
        "quickack",
        "congctl",
        "fastopen_no_cookie",
    ];
    let all = attributes(bytes);
    let lock = all.iter().find(|one| one.kind == 1).and_then(|one| number(one.value)).unwrap_or(0);
    let said = |one: &Attribute<'_>| {
        let name = *NAMES.get(usize::from(one.kind)).filter(|name| !name.is_empty())?;
        let is_locked = lock & 1_u32.checked_shl(one.kind.into()).unwrap_or(0) != 0;
        let lock = if is_locked { " lock" } else { "" };
        let value = match (name, number(one.value)) {
            ("lock", Some(_)) => return None,
            ("congctl", _) => String::from_utf8_lossy(one.value).trim_end_matches('\0').to_owned(),
            ("features", Some(1)) => "ecn".to_owned(),
            ("features", Some(bits)) => format!("{bits:#x}"),
            ("rtt", Some(eighths)) => format!("{}ms", eighths / 8),
            ("rttvar", Some(quarters)) => format!("{}ms", quarters / 4),
            ("rto_min", Some(millis)) => format!("{millis}ms"),
            (_, Some(value)) => value.to_string(),
            (_, None) => hex(one.value),
        };
        Some(format!("{name}{lock} {value}"))
    };
    // One of a newer kernel has a number alone.
    let shown = |one: &Attribute<'_>| {
        let is_new = usize::from(one.kind) >= NAMES.len();
        if is_new { Some(format!("metric {}", unnamed(*one))) } else { said(one) }
    };
    all.iter().filter_map(shown).collect()
}

/// `expires 30sec`, of an `rta_cacheinfo`, whose third number is in hundredths.
fn expiry(value: &[u8]) -> Option<String> {
    let ticks = signed(value.get(8..12)?)?;
    (ticks != 0).then(|| format!("expires {}sec", ticks / 100))
}

fn preference(value: &[u8]) -> String {
    match value {
        [0] => "medium".to_owned(),
        [1] => "high".to_owned(),
        [3] => "low".to_owned(),
        other => hex(other),
    }
}

/// `realm 5`, `realms 3/5`.
fn realm(value: &[u8]) -> String {
    let both = number(value).unwrap_or_default();
    let (from, to) = (both >> 16, both & 0xffff);
    if from == 0 { format!("realm {to}") } else { format!("realms {from}/{to}") }
}

fn text(one: Attribute<'_>) -> String {
    address(one.value).unwrap_or(Ipv4Addr::UNSPECIFIED.into()).to_string()
}

fn name_of_kind(kind: u8) -> &'static str {
    const NAMES: [&str; 12] = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
        "nat",
        "xresolve",
    ];
    NAMES.get(usize::from(kind)).unwrap_or(&"unknown")
}

/// By iproute2's `rt_protos`.
pub(crate) fn name_of_protocol(protocol: u8) -> String {
    let name = match protocol {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        18 => "keepalived",
        42 => "babel",
        84 => "ovn",
        99 => "openr",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        other => return other.to_string(),
    };
    name.to_owned()
}

pub(crate) fn name_of_scope(scope: u8) -> String {
    match scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}

fn name_of_encap(value: &[u8]) -> String {
    const NAMES: [&str; 11] =
        ["none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"];
    let [low, high] = value else { return hex(value) };
    let number = u16::from_ne_bytes([*low, *high]);
    NAMES.get(usize::from(number)).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}
