//! Sockets, interfaces and devices of the network.

#[cfg(feature = "lab")]
pub(crate) mod datagram;
pub(crate) mod devconf;
#[cfg(feature = "lab")]
pub(crate) mod ethtool;
pub(crate) mod failures;
pub(crate) mod ifreq;
#[cfg(feature = "dns")]
pub(crate) mod listen;
pub(crate) mod netlink;
#[cfg(feature = "lab")]
pub(crate) mod on_interface;
#[cfg(feature = "lab")]
pub(crate) mod packet;
#[cfg(feature = "lab")]
pub(crate) mod ping;
pub(crate) mod route;
pub(crate) mod socket;
#[cfg(feature = "doctor")]
pub(crate) mod tun;
