//! Tables, rules and sets of nftables (nft(8), `linux/netfilter/nf_tables.h`), over a netlink
//! protocol of its own that `rtnetlink` does not speak.

pub(crate) mod rules;
#[cfg(feature = "lab")]
pub(crate) mod socket;
#[cfg(feature = "doctor")]
pub(crate) mod table;

#[cfg(feature = "lab")]
pub(crate) use crate::netlink::nft::socket::Nft;
