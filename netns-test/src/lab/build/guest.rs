//! What a lab changes in the network of its caller. That stays when the lab goes, so all of it is
//! taken back.

use std::fs;
use std::thread;

use super::Indexes;
use super::namespaces::{Made, refused, sysctls_of, write_common};
use crate::error::{Failure, Result};
use crate::lab::plan::{InterfaceKind, Plan};
use crate::lab::topology::NodeKind;
use crate::netlink::{Netlink, Request, requests};
use crate::sys::place::Place;
use crate::sys::{errno, process};

/// The lab's things in the caller's network; dropped, it removes them.
#[derive(Debug)]
pub(in crate::lab) struct Guest {
    node: usize,
    netlink: Netlink,
    place: Place,
    /// With their indexes.
    interfaces: Vec<(u32, String)>,
    /// Those on `lo`, to be taken away.
    addresses: Vec<Request>,
    /// Paths with the values of before.
    sysctls: Vec<(String, String)>,
    /// The process whose it is.
    owner: process::Pid,
}

impl Guest {
    /// None where the caller's network is no part of the plan. Nothing is changed yet.
    pub(super) fn new(plan: &Plan, made: &[Made], indexes: &Indexes) -> Result<Option<Self>> {
        let Some(node) = plan.nodes().iter().position(|node| node.kind == NodeKind::Local) else {
            return Ok(None);
        };
        let all = plan.nodes()[node].interfaces.iter().enumerate();
        let (on_lo, own): (Vec<_>, Vec<_>) =
            all.partition(|(_, interface)| interface.kind == InterfaceKind::Loopback);
        let addresses = on_lo.iter().flat_map(|(_, lo)| &lo.addresses).map(|address| {
            let (object, prefix) = (format!("{address} on lo"), address.prefix());
            requests::no_address(object, requests::LOOPBACK, address.address(), prefix)
        });
        let interfaces = own.iter().map(|(at, one)| (indexes.at(node, *at), one.name.clone()));
        let place = made[node].place.try_clone();
        let place = place.map_err(|error| errno::failure("duplicate", "the network", &error))?;
        Ok(Some(Self {
            node,
            netlink: Netlink::open()?,
            place,
            interfaces: interfaces.collect(),
            addresses: addresses.collect(),
            sysctls: Vec::new(),
            owner: process::id(),
        }))
    }

    /// Sets the sysctls of the plan; what other nodes have for all interfaces, here for the lab's
    /// cables alone. These are there, and not up yet. The calling thread is in the network.
    pub(super) fn set(&mut self, plan: &Plan) -> Result<(), Failure> {
        let node = &plan.nodes()[self.node];
        let is_cable = |kind: &InterfaceKind| matches!(kind, InterfaceKind::Veth { .. });
        for cable in node.interfaces.iter().filter(|one| is_cable(&one.kind)) {
            write_common(node, Some(&cable.name))?;
        }
        for (path, value) in sysctls_of(node, false) {
            let path = format!("/proc/sys/{path}");
            let before = fs::read_to_string(&path).map_err(|error| refused(node, &path, &error))?;
            if before.trim() != value {
                fs::write(&path, value).map_err(|error| refused(node, &path, &error))?;
                self.sysctls.push((path, before.trim().to_owned()));
            }
        }
        Ok(())
    }

    /// The interfaces of the lab that are there.
    fn found(&self) -> Vec<(u32, String)> {
        let there = self.netlink.interfaces().unwrap_or_default();
        let is_there = |own: &(u32, String)| {
            there.iter().any(|one| (one.index, one.name.as_str()) == (own.0, own.1.as_str()))
        };
        self.interfaces.iter().filter(|own| is_there(own)).cloned().collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // A fork of the lab's process has a copy of this.
        if process::id() != self.owner {
            return;
        }
        // What stands on others first. Where something is refused, the rest goes all the same.
        for (index, name) in self.found().into_iter().rev() {
            drop(self.netlink.ask_all(&[requests::no_interface(name, index)]));
        }
        for request in &self.addresses {
            drop(self.netlink.ask_all(std::slice::from_ref(request)));
        }
        if !self.sysctls.is_empty() {
            let write = || {
                if self.place.enter().is_ok() {
                    for (path, before) in self.sysctls.iter().rev() {
                        drop(fs::write(path, before));
                    }
                }
            };
            // The thread that drops it may be anywhere.
            thread::scope(|scope| drop(thread::Builder::new().spawn_scoped(scope, write)));
        }
    }
}
