//! The sockets on an inside interface.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::addr::cidr::Cidr;
use crate::error::Failure;
use crate::lab::plan::nat::port_mapping::PortMappingPlan;
use crate::lab::port_mapping::desk::ipv4;
use crate::lab::port_mapping::upnp::ssdp;
use crate::lab::topology::PortMappingProtocol;
use crate::netlink::Netlink;
use crate::sys::errno;
use crate::sys::net::on_interface;

/// Port of PCP and NAT-PMP.
const PORT: u16 = 5351;

/// TCP port of descriptions and control.
pub(crate) const HTTP_PORT: u16 = 5000;

/// An inside interface that has IPv4 addresses.
#[derive(Debug)]
pub(crate) struct Inside {
    name: String,
    index: u32,
    /// Addresses with their subnets.
    pub(crate) addresses: Vec<(Ipv4Addr, Cidr)>,
    /// PCP and NAT-PMP.
    pub(crate) requests: Option<UdpSocket>,
    /// SSDP, and HTTP.
    pub(crate) searches: Option<UdpSocket>,
    connections: Option<TcpListener>,
}

/// Socket of an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Socket {
    Requests,
    Searches,
    Connections,
}

impl Inside {
    /// Lists the inside interfaces, without sockets.
    pub(crate) fn list(netlink: &Netlink, outsides: &[&str]) -> Result<Vec<Self>, Failure> {
        let addresses = netlink.addresses()?;
        let interfaces = netlink.interfaces()?.into_iter();
        let inside = interfaces
            .filter(|one| one.is_up && one.name != "lo" && !outsides.contains(&one.name.as_str()));
        let with_addresses = inside.map(|one| {
            let own = addresses.iter().filter(|address| address.index == one.index);
            let own = own.filter_map(|one| Some((ipv4(one.cidr.address())?, one.cidr)));
            Self {
                name: one.name,
                index: one.index,
                addresses: own.collect(),
                requests: None,
                searches: None,
                connections: None,
            }
        });
        Ok(with_addresses.filter(|one| !one.addresses.is_empty()).collect())
    }

    /// Returns whether both are the same interface.
    pub(crate) fn is_on(&self, other: &Self) -> bool {
        (&self.name, self.index) == (&other.name, other.index)
    }

    /// Opens the sockets of the protocols that are served and have none, and closes the others. An
    /// interface that is gone gets none.
    pub(crate) fn open(
        &mut self,
        node: &str,
        served: Option<&PortMappingPlan>,
    ) -> Result<(), Failure> {
        let serves = |one| served.is_some_and(|plan| plan.serves(one));
        let has_datagrams = serves(PortMappingProtocol::Pcp) || serves(PortMappingProtocol::NatPmp);
        let has_upnp = serves(PortMappingProtocol::Upnp);
        let name = self.name.as_str();
        let group = self.addresses.first().map(|(address, _)| *address);
        let place = format!("on {name} of {node}");
        let udp = |port| opened(on_interface::udp(name, port), &format!("udp port {port} {place}"));
        if !has_datagrams {
            self.requests = None;
        } else if self.requests.is_none() {
            self.requests = udp(PORT)?;
        }
        if !has_upnp {
            (self.searches, self.connections) = (None, None);
        } else if self.searches.is_none() {
            self.searches = udp(ssdp::PORT)?;
            if let (Some(socket), Some(own)) = (&self.searches, group) {
                // A group that cannot be joined is that of an interface that is going.
                drop(socket.join_multicast_v4(&ssdp::GROUP, &own));
            }
        }
        if has_upnp && self.connections.is_none() {
            let object = format!("tcp port {HTTP_PORT} {place}");
            self.connections = opened(on_interface::tcp(name, HTTP_PORT), &object)?;
        }
        Ok(())
    }

    /// Returns the sockets that are open.
    pub(crate) fn descriptors(&self) -> Vec<(Socket, BorrowedFd<'_>)> {
        let requests = self.requests.as_ref().map(|one| (Socket::Requests, one.as_fd()));
        let searches = self.searches.as_ref().map(|one| (Socket::Searches, one.as_fd()));
        let connections = self.connections.as_ref().map(|one| (Socket::Connections, one.as_fd()));
        [requests, searches, connections].into_iter().flatten().collect()
    }

    /// Takes the next connection.
    pub(crate) fn accept(&self) -> Option<(TcpStream, SocketAddrV4)> {
        match self.connections.as_ref()?.accept() {
            Ok((stream, SocketAddr::V4(from))) => Some((stream, from)),
            _ => None,
        }
    }

    /// Returns the own address in the subnet of a host, or the first one.
    pub(crate) fn own_address(&self, host: Ipv4Addr) -> Option<Ipv4Addr> {
        let near = self.addresses.iter().find(|(_, cidr)| cidr.is_near(host.into()));
        near.or(self.addresses.first()).map(|(address, _)| *address)
    }
}

/// Returns a socket that was opened; none if the interface is gone.
fn opened<T>(result: std::io::Result<T>, object: &str) -> Result<Option<T>, Failure> {
    match result {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.raw_os_error() == Some(errno::ENODEV) => Ok(None),
        Err(error) => Err(errno::failure("bind", object, &error)),
    }
}
