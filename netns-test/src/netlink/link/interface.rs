//! The interfaces of a namespace, as the kernel lists them.

use std::fmt;

use rtnetlink::packet_route::RouteNetlinkMessage;
pub(crate) use rtnetlink::packet_route::link::Stats64;
use rtnetlink::packet_route::link::{
    InfoData, InfoVrf, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::sys::errno;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Vec<u8>>,
    /// `veth`, `bridge`; none for `lo` and hardware.
    pub(crate) kind: Option<String>,
    /// The index of the bridge that it is a port of.
    pub(crate) bridge: Option<u32>,
    /// The table of a VRF.
    pub(crate) vrf: Option<u32>,
    pub(crate) counters: Option<Stats64>,
    /// Whether it uses ARP and NDP.
    pub(crate) is_asked: bool,
    /// Whether it is set up (`IFF_UP`).
    pub(crate) is_up: bool,
    /// Whether it has a carrier (`IFF_LOWER_UP`): the other end of a veth pair is up, too.
    pub(crate) has_carrier: bool,
    /// The index of the interface below it (VLAN, macvlan), or of the other end of a veth pair.
    pub(crate) lower: Option<u32>,
    /// Whether its operational state is up (`IF_OPER_UP`, RFC 2863), or unknown, as that of `lo`.
    pub(crate) is_running: bool,
    /// Whether its operational state is up, and not unknown.
    pub(crate) says_running: bool,
}

impl Netlink {
    /// Lists all interfaces, sorted by index.
    pub(crate) fn interfaces(&self) -> Result<Vec<Interface>, Failure> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.list("interfaces", request)?;
        let mut found: Vec<Interface> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(message) => Some(interface(message)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|interface| interface.index);
        Ok(found)
    }

    /// Returns the interface with this index, or none if there is none.
    pub(crate) fn interface(&self, index: u32) -> Result<Option<Interface>, Failure> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let object = format!("interface {index}");
        match self.ask("find", &object, RouteNetlinkMessage::GetLink(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(message) => Some(interface(message)),
                _ => None,
            })),
            Err(failure) if failure.errno == Some(errno::ENODEV) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// `eth0: up, running, mtu 1500`
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_up, self.is_running) {
            (true, true) => "up",
            (true, false) => "up, but carries nothing",
            (false, _) => "down",
        };
        write!(f, "{}: {state}, mtu {}", self.name, self.mtu)
    }
}

fn interface(message: LinkMessage) -> Interface {
    let mut found = Interface {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        mac: None,
        kind: None,
        bridge: None,
        vrf: None,
        counters: None,
        is_asked: !message.header.flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp),
        is_up: message.header.flags.contains(LinkFlags::Up),
        has_carrier: message.header.flags.contains(LinkFlags::LowerUp),
        lower: None,
        is_running: false,
        says_running: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name,
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Address(mac) => found.mac = Some(mac),
            LinkAttribute::Controller(bridge) => found.bridge = Some(bridge),
            LinkAttribute::Link(lower) => found.lower = Some(lower),
            LinkAttribute::Stats64(counters) => found.counters = Some(counters),
            LinkAttribute::LinkInfo(all) => {
                for info in all {
                    match info {
                        LinkInfo::Kind(kind) => found.kind = Some(kind.to_string()),
                        LinkInfo::Data(InfoData::Vrf(data)) => found.vrf = table_of(&data),
                        _ => {}
                    }
                }
            }
            LinkAttribute::OperState(state) => {
                found.says_running = state == State::Up;
                found.is_running = found.says_running || state == State::Unknown;
            }
            _ => {}
        }
    }
    found
}

fn table_of(vrf: &[InfoVrf]) -> Option<u32> {
    vrf.iter().find_map(|data| match data {
        InfoVrf::TableId(table) => Some(*table),
        _ => None,
    })
}
