//! State that lives as long as the lab: the [`Fabric`](state::Fabric), its nodes, and the ends of
//! its links. It knows no public handle.

pub(crate) mod described;
pub(crate) mod ends;
pub(crate) mod hub;
pub(crate) mod limitation;
pub(crate) mod moved;
pub(crate) mod node;
pub(crate) mod node_runtime;
pub(crate) mod on_thread;
pub(crate) mod own_network;
pub(crate) mod partitions;
pub(crate) mod ready;
pub(crate) mod state;
pub(crate) mod stdio;
