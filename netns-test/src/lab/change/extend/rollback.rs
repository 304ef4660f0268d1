//! State of a node before an extension of the lab, which is restored if the extension fails.

use std::fs;

use crate::addr::sysctl::Sysctl;
use crate::error::Result;
use crate::lab::build::nat;
use crate::lab::fabric::node::LiveNode;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::own_network::give_back;
use crate::lab::nat::Running;
use crate::lab::plan::NodePlan;
use crate::lab::plan::diff::NodeGrowth;
use crate::netlink::kept::Class;
use crate::netlink::kept::belongings::Belongings;
use crate::netlink::{Netlink, Request};

/// Addresses and routes of a node, and the sysctls that the extension changes.
#[derive(Debug)]
pub(crate) struct Before<'lab> {
    node: &'lab LiveNode,
    belongings: Belongings,
    /// Sysctls, as paths with their values.
    sysctls: Vec<(String, String)>,
    /// The node with the NATs and the firewall that the extension replaces.
    rules: Option<&'lab NodePlan>,
}

impl<'lab> Before<'lab> {
    pub(crate) fn of(
        node: &'lab LiveNode,
        here: &Namespaces,
        (grown, planned): (&NodeGrowth, &'lab NodePlan),
    ) -> Result<Self> {
        let names = grown.sysctls.iter().map(|(name, _)| Sysctl::new(name).path());
        let paths: Vec<String> = names.collect();
        let values = |paths: Vec<String>| -> Vec<(String, String)> {
            // A sysctl that does not exist yet belongs to a new interface.
            let known = paths.into_iter().filter_map(|path| {
                let value = fs::read_to_string(&path).ok()?;
                Some((path, value.trim().to_owned()))
            });
            known.collect()
        };
        let sysctls = if paths.is_empty() { Vec::new() } else { node.run(|| values(paths))? };
        let rules = grown.has_new_rules.then_some(planned);
        Ok(Self { node, belongings: here.netlink.belongings()?, sysctls, rules })
    }

    /// Sends the requests `first`, then removes new addresses and routes and adds lost ones again.
    /// A request that the kernel refuses is skipped.
    pub(crate) fn restore(&self, netlink: &Netlink, first: &[Request]) {
        let ask = |request: Request| drop(netlink.ask_all(&[request]));
        first.iter().cloned().for_each(ask);
        let there = || netlink.belongings().unwrap_or_default();
        let new = there().without(&self.belongings);
        new.iter().filter(|one| one.class() == Class::Address).for_each(|one| ask(one.remove()));
        let new = there().without(&self.belongings);
        new.iter().filter(|one| one.is_added()).for_each(|one| ask(one.remove()));
        let there = there();
        let mut lost = self.belongings.without(&there);
        lost.extend(self.belongings.in_another_order(&there));
        lost.retain(|one| one.class() != Class::Route || one.is_added());
        drop(give_back::give_back(netlink, &self.belongings, lost));
        if let Some((rules, here)) = self.rules.zip(self.node.here().ok()) {
            drop(nat::replace([rules; 2], &here.place, &Running::default()));
        }
        if !self.sysctls.is_empty() {
            let write = || {
                self.sysctls.iter().for_each(|(path, value)| drop(fs::write(path, value)));
            };
            drop(self.node.run(write));
        }
    }
}
