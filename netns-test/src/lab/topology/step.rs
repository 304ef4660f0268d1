//! Steps of a schedule: values. Pure.

use std::fmt;

use crate::lab::topology::impairment::Impairment;
use crate::lab::topology::{LinkId, NodeId};

/// A change of a network: a value. Methods of [`LinkId`] and [`NodeId`] create it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "a step is a value; put it into a schedule, or call the method of `lab[link]` instead"]
pub enum Step {
    /// Takes a link down.
    Down(LinkId),
    /// Takes a link up.
    Up(LinkId),
    /// Sets the impairments of both directions of a link.
    Impair(LinkId, Impairment),
    /// Sets the impairments of the direction from a node on a link.
    ImpairFrom(LinkId, NodeId, Impairment),
    /// Holds the packets of a link.
    Hold(LinkId),
    /// Holds the packets from a node on a link.
    HoldFrom(LinkId, NodeId),
    /// Releases the packets that a link holds.
    Release(LinkId),
    /// Releases the packets from a node that a link holds.
    ReleaseFrom(LinkId, NodeId),
    /// Powers a node off.
    PowerOff(NodeId),
    /// Powers a node on.
    PowerOn(NodeId),
    /// Drops the packets between two groups of nodes.
    Partition(Cut),
    /// Ends this partition, and no other.
    Heal(Cut),
}

/// Partition between two groups of nodes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cut {
    /// The groups.
    pub groups: [Vec<NodeId>; 2],
    /// True if only packets from the first group to the second one are dropped.
    pub is_one_way: bool,
}

/// Steps of a [`Schedule`](crate::lab::Schedule). They are values; the methods of
/// [`Link`](crate::lab::Link) change the network at once.
impl LinkId {
    /// Returns the step that takes the link down.
    pub fn down(self) -> Step {
        Step::Down(self)
    }

    /// Returns the step that takes the link up.
    pub fn up(self) -> Step {
        Step::Up(self)
    }

    /// Returns the step that sets the impairments of both directions.
    pub fn impair(self, impairment: Impairment) -> Step {
        Step::Impair(self, impairment)
    }

    /// Returns the step that sets the impairments of the direction from a node.
    pub fn impair_from(self, node: NodeId, impairment: Impairment) -> Step {
        Step::ImpairFrom(self, node, impairment)
    }

    /// Returns the step that holds the packets of the link.
    pub fn hold(self) -> Step {
        Step::Hold(self)
    }

    /// Returns the step that holds the packets from a node.
    pub fn hold_from(self, node: NodeId) -> Step {
        Step::HoldFrom(self, node)
    }

    /// Returns the step that releases the packets that the link holds.
    pub fn release(self) -> Step {
        Step::Release(self)
    }

    /// Returns the step that releases the packets from a node that the link holds.
    pub fn release_from(self, node: NodeId) -> Step {
        Step::ReleaseFrom(self, node)
    }
}

/// Steps of a [`Schedule`](crate::lab::Schedule). They are values; the methods of
/// [`Node`](crate::lab::Node) change the network at once.
impl NodeId {
    /// Returns the step that powers the node off.
    pub fn power_off(self) -> Step {
        Step::PowerOff(self)
    }

    /// Returns the step that powers the node on.
    pub fn power_on(self) -> Step {
        Step::PowerOn(self)
    }
}

impl Step {
    pub(crate) fn text(
        &self,
        node: &dyn Fn(NodeId) -> String,
        link: &dyn Fn(LinkId) -> String,
    ) -> String {
        let groups = |cut: &Cut| {
            let names = |nodes: &[NodeId]| nodes.iter().map(|id| node(*id)).collect::<Vec<_>>();
            let [a, b] = cut.groups.each_ref().map(|nodes| names(nodes).join(", "));
            if cut.is_one_way { format!("{a} to {b}") } else { format!("{a} and {b}") }
        };
        match self {
            Self::Down(id) => format!("{} down", link(*id)),
            Self::Up(id) => format!("{} up", link(*id)),
            Self::Impair(id, impairment) => format!("{}: {impairment}", link(*id)),
            Self::ImpairFrom(id, from, impairment) => {
                format!("{} from {}: {impairment}", link(*id), node(*from))
            }
            Self::Hold(id) => format!("{} holds packets", link(*id)),
            Self::HoldFrom(id, from) => format!("{} holds packets from {}", link(*id), node(*from)),
            Self::Release(id) => format!("{} releases packets", link(*id)),
            Self::ReleaseFrom(id, from) => {
                format!("{} releases packets from {}", link(*id), node(*from))
            }
            Self::PowerOff(id) => format!("{} off", node(*id)),
            Self::PowerOn(id) => format!("{} on", node(*id)),
            Self::Partition(cut) => format!("partition {}", groups(cut)),
            Self::Heal(cut) => format!("heal {}", groups(cut)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&|node| node.to_string(), &|link| link.to_string()))
    }
}
