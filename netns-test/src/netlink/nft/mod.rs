//! Tables, rules and sets of nftables (nft(8), `linux/netfilter/nf_tables.h`), over a netlink
//! protocol of its own that `rtnetlink` does not speak.

#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) mod batch;
pub(crate) mod comment;
#[cfg(feature = "lab")]
pub(crate) mod expression;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) mod fields;
#[cfg(feature = "lab")]
pub(crate) mod list;
#[cfg(feature = "lab")]
pub(crate) mod rule;
pub(crate) mod rules;
#[cfg(feature = "lab")]
pub(crate) mod set;
pub(crate) mod socket;
#[cfg(feature = "doctor")]
pub(crate) mod table;
#[cfg(all(test, feature = "lab"))]
mod tests;

#[cfg(feature = "lab")]
pub(crate) use crate::netlink::nft::batch::{Batch, Hook};
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::nft::rule::Rule;
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::nft::set::{Element, Kind, Set};
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::nft::socket::Nft;

/// `NFNL_SUBSYS_NFTABLES`, shifted as the upper byte of a message's type.
pub(crate) const NFTABLES: u16 = 10 << 8;
/// `NFPROTO_INET`
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const INET: u8 = 1;
/// `NFPROTO_IPV4`
#[cfg(feature = "lab")]
pub(crate) const IPV4: u8 = 2;
