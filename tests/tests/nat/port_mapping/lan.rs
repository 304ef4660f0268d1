//! Two hosts behind a home router, and a peer outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{GatewayAddress, InternetProtocol, PortMappingOptions, TimeoutConfig, natpmp, pcp};
use igd_next::SearchOptions;
use netns_test::lab::{LinkId, Nat, NatMapping, NodeId, PortMapping, PortMappingProtocol};
use netns_test::{Lab, Topology};
use netns_test_tests::eventually;

use crate::home::{PATIENCE, heard, udp};

/// 192.168.1.1 (laptop), 192.168.1.2 (phone), 192.168.1.3 (home) 203.0.113.1, 203.0.113.2 (peer).
pub(super) struct Lan {
    pub(super) laptop: NodeId,
    pub(super) phone: NodeId,
    pub(super) home: NodeId,
    pub(super) peer: NodeId,
    pub(super) lan: LinkId,
    pub(super) wan: LinkId,
}

/// Protocols of datagrams, by the client `crab_nat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Pcp,
    NatPmp,
}

/// Declares the network.
pub(super) fn net(nat: Nat) -> (Topology, Lan) {
    let mut net = Topology::new();
    let [laptop, phone, peer] = ["laptop", "phone", "peer"].map(|name| net.host(name));
    let (lan, home) = (net.switch("lan"), net.router("home"));
    for host in [laptop, phone] {
        net.link(host, lan);
    }
    let lan = net.link(home, lan).subnet("192.168.1.0/24").id();
    let wan = net.link(home, peer).subnet("203.0.113.0/24").id();
    net.nat(home, wan, nat);
    (net, Lan { laptop, phone, home, peer, lan, wan })
}

/// Builds it, with a router that serves these protocols.
pub(super) fn with(mapping: PortMapping) -> (Lab, Lan) {
    let (net, lan) = net(Nat::home().port_mapping(mapping));
    (net.build().unwrap(), lan)
}

impl Lan {
    /// Address of the router on the inside.
    pub(super) fn gateway(&self, lab: &Lab) -> Ipv4Addr {
        let IpAddr::V4(address) = lab[self.home].address_on(self.lan) else { panic!("no IPv4") };
        address
    }

    /// External endpoint with this port.
    pub(super) fn outside(&self, lab: &Lab, port: u16) -> SocketAddr {
        SocketAddr::new(lab[self.home].address_on(self.wan), port)
    }

    /// Sends a datagram from a new socket of the peer to an external port.
    pub(super) fn send(&self, lab: &Lab, port: u16, text: &str) {
        let socket = udp(lab, self.peer, "0.0.0.0:0");
        socket.send_to(text.as_bytes(), self.outside(lab, port)).unwrap();
    }

    /// Checks that a datagram from the peer to an external port arrives, and none before it did.
    pub(super) fn assert_arrives(&self, lab: &Lab, port: u16, at: &UdpSocket, text: &str) {
        self.send(lab, port, text);
        assert_eq!(heard(at).0, text);
    }

    /// Leases a port by UPnP.
    pub(super) fn add_port(
        &self,
        lab: &Lab,
        host: NodeId,
        (port, inside): (u16, u16),
        seconds: u32,
    ) -> Result<(), igd_next::AddPortError> {
        let gateway = search(lab, host).unwrap();
        let local = SocketAddr::new(inside_of(lab, host), inside);
        let protocol = igd_next::PortMappingProtocol::UDP;
        lab[host].run(|| gateway.add_port(protocol, port, local, seconds, "a test"))
    }

    /// Waits until no port is leased.
    pub(super) fn wait_for_no_lease(&self, lab: &Lab) {
        eventually(PATIENCE, "no port is leased", || match self.leases(lab) {
            none if none.is_empty() => Ok(()),
            leases => Err(leases),
        });
    }

    /// Leased mappings.
    pub(super) fn leases(&self, lab: &Lab) -> Vec<NatMapping> {
        let mut all = lab[self.home].nat().mappings().unwrap();
        all.retain(|one| one.leased_by.is_some());
        all
    }

    /// Returns the requests as texts.
    pub(super) fn requests(&self, lab: &Lab) -> Vec<String> {
        let all = lab[self.home].nat().requests().unwrap();
        all.iter().map(|one| format!("{}: {}: {}", one.protocol, one.action, one.answer)).collect()
    }
}

/// First IPv4 address of a node inside.
pub(super) fn inside_of(lab: &Lab, node: NodeId) -> IpAddr {
    lab[node].ipv4().into()
}

/// Searches the gateway by UPnP.
pub(super) fn search(lab: &Lab, host: NodeId) -> Result<igd_next::Gateway, igd_next::SearchError> {
    let patience = Some(PATIENCE);
    let options = || SearchOptions {
        timeout: patience,
        single_search_timeout: patience,
        ..SearchOptions::default()
    };
    lab[host].run(|| igd_next::search_gateway(options()))
}

impl By {
    pub(super) const BOTH: [Self; 2] = [Self::Pcp, Self::NatPmp];

    pub(super) fn protocol(self) -> PortMappingProtocol {
        match self {
            Self::Pcp => PortMappingProtocol::Pcp,
            Self::NatPmp => PortMappingProtocol::NatPmp,
        }
    }

    /// Leases a UDP port by the client `crab_nat`.
    pub(super) fn lease(
        self,
        lab: &Lab,
        (lan, host): (&Lan, NodeId),
        (inside, wanted): (u16, u16),
        seconds: u32,
    ) -> Result<crab_nat::PortMapping, crab_nat::MappingFailure> {
        let gateway = GatewayAddress::from(lan.gateway(lab));
        let port = NonZeroU16::new(inside).unwrap();
        let options = PortMappingOptions {
            external_port: NonZeroU16::new(wanted),
            lifetime_seconds: Some(seconds),
            timeout_config: Some(patient()),
        };
        let client = inside_of(lab, host);
        let protocol = InternetProtocol::Udp;
        lab[host].block_on(async move {
            match self {
                Self::Pcp => {
                    let base = pcp::BaseMapRequest::new(gateway, client, protocol, port);
                    Ok(pcp::port_mapping(base, None, None, options).await?)
                }
                Self::NatPmp => Ok(natpmp::port_mapping(gateway, protocol, port, options).await?),
            }
        })
    }
}

/// Time-outs of clients that a loaded machine keeps.
pub(super) fn patient() -> TimeoutConfig {
    TimeoutConfig {
        initial_timeout: Duration::from_secs(10),
        max_retries: 3,
        max_retry_timeout: Some(Duration::from_secs(20)),
    }
}
