//! Application of NATs and firewalls that are set while the lab runs: rules, external addresses,
//! routes and names follow from the plan with them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::cidr::Cidr;
use crate::error::{Failure, Result};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::nat;
use crate::lab::fabric::described;
use crate::lab::fabric::moved::{Current, current};
use crate::lab::fabric::state::{Fabric, Live};
use crate::lab::nat::flush;
use crate::lab::plan::labels::name_of;
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::run::node::Node;
use crate::lab::topology::{NodeKind, Topology};
use crate::netlink;
use crate::netlink::Request;

impl Node {
    /// Declares NATs or the firewall of this node anew, and applies all that follows. `what`
    /// describes the change in the log of the test. After an error all is as before.
    pub(crate) fn redeclare(
        &self,
        what: &str,
        change: impl FnOnce(&mut Topology) -> Result<(), Failure>,
    ) -> Result<()> {
        self.here()?;
        let fabric = self.fabric();
        let links = fabric.links.lock();
        let (live, planned) = (fabric.live(), fabric.now());
        let mut topology = live.map_or_else(|| fabric.topology.clone(), |live| live.topology);
        change(&mut topology)?;
        let plan = Arc::new(topology.plan()?);
        let before = current(&planned, &fabric.indexes, &links);
        let after = current(&plan, &fabric.indexes, &links);
        let expected = new_addresses(&before.plan, &after.plan);
        // Partitions apply before the first packet.
        let done = fabric.partitions.expect(&fabric.nodes, &expected, None);
        let done = done.and_then(|()| fabric.pass_on(&before, &after));
        let done = done.and_then(|()| self.common.rename(&fabric.nodes, Names::of(&after.plan)));
        let done = done.inspect_err(|_| drop(fabric.pass_on(&after, &before)));
        if done.is_ok() {
            fabric.set_live(Live { topology, plan: Arc::clone(&plan) });
        }
        let held = fabric.partitions.arrived(&fabric.nodes, &expected);
        done.and(held)?;
        described::describe_ends(fabric, &links);
        log::note(|| Event::of(EventKind::Rules, self.name(), what));
        Ok(())
    }
}

impl Fabric {
    /// Sets the rules, the addresses and the routes that differ, on all nodes that are on. A node
    /// that is off gets them when it comes on.
    fn pass_on(&self, before: &Current<'_>, after: &Current<'_>) -> Result<()> {
        // The router answers for new external addresses before it translates to them.
        self.readdress([before, after], netlink::addr::add)?;
        let nodes = before.plan.nodes().iter().zip(after.plan.nodes());
        for (at, (old, new)) in nodes.enumerate() {
            if (&old.nats, &old.firewall) == (&new.nats, &new.firewall) {
                continue;
            }
            let Ok(here) = self.nodes[at].here() else { continue };
            nat::replace([old, new], &here.place)?;
            if new.kind == NodeKind::Local {
                self.journal.note_rules();
            }
        }
        self.readdress([after, before], netlink::addr::remove)?;
        self.reroute(before, after, None)
    }

    /// Forgets the mappings of a router, if this is the outside interface of a NAT: it has lost an
    /// address, and mappings to that would take no packets any more.
    pub(crate) fn forget_mappings(&self, node: usize, interface: &str) -> Result<()> {
        let planned = self.now();
        let of_plan = &planned.nodes()[node];
        let Ok(here) = self.nodes[node].here() else { return Ok(()) };
        if of_plan.nats.iter().any(|nat| nat.outside == interface) {
            nat::on(&here.place, &of_plan.name, |nft| flush(nft, of_plan))?;
        }
        Ok(())
    }

    /// Sends the request for each address that an interface has in the second network only.
    fn readdress(
        &self,
        [one, other]: [&Current<'_>; 2],
        request: fn(String, u32, Cidr) -> Request,
    ) -> Result<()> {
        for at in 0..other.plan.nodes().len() {
            let new = added(&one.plan.nodes()[at], &other.plan.nodes()[at]);
            let Ok(here) = self.nodes[at].here() else { continue };
            let request = |(place, address): (usize, Cidr)| {
                let name = &other.plan.nodes()[at].interfaces[place].name;
                let object = format!("{address} on {}", name_of(&other.plan, at, name));
                request(object, other.indexes.at(at, place), address)
            };
            here.netlink.ask_all(&new.into_iter().map(request).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// Returns all addresses that only `after` has, with the positions of their nodes.
fn new_addresses(before: &Plan, after: &Plan) -> Vec<(usize, IpAddr)> {
    let both = before.nodes().iter().zip(after.nodes()).enumerate();
    let of_node = |(at, (old, new)): (usize, (&NodePlan, &NodePlan))| {
        added(old, new).into_iter().map(move |(_, address)| (at, address.address()))
    };
    both.flat_map(of_node).collect()
}

/// Returns the addresses that only the node `after` has, with the positions of their interfaces.
fn added(before: &NodePlan, after: &NodePlan) -> Vec<(usize, Cidr)> {
    let both = before.interfaces.iter().zip(&after.interfaces).enumerate();
    let new = both.flat_map(|(place, (old, new))| {
        let new = new.addresses.iter().filter(|one| !old.addresses.contains(one));
        new.map(move |address| (place, *address))
    });
    new.collect()
}
