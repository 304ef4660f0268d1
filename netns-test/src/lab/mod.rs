//! A network of nodes inside a test: described as a value, checked and computed as a plan, built in
//! the kernel.
//!
//! [`Topology`] is the description, [`Plan`] all that follows from it. Neither touches the kernel.
//! Both can be printed, and drawn with Graphviz (`to_dot`) and Mermaid (`to_mermaid`).
//! [`Topology::build`] returns a [`Lab`], whose nodes and links run code and change the network.
#![doc = include_str!("../../LAB.md")]

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod build;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod change;
#[cfg(all(feature = "dns", target_os = "linux", not(miri)))]
pub(crate) mod dns;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod fabric;
#[expect(dead_code, reason = "the engine that uses it follows")]
pub(crate) mod impair;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod nat;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod observe;
pub(crate) mod plan;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod port_mapping;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod topology;

pub use crate::addr::cidr::{Cidr, CidrError, Subnet};
pub use crate::addr::mac::{Mac, MacError};
#[cfg(all(feature = "dns", target_os = "linux", not(miri)))]
pub use crate::lab::change::dns::{DnsFaultGuard, LabDns};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::hold::Hold;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::interface::NodeInterface;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::nat::NodeNat;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::partition::Partition;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::rules::{LinkRule, RuleSpec};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::change::schedule::RunningSchedule;
#[cfg(all(feature = "dns", target_os = "linux", not(miri)))]
pub use crate::lab::dns::model::{DnsAnswer, DnsQuery};
pub use crate::lab::impair::rule::action::{Action, ResetTarget, Unreachable};
pub use crate::lab::impair::rule::choice::Which;
pub use crate::lab::impair::rule::packet::Packet;
pub use crate::lab::impair::rule::packet::flags::TcpFlags;
pub use crate::lab::impair::rule::packet::view::PacketView;
pub use crate::lab::impair::stats::{DirectionStats, FlowName, Lost, LostPacket};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::nat::model::{FirewallCounter, NatMapping, NatProtocol};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::link_stats::{LinkStats, Losses};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::packets::claim::LinkPackets;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::probe::kind::{Hairpinning, NatKind};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::probe::lifetime::MappingLifetime;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::probe::reflector::Reflector;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::snapshot::{
    Counters, DirectionState, InterfaceState, LinkRuleState, LinkState, NatState, NeighbourState,
    NextHopState, NodeState, RouteState, RuleState, Snapshot, SocketState, TcpState,
};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::sockets::{Endpoint, Protocol};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::wait::limit::{WAIT_LIMIT, Wait};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::wait::mode::{Blocking, Nonblocking, WaitMode, Waiting};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::observe::wait::reachable::Peer;
pub use crate::lab::plan::errors::{TopologyError, TopologyErrors};
pub use crate::lab::plan::impairment::{
    ImpairmentPlan, LossPlan, LossUnit, QueueLimit, RatePlan, ReorderPlan,
};
pub use crate::lab::plan::nat::port_mapping::PortMappingPlan;
pub use crate::lab::plan::nat::{
    FirewallPlan, FirewallRulePlan, NatPlan, NatTimeouts, PortForwardPlan,
};
pub use crate::lab::plan::routes::outcome::{PathOutcome, Translation};
pub use crate::lab::plan::routes::path::{Hop, Path, Reachability};
pub use crate::lab::plan::{
    InterfaceKind, InterfacePlan, InterfaceRef, LinkPlan, NodePlan, Plan, RoutePlan, SegmentKind,
    SegmentPlan,
};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::port_mapping::model::{
    PortMappingAction, PortMappingAnswer, PortMappingRequest,
};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::enter::NodeGuard;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::lab::Lab;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::link::Link;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::node::Node;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::programs::command::NodeCommand;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::lab::run::programs::process::NodeChild;
pub use crate::lab::topology::input::{AddrArg, InterfaceArg, IntoAddrs, MacArg, SubnetArg, Via};
pub use crate::lab::topology::quantity::{
    PatternArg, Probability, ProbabilityArg, QuantityError, RateArg,
};
pub use crate::lab::topology::{
    Cut, Filtering, Firewall, FirewallAction, FirewallDirection, Impairment, Ipv6Nat, LinkId,
    LinkSpec, MacvlanMode, Mapping, Nat, NodeId, NodeKind, NodeSpec, PortMapping, PortMappingFault,
    PortMappingProtocol, RegionRouters, Regions, Schedule, Step, Topology, Traffic, Transport,
};
#[cfg(feature = "dns")]
pub use crate::lab::topology::{DnsClient, DnsFault, DnsSpec, Record, RecordType};
