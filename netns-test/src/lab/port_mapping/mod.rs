//! Servers of the protocols by which inside hosts lease external ports of a NAT: PCP (RFC 6887),
//! NAT-PMP (RFC 6886) and UPnP Internet Gateway Device 1.
//!
//! A server is a thread on the router. A lease is an element of the maps of forwarded ports in the
//! kernel, which ends it by itself; the server knows who has it.

pub(crate) mod answers;
pub(crate) mod desk;
pub(crate) mod inside;
pub(crate) mod leases;
pub(crate) mod mapper;
pub(crate) mod model;
pub(crate) mod nat_pmp;
pub(crate) mod orders;
pub(crate) mod pcp;
pub(crate) mod server;
pub(crate) mod upnp;
