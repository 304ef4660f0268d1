//! Interface indexes (`ifindex`, netdevice(7)) of a plan.
//!
//! Every interface gets an index that no other one of the lab has, though they are in different
//! network namespaces. A veth pair with the same index at both ends is not recognised as a pair by
//! the kernel, which then reports its carrier up to a second late (`net/core/link_watch.c`).
//!
//! Pure.

use crate::lab::plan::{InterfaceKind, InterfacePlan, Plan};

/// The index of `lo` in every network namespace (`LOOPBACK_IFINDEX` of `include/net/flow.h`).
pub(crate) const LOOPBACK: u32 = 1;

/// The lowest index of an interface of a lab. Indexes below are left to the interfaces that some
/// kernels create in every network namespace (`tunl0`, `sit0`, …).
const FIRST: u32 = 32;

/// Indexes by node and by interface, in the order of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Indexes(Vec<Vec<u32>>);

impl Indexes {
    /// Numbers the interfaces of `plan`, after `last`: the highest index that is in use in the
    /// caller's own network, or 0 if that is no node of the plan.
    pub(crate) fn new(plan: &Plan, last: u32) -> Self {
        Self::with(plan, last, |_, _| None)
    }

    /// Numbers the interfaces of an extended plan. Interfaces of the old plan keep their indexes:
    /// `places` lists, for each old node, the new position of each of its interfaces.
    pub(crate) fn grown(&self, plan: &Plan, last: u32, places: &[Vec<usize>]) -> Self {
        let last = self.0.iter().flatten().copied().fold(last, u32::max);
        Self::with(plan, last, |node, place| {
            let before = places.get(node)?.iter().position(|new| *new == place)?;
            Some(self.at(node, before))
        })
    }

    /// Takes the index that `known` returns for a node and an interface, or else the next one after
    /// `last`.
    fn with(plan: &Plan, last: u32, known: impl Fn(usize, usize) -> Option<u32>) -> Self {
        let mut next = FIRST.max(last.saturating_add(1));
        let mut index = |node: usize, place: usize, interface: &InterfacePlan| {
            known(node, place).unwrap_or_else(|| match interface.kind {
                InterfaceKind::Loopback => LOOPBACK,
                _ => {
                    next = next.saturating_add(1);
                    next - 1
                }
            })
        };
        let nodes = plan.nodes().iter().enumerate().map(|(node, of_plan)| {
            let all = of_plan.interfaces.iter().enumerate();
            all.map(|(place, interface)| index(node, place, interface)).collect()
        });
        Self(nodes.collect())
    }

    /// Returns the index of an interface, by the positions of its node and its own.
    pub(crate) fn at(&self, node: usize, interface: usize) -> u32 {
        self.0[node][interface]
    }

    /// Appends the index of one more interface of a node.
    pub(crate) fn push(&mut self, node: usize, index: u32) {
        self.0[node].push(index);
    }

    /// Returns whether `indexes` holds interfaces that the lab has created on a node, and no others.
    pub(crate) fn are_of_lab(&self, plan: &Plan, node: usize, indexes: &[u32]) -> bool {
        let interfaces = plan.nodes()[node].interfaces.iter().zip(&self.0[node]);
        let made = interfaces.filter(|(one, _)| one.kind != InterfaceKind::Loopback);
        let made: Vec<u32> = made.map(|(_, index)| *index).collect();
        !indexes.is_empty() && indexes.iter().all(|index| made.contains(index))
    }

    /// Returns the index of the interface called `name`, or 0 if the node has none.
    pub(crate) fn of(&self, plan: &Plan, node: usize, name: &str) -> u32 {
        let interfaces = &plan.nodes()[node].interfaces;
        let at = interfaces.iter().position(|interface| interface.name == name);
        at.map_or(0, |at| self.at(node, at))
    }
}
