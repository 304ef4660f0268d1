//! Changes of a running lab: addresses and routes of nodes, ends of links, partitions, power, and
//! new nodes. The plan of the lab changes only with `extend`.

pub(crate) mod addrs;
pub(crate) mod extend;
pub(crate) mod impairment;
pub(crate) mod interface;
pub(crate) mod join;
pub(crate) mod lookup;
pub(crate) mod move_link;
pub(crate) mod partition;
pub(crate) mod power;
pub(crate) mod rollback;
pub(crate) mod routes;
