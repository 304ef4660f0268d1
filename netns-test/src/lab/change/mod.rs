//! Changes of a running lab: addresses and routes of nodes, ends of links, impairments, partitions,
//! NATs and firewalls, power, schedules of these, and new nodes. The plan of the lab changes only
//! with `extend`.

pub(crate) mod addrs;
#[cfg(feature = "dns")]
pub(crate) mod dns;
pub(crate) mod extend;
pub(crate) mod hold;
pub(crate) mod impairment;
pub(crate) mod interface;
pub(crate) mod lookup;
pub(crate) mod move_link;
pub(crate) mod nat;
pub(crate) mod partition;
pub(crate) mod power;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod schedule;
