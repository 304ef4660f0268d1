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
use crate::lab::change::nat::connections;
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
use crate::sys::errno;

/// Returns a request about an address of an interface, whose name in errors and index it gets.
type AddressRequest = fn(String, u32, Cidr) -> Request;

/// Errors for an address that is there already, or not any more.
const DONE: [i32; 2] = [errno::EEXIST, errno::EADDRNOTAVAIL];

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
        let mut undo = Vec::new();
        let done = done.and_then(|()| fabric.pass_on([&before, &after], &mut undo));
        let done = done.and_then(|()| self.common.rename(&fabric.nodes, Names::of(&after.plan)));
        let done = done.inspect_err(|_| fabric.give_back([&before, &after], undo));
        if done.is_ok() {
            fabric.set_live(Live { topology, plan: Arc::clone(&plan) });
        }
        let held = fabric.partitions.arrived(&fabric.nodes, &expected);
        done.and(held)?;
        #[cfg(feature = "dns")]
        fabric.dns.follow(&plan);
        described::describe_ends(fabric, &links);
        log::note(|| Event::of(EventKind::Rules, self.name(), what));
        Ok(())
    }
}

impl Fabric {
    /// Sets the rules, the addresses and the routes that differ, on all nodes that are on. A node
    /// that is off gets them when it comes on. Requests that undo a change of an address are added
    /// to `undo`, with the positions of their nodes.
    fn pass_on(
        &self,
        [before, after]: [&Current<'_>; 2],
        undo: &mut Vec<(usize, Request)>,
    ) -> Result<()> {
        // The router answers for new external addresses before it translates to them.
        self.readdress([before, after], (netlink::addr::add, netlink::addr::remove), undo)?;
        self.set_rules([before, after])?;
        self.readdress([after, before], (netlink::addr::remove, netlink::addr::add), undo)?;
        self.reroute(before, after, None)
    }

    /// Undoes [`pass_on`](Self::pass_on) as far as it has come.
    fn give_back(&self, [before, after]: [&Current<'_>; 2], undo: Vec<(usize, Request)>) {
        drop(self.set_rules([after, before]));
        for (at, request) in undo.into_iter().rev() {
            if let Ok(here) = self.nodes[at].here() {
                drop(here.netlink.ask_all(&[request]));
            }
        }
        drop(self.reroute(after, before, None));
    }

    /// Sets the rules that differ on all nodes that are on.
    pub(crate) fn set_rules(&self, [before, after]: [&Current<'_>; 2]) -> Result<()> {
        let nodes = before.plan.nodes().iter().zip(after.plan.nodes());
        for (at, (old, new)) in nodes.enumerate() {
            if (&old.nats, &old.firewall) == (&new.nats, &new.firewall) {
                continue;
            }
            let Ok(here) = self.nodes[at].here() else { continue };
            let running = connections::running(&self.nodes, at, [old, new])?;
            nat::replace([old, new], &here.place, &running)?;
            let forgets = nat::translates_anew([old, new]);
            self.nodes[at].mapper.follow(new, &here.place, forgets)?;
            if new.kind == NodeKind::Local {
                self.journal.note_rules();
            }
        }
        Ok(())
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

    /// Sends a request for each address that an interface has in the second network only, or none
    /// if the address is there or gone already: then a program has done that.
    fn readdress(
        &self,
        [one, other]: [&Current<'_>; 2],
        (request, inverse): (AddressRequest, AddressRequest),
        undo: &mut Vec<(usize, Request)>,
    ) -> Result<()> {
        for at in 0..other.plan.nodes().len() {
            let new = added(&one.plan.nodes()[at], &other.plan.nodes()[at]);
            let Ok(here) = self.nodes[at].here() else { continue };
            for (place, address) in new {
                let name = &other.plan.nodes()[at].interfaces[place].name;
                let object = format!("{address} on {}", name_of(&other.plan, at, name));
                let index = other.indexes.at(at, place);
                match here.netlink.ask_all(&[request(object.clone(), index, address)]) {
                    Err(failure) if failure.errno.is_some_and(|code| DONE.contains(&code)) => {}
                    done => {
                        done?;
                        undo.push((at, inverse(object, index, address)));
                    }
                }
            }
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
