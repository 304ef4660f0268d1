//! References to interfaces of a plan, and interfaces by their addresses. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

/// Reference to an interface of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct InterfaceRef {
    /// Index of the node in [`Plan::nodes`](crate::lab::Plan::nodes).
    pub node: usize,
    /// Index of the interface in [`NodePlan::interfaces`](crate::lab::NodePlan::interfaces).
    pub interface: usize,
}

/// Interface of each address of the lab. Insides of NATs can have the same addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Owners {
    first: HashMap<IpAddr, InterfaceRef>,
    /// Owners after the first one.
    others: HashMap<IpAddr, Vec<InterfaceRef>>,
}

impl Owners {
    /// Adds an interface with an address.
    pub(crate) fn add(&mut self, address: IpAddr, place: InterfaceRef) {
        match self.first.get(&address) {
            None => drop(self.first.insert(address, place)),
            Some(_) => self.others.entry(address).or_default().push(place),
        }
    }

    /// Returns the first interface with an address.
    pub(crate) fn get(&self, address: &IpAddr) -> Option<&InterfaceRef> {
        self.first.get(address)
    }

    /// Returns the interfaces with an address.
    pub(crate) fn all(&self, address: IpAddr) -> impl Iterator<Item = InterfaceRef> + '_ {
        let others = self.others.get(&address).into_iter().flatten();
        self.first.get(&address).into_iter().chain(others).copied()
    }

    /// Returns the node's interface with an address.
    pub(crate) fn on(&self, node: usize, address: IpAddr) -> Option<InterfaceRef> {
        self.all(address).find(|owner| owner.node == node)
    }
}
