//! Finds by packets what is between nodes: the NAT of a node, and the address that others see.

pub(crate) mod ends;
pub(crate) mod kind;
pub(crate) mod lifetime;
pub(crate) mod nat_kind;
pub(crate) mod reflector;
pub(crate) mod rounds;
pub(crate) mod stun;
