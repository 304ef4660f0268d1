//! A network of hosts inside a test: described as a value, checked and worked out by a plan.
//!
//! [`Topology`] is the description, [`Plan`] says what the kernel is to be told. Neither touches
//! it. Both can be printed, and drawn with Graphviz (`to_dot`) and Mermaid (`to_mermaid`).

mod addresses;
#[cfg(all(target_os = "linux", not(miri)))]
mod build;
mod by_hand;
mod cidr;
mod draw;
mod given;
#[cfg(all(target_os = "linux", not(miri)))]
mod host;
mod hosts_file;
mod interfaces;
#[cfg(all(target_os = "linux", not(miri)))]
mod link;
mod mac;
mod mistakes;
mod names;
mod plan;
mod planning;
mod pool;
mod reach;
mod routes;
#[cfg(all(target_os = "linux", not(miri)))]
mod running;
mod segments;
mod spec;
#[cfg(all(target_os = "linux", not(miri)))]
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
mod tunnels;
mod walk;

pub use cidr::{Cidr, CidrError, Subnet};
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
pub use running::Lab;
pub use spec::{LinkSpec, NodeSpec};
pub use topology::{LinkId, MacvlanMode, NodeId, NodeKind, Topology};
pub use walk::{Hop, Path, PathEnd, Reach};
