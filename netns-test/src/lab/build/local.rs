//! The caller's own network as a node of the lab. It outlives the lab, so each change is recorded
//! and undone.

use std::fs;
use std::sync::Arc;

use crate::addr::cidr::Cidr;
use crate::addr::sysctl::Sysctl;
use crate::error::{Failure, Result};
use crate::lab::build::end;
use crate::lab::build::nat;
use crate::lab::build::sysctls::{refused, sysctls_of, without};
use crate::lab::fabric::node::Made;
use crate::lab::fabric::on_thread;
use crate::lab::fabric::own_network::sysctl;
use crate::lab::fabric::own_network::undo::Journal;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::{InterfaceKind, InterfacePlan, NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::netlink;
use crate::netlink::addr::Address;
use crate::netlink::link::LOOPBACK;
use crate::netlink::{Netlink, Request};
use crate::sys::ns::ns_set::Place;
use crate::sys::{errno, process};

/// Name of the network in errors.
const LABEL: &str = "the caller's network";

/// Interfaces and changes of the lab in the caller's network. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Guest {
    node: usize,
    netlink: Netlink,
    place: Place,
    /// Interfaces of the lab, with their indexes.
    interfaces: Vec<(u32, String)>,
    /// Changes other than interfaces.
    journal: Arc<Journal>,
    /// Process that has built the lab.
    owner: process::Pid,
}

impl Guest {
    /// Prepares the undoing of changes. Returns none if the caller's network is no node. Nothing is
    /// changed yet.
    pub(crate) fn new(
        plan: &Plan,
        made: &[&Made],
        indexes: &Indexes,
        journal: &Arc<Journal>,
    ) -> Result<Option<Self>> {
        let Some(node) = plan.nodes().iter().position(|node| node.kind == NodeKind::Local) else {
            return Ok(None);
        };
        let all = plan.nodes()[node].interfaces.iter().enumerate();
        let (on_lo, own): (Vec<_>, Vec<_>) =
            all.partition(|(_, interface)| interface.kind == InterfaceKind::Loopback);
        let interfaces = own.iter().map(|(at, one)| (indexes.at(node, *at), one.name.clone()));
        let place = made[node].place.try_clone();
        let place = place.map_err(|error| errno::failure("duplicate", "the network", &error))?;
        let (netlink, journal) = (Netlink::open()?, Arc::clone(journal));
        let interfaces = interfaces.collect();
        let guest = Self { node, netlink, place, interfaces, journal, owner: process::id() };
        let addresses = on_lo.iter().flat_map(|(_, lo)| &lo.addresses);
        addresses.copied().try_for_each(|address| guest.note(address))?;
        Ok(Some(guest))
    }

    /// Sets the planned sysctls, and on the ends of the lab's links those that other nodes have for
    /// all interfaces. The ends exist and are down. The calling thread is in the network.
    pub(crate) fn set(&self, plan: &Plan) -> Result<(), Failure> {
        let node = &plan.nodes()[self.node];
        end::prepare(node, ends(node.interfaces.iter()))?;
        if nat::has_rules(node) {
            self.journal.note_rules();
        }
        let mut all = sysctls_of(node, false);
        all.try_for_each(|(name, value)| write(node, &name, value, &self.netlink, &self.journal))
    }

    /// Sets sysctls, whatever network the calling thread is in.
    pub(crate) fn set_sysctls(
        &self,
        node: &NodePlan,
        sysctls: &[(String, String)],
    ) -> Result<(), Failure> {
        let (place, netlink, journal) = (&self.place, &self.netlink, &*self.journal);
        on_thread::within(place, LABEL, || {
            let mut each = sysctls.iter().map(|(name, value)| (Sysctl::new(name), value));
            each.try_for_each(|(name, value)| write(node, &name, value, netlink, journal))
        })
    }

    /// Takes over the new interfaces of an extended plan, by their positions. Ends of links among
    /// them exist and are down.
    pub(crate) fn grow(
        &mut self,
        plan: &Plan,
        indexes: &Indexes,
        new: &[usize],
    ) -> Result<(), Failure> {
        let node = &plan.nodes()[self.node];
        let all = || new.iter().map(|place| (*place, &node.interfaces[*place]));
        let own = all().filter(|(_, one)| one.kind != InterfaceKind::Loopback);
        let own = own.map(|(place, one)| (indexes.at(self.node, place), one.name.clone()));
        self.interfaces.extend(own);
        on_thread::within(&self.place, LABEL, || {
            end::prepare(node, ends(all().map(|(_, interface)| interface)))
        })
    }

    /// Records an address that the lab adds to `lo`. An address that is there already is not the
    /// lab's to remove.
    pub(crate) fn note(&self, address: Cidr) -> Result<(), Failure> {
        let there = self.netlink.addresses()?;
        let is_own = |one: &Address| (one.index, one.cidr) == (LOOPBACK, address);
        if !there.iter().any(is_own) {
            self.journal.ask(no_address(address));
        }
        Ok(())
    }

    /// Returns the interfaces of the lab that still exist.
    fn found(&self) -> Vec<(u32, String)> {
        let there = self.netlink.interfaces().unwrap_or_default();
        let is_there = |own: &(u32, String)| {
            there.iter().any(|one| (one.index, one.name.as_str()) == (own.0, own.1.as_str()))
        };
        self.interfaces.iter().filter(|own| is_there(own)).cloned().collect()
    }

    /// Undoes all changes. Goes on after an error, and returns a sentence for each.
    pub(crate) fn take_back(&mut self) -> Vec<String> {
        // The last interface is deleted first: it may be on top of another one.
        for (index, name) in self.found().into_iter().rev() {
            drop(self.netlink.ask_all(&[netlink::link::delete(name, index)]));
        }
        let rules = self.journal.take_rules().then(|| nat::remove(&self.place, LABEL));
        let rules = rules.and_then(Result::err).map(|failure| failure.to_string());
        let left = self.found().into_iter().map(|(_, name)| format!("remove {name}: it is there"));
        let left: Vec<String> =
            left.chain(rules).chain(self.journal.take_back(&self.netlink, &self.place)).collect();
        self.interfaces.clear();
        left.into_iter()
            .map(|left| format!("end of the lab in the caller's network: {left}"))
            .collect()
    }
}

/// Writes a sysctl, and records its old value. A node does without some, which is a limitation.
fn write(
    node: &NodePlan,
    name: &Sysctl,
    value: &str,
    netlink: &Netlink,
    journal: &Journal,
) -> Result<(), Failure> {
    let before = fs::read_to_string(name.path()).map_err(|error| refused(node, name, &error))?;
    if before.trim() != value {
        match sysctl::write((name, value), netlink, journal)? {
            Err(error) if without(node, name, value, &error).is_none() => {
                return Err(refused(node, name, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn no_address(address: Cidr) -> Request {
    netlink::addr::remove(format!("{address} on lo"), LOOPBACK, address)
}

/// Returns the names of the ends of links among these interfaces.
fn ends<'a>(interfaces: impl Iterator<Item = &'a InterfacePlan>) -> impl Iterator<Item = &'a str> {
    let ends = interfaces.filter(|one| matches!(one.kind, InterfaceKind::Veth { .. }));
    ends.map(|one| one.name.as_str())
}

impl Drop for Guest {
    fn drop(&mut self) {
        // A forked child of the lab's process has a copy of this.
        if process::id() == self.owner {
            self.take_back().iter().for_each(|left| eprintln!("netns-test: {left}"));
        }
    }
}
