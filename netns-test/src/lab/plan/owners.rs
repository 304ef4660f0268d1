//! Interfaces of a plan by their addresses. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::lab::plan::{InterfaceRef, NodePlan};

/// Interface of each address of the lab. Insides of NATs can have the same addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Owners {
    first: HashMap<IpAddr, InterfaceRef>,
    /// Owners after the first one.
    others: HashMap<IpAddr, Vec<InterfaceRef>>,
}

impl Owners {
    /// Finds the owners of all addresses of nodes.
    pub(crate) fn of(nodes: &[NodePlan]) -> Self {
        let mut owners = Self::default();
        for (node, of_plan) in nodes.iter().enumerate() {
            for (interface, one) in of_plan.interfaces.iter().enumerate() {
                let place = InterfaceRef { node, interface };
                for address in &one.addresses {
                    owners.add(address.address(), place);
                }
            }
        }
        owners
    }

    fn add(&mut self, address: IpAddr, place: InterfaceRef) {
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
