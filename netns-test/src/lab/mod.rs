//! A network of hosts inside a test: described as a value, checked and worked out by a plan.
//!
//! [`Topology`] is the description, [`Plan`] says what the kernel is to be told. Neither touches
//! it. Both can be printed, and drawn with Graphviz (`to_dot`) and Mermaid (`to_mermaid`).

mod addresses;
#[cfg(all(target_os = "linux", not(miri)))]
mod build;
mod by_hand;
#[cfg(all(target_os = "linux", not(miri)))]
mod cables;
#[cfg(all(target_os = "linux", not(miri)))]
mod change;
#[cfg(all(target_os = "linux", not(miri)))]
mod child;
mod cidr;
#[cfg(all(target_os = "linux", not(miri)))]
mod command;
mod draw;
#[cfg(all(target_os = "linux", not(miri)))]
mod give_back;
mod given;
#[cfg(all(target_os = "linux", not(miri)))]
mod host;
mod hosts_file;
mod interfaces;
#[cfg(all(target_os = "linux", not(miri)))]
mod journal;
#[cfg(all(target_os = "linux", not(miri)))]
mod limitations;
#[cfg(all(target_os = "linux", not(miri)))]
mod link;
mod mac;
mod mistakes;
mod names;
#[cfg(all(target_os = "linux", not(miri)))]
mod output;
#[cfg(all(target_os = "linux", not(miri)))]
mod own_sysctl;
#[cfg(all(target_os = "linux", not(miri)))]
mod panics;
#[cfg(all(target_os = "linux", not(miri)))]
mod partition;
mod plan;
mod planning;
mod pool;
#[cfg(all(target_os = "linux", not(miri)))]
mod programs;
#[cfg(all(target_os = "linux", not(miri)))]
mod rank;
mod reach;
#[cfg(all(target_os = "linux", not(miri)))]
mod reachable;
mod routes;
#[cfg(all(target_os = "linux", not(miri)))]
mod running;
mod segments;
#[cfg(all(target_os = "linux", not(miri)))]
mod snapshot;
#[cfg(all(target_os = "linux", not(miri)))]
mod sockets;
mod spec;
#[cfg(all(target_os = "linux", not(miri)))]
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
mod tunnels;
#[cfg(all(target_os = "linux", not(miri)))]
mod wait;
mod walk;
#[cfg(all(target_os = "linux", not(miri)))]
mod within;

#[cfg(all(target_os = "linux", not(miri)))]
pub use child::HostChild;
pub use cidr::{Cidr, CidrError, Subnet};
#[cfg(all(target_os = "linux", not(miri)))]
pub use command::HostCommand;
pub use given::{GivenAddr, GivenMac, GivenSubnet, Interface, IntoAddrs, Via};
#[cfg(all(target_os = "linux", not(miri)))]
pub use host::{Host, HostGuard};
#[cfg(all(target_os = "linux", not(miri)))]
pub use link::Link;
pub use mac::{Mac, MacError};
pub use mistakes::{Mistake, Mistakes};
pub use plan::{
    InterfaceKind, InterfacePlan, LinkPlan, NodePlan, Place, Plan, RoutePlan, SegmentKind,
    SegmentPlan,
};
#[cfg(all(target_os = "linux", not(miri)))]
pub use reachable::Peer;
#[cfg(all(target_os = "linux", not(miri)))]
pub use running::Lab;
#[cfg(all(target_os = "linux", not(miri)))]
pub use snapshot::{
    Counters, HostState, LinkState, NeighbourState, NextHopState, RouteState, RuleState, Snapshot,
    SocketState, TcpState,
};
#[cfg(all(target_os = "linux", not(miri)))]
pub use sockets::{Endpoint, Protocol};
pub use spec::{LinkSpec, NodeSpec};
pub use topology::{LinkId, MacvlanMode, NodeId, NodeKind, Topology};
pub use walk::{Hop, Path, PathEnd, Reach};
#[cfg(all(target_os = "linux", not(miri)))]
pub use within::Within;
