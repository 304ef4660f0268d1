//! Extension of a running lab by nodes, links and other parts of its topology.

mod port_mapping;
pub(crate) mod rollback;

use std::net::IpAddr;
use std::sync::Arc;

use crate::addr::cidr::Cidr;
use crate::addr::link_local::link_local;
use crate::addr::sysctl::Sysctl;
use crate::error::{Error, Failure, Result, located};
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::hub::Beginning;
use crate::lab::build::namespaces;
use crate::lab::build::nat;
use crate::lab::build::requests::{
    black_holes, flood, last_index, make_links, of_node, routes_of, set_up_node,
};
use crate::lab::build::sysctls;
use crate::lab::change::extend::rollback::Before;
use crate::lab::change::nat::connections;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::hub;
use crate::lab::fabric::hub::Hub;
use crate::lab::fabric::hub::network::HubNetwork;
use crate::lab::fabric::moved::current;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::fabric::state::{Fabric, Live};
use crate::lab::plan::diff;
use crate::lab::plan::diff::{Growth, NodeGrowth, declared};
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::labels;
use crate::lab::plan::{InterfaceKind, NodePlan, Plan, RoutePlan};
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeKind, Topology};
use crate::netlink;
use crate::netlink::Request;
use crate::netlink::kept::Kept;

impl Lab {
    /// Builds what was added to the topology since the lab was built: nodes, links, other
    /// interfaces, addresses, routes and sysctls. `topology` is the one that the lab was built
    /// from, or a clone of it.
    ///
    /// Existing nodes continue to run, with their addresses. They get routes to the new subnets,
    /// and the new names in `/etc/hosts`. When this returns, packets pass between old and new
    /// nodes.
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::{Topology, lab::WAIT_LIMIT};
    ///
    /// let mut net = Topology::new();
    /// let (router, a) = (net.router("router"), net.host("a"));
    /// net.link(a, router);
    /// let mut lab = net.build()?;
    /// let b = net.host("b");
    /// net.link(b, router);
    /// lab.extend(&net)?;
    /// lab[a].wait(WAIT_LIMIT).reachable(&lab[b])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of the [plan](Topology::plan); another topology, or one that lacks or changes an
    /// existing part; an addition to an interface whose link has been moved; a node that is powered
    /// off; a request that the kernel refuses. After an error the lab is as before. New routes
    /// through a link that is down are added by [`up`](crate::lab::Link::up).
    #[track_caller]
    pub fn extend(&mut self, topology: &Topology) -> Result<()> {
        located(self.try_extend(topology))
    }

    fn try_extend(&mut self, topology: &Topology) -> Result<()> {
        let old = Arc::clone(self.fabric());
        let (declared, live) = extended(&old, topology)?;
        let planned = old.now();
        let plan = live.as_ref().map_or_else(|| Arc::clone(&declared), |one| Arc::clone(&one.plan));
        let mut growth = diff::between(&planned, &plan)?;
        check_moved(&old.links.lock(), &plan, &growth)?;
        check_new(&plan.nodes()[old.nodes.len()..])?;
        let here = old.nodes.iter().map(|node| node.here()).collect::<Result<Vec<_>, _>>()?;
        let there: Vec<&Made> = here.iter().map(|here| &***here).collect();
        let last = last_index(&plan, &there)?;
        let indexes = old.indexes.grown(&plan, last, &growth.places);
        let links = old.links.grown(&plan, &indexes);
        let was = current(&planned, &old.indexes, &old.links.lock());
        let will = current(&plan, &indexes, &links);
        growth.reroute(&was.plan, &will.plan);
        let names = [&was.plan, &will.plan].map(|plan| Names::of(plan));
        let new = namespaces::make(&plan, &names[1], old.nodes.len())?;
        let made: Vec<&Made> = there.into_iter().chain(&new).collect();
        let count = old.plan.links().len();
        let beginning = hub::is_needed(&plan, count) && old.hub.is_none();
        let beginning = beginning.then(|| Beginning::start(&plan)).transpose()?;
        let network = beginning.as_ref().map(Beginning::network).transpose()?;
        let hub = network.as_deref().or(old.hub.as_ref().map(|hub| hub.network()));
        let step = Step {
            plan: &will.plan,
            indexes: &will.indexes,
            growth: &growth,
            made: &made,
            hub,
            links: count,
        };
        let before = old.nodes.iter().zip(&here).zip(&growth.nodes).zip(was.plan.nodes());
        let before =
            before.map(|(((node, here), grown), rules)| Before::of(node, here, (grown, rules)));
        let before = before.collect::<Result<Vec<_>>>()?;
        // Partitions apply before the first packet.
        let expected = step.new_addresses();
        let done = old.partitions.expect(&old.nodes, &expected, None);
        let done = done.and_then(|()| self.apply((&was.plan, &step)));
        let connected =
            done.and_then(|()| connect(&old, (&plan, count), network.clone().zip(beginning)));
        let [names_before, names] = names;
        let connected = connected.and_then(|hub| {
            step.wait()?;
            self.rename(names)?;
            open(&plan, hub.as_deref(), (&growth, count))?;
            Ok(hub)
        });
        let hub = connected.inspect_err(|_| {
            give_up(&old, &step, &before);
            drop(self.rename(names_before));
            drop(old.partitions.arrived(&old.nodes, &expected));
        })?;
        drop(before);
        let anew = port_mapping::translating_anew(was, will);
        self.grow_into(Arc::new(old.grown((topology.clone(), declared, live), indexes, new, hub)));
        let fabric = self.fabric();
        fabric.follow_ends()?;
        let arrived = old.partitions.arrived(&fabric.nodes, &expected);
        arrived.and_then(|()| port_mapping::serve(fabric, &anew))?;
        fabric.forget_failures(&fabric.links.lock())
    }

    /// Sends the requests to the kernel.
    fn apply(&mut self, (was, step): (&Plan, &Step<'_>)) -> Result<()> {
        let Step { plan, indexes, growth, made, hub, links } = *step;
        make_links(plan, made, (indexes, hub), links)?;
        for (node, grown) in growth.nodes.iter().enumerate() {
            if plan.nodes()[node].kind == NodeKind::Local {
                if let Some(guest) = &mut self.own().guest {
                    guest.grow(plan, indexes, &grown.interfaces)?;
                    guest.set_sysctls(&plan.nodes()[node], &grown.sysctls)?;
                    let mut on_lo = step.on_lo(node, grown).into_iter();
                    on_lo.try_for_each(|address| guest.note(address))?;
                }
            }
            if grown.has_new_rules {
                let rules = [&was.nodes()[node], &plan.nodes()[node]];
                let running = connections::running(&self.fabric().nodes, node, rules)?;
                nat::replace(rules, &made[node].place, &running)?;
            }
            made[node].netlink.ask_all(&step.requests(node, grown)?)?;
            if plan.nodes()[node].kind != NodeKind::Local {
                sysctls::set_sysctls(&plan.nodes()[node], &made[node].place, &grown.sysctls)?;
            }
        }
        for (node, made) in made.iter().enumerate().skip(growth.nodes.len()) {
            set_up_node(plan, node, indexes, made, |_| true)?;
        }
        Ok(())
    }
}

/// Returns the plan of an extended topology, and the one with NATs and firewalls that were set
/// while the lab runs, which stay.
fn extended(old: &Fabric, topology: &Topology) -> Result<(Arc<Plan>, Option<Live>)> {
    let declared = Arc::new(topology.plan()?);
    declared::check(&old.topology, topology)?;
    let taken_over = |live: Live| -> Result<Live> {
        let mut topology = topology.clone();
        topology.take_over(&old.topology, &live.topology);
        let plan = Arc::new(topology.plan()?);
        Ok(Live { topology, plan })
    };
    Ok((declared, old.live().map(taken_over).transpose()?))
}

fn check_new(nodes: &[NodePlan]) -> Result<(), Failure> {
    let local = nodes.iter().find(|node| node.kind == NodeKind::Local);
    local.map_or(Ok(()), |local| {
        let why = "the caller's own network cannot be added to a running lab";
        Err(Failure::new("extend", local.name.as_str(), why))
    })
}

/// Refuses additions to interfaces whose link has been moved: the plan has them where they were.
fn check_moved(links: &[[End; 2]], plan: &Plan, growth: &Growth) -> Result<(), Failure> {
    for (link, ends) in plan.links().iter().zip(links) {
        for (place, end) in link.ends.iter().zip(ends) {
            let has_joined = end.planned.is_some() && end.given.is_some();
            if end.planned.is_some() && !has_joined {
                continue;
            }
            let (node, grown) = (&plan.nodes()[place.node], &growth.nodes[place.node]);
            let name = node.interfaces[place.interface].name.as_str();
            let is_on_it = |one: &usize| match &node.interfaces[*one].kind {
                InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
                    lower == name
                }
                _ => false,
            };
            let is_of_it = |(key, _): &(String, String)| Sysctl::new(key).parts().contains(&name);
            if grown.addresses.iter().any(|(at, _)| *at == place.interface)
                || grown.interfaces.iter().any(is_on_it)
                || !has_joined && grown.sysctls.iter().any(is_of_it)
            {
                let why = "its link has been moved, and additions to it would be elsewhere";
                let failure = Failure::new("extend", format!("{name} of {}", node.name), why);
                return Err(failure.advise("move it back first, or change it by the node's handle"));
            }
        }
    }
    Ok(())
}

/// Undoes the steps of an extension that has failed.
fn give_up(old: &Fabric, step: &Step<'_>, before: &[Before<'_>]) {
    if let Some(hub) = &old.hub {
        hub.forget_links(step.links);
    }
    step.undo(before);
}

/// Passes the frames of the new links, from the position `first` on, whose ends exist. Returns the
/// hub of the lab, which may be new.
fn connect(
    old: &Fabric,
    (plan, first): (&Plan, usize),
    new: Option<(Arc<HubNetwork>, Beginning)>,
) -> Result<Option<Arc<Hub>>> {
    let new = new.map(|(network, beginning)| {
        let hub = Hub::new(network, beginning.engine()?, (old.number, old.seed, &old.links))?;
        Ok::<_, Error>(hub)
    });
    let hub = new.transpose()?.or_else(|| old.hub.clone());
    hub.as_ref().map_or(Ok(()), |hub| hub.connect(plan, first))?;
    Ok(hub)
}

/// Sets the impairments that have changed, and passes the frames of the links from the position
/// `first` on.
fn open(plan: &Plan, hub: Option<&Hub>, (growth, first): (&Growth, usize)) -> Result<()> {
    let mut changed = growth.impairments.iter();
    hub.map_or(Ok(()), |hub| {
        hub.open(first)?;
        changed.try_for_each(|(at, plans)| hub.set(*at, &plan.link_label(*at), plans.clone()))
    })
}

/// Extension with the new plan and the namespaces of all nodes.
struct Step<'a> {
    plan: &'a Plan,
    indexes: &'a Indexes,
    growth: &'a Growth,
    /// Namespaces of all nodes, the new ones last.
    made: &'a [&'a Made],
    /// Network of the hub, if there is one.
    hub: Option<&'a HubNetwork>,
    /// Number of links before.
    links: usize,
}

impl Step<'_> {
    /// Returns the requests for an existing node, after its new links were made.
    fn requests(&self, node: usize, grown: &NodeGrowth) -> Result<Vec<Request>> {
        let Self { plan, indexes, .. } = *self;
        let of_plan = &plan.nodes()[node];
        let is_new = |place: usize| grown.interfaces.contains(&place);
        let mut requests = of_node(plan, node, indexes, self.made[node], is_new)?;
        for (place, address) in &grown.addresses {
            let name = &of_plan.interfaces[*place].name;
            let object = format!("{address} on {}", labels::name_of(plan, node, name));
            requests.push(netlink::addr::add(object, indexes.at(node, *place), *address));
        }
        for (place, remote) in &grown.remotes {
            let (interface, index) = (&of_plan.interfaces[*place], indexes.at(node, *place));
            requests.push(flood(plan, node, interface, index, *remote));
        }
        // An interface that is down gets its routes when it comes up.
        let there = self.made[node].netlink.interfaces()?;
        let is_down = |name: &str| there.iter().any(|one| one.name == name && !one.is_up);
        let is_new_one = |name: &str| {
            grown.interfaces.iter().any(|place| of_plan.interfaces[*place].name == name)
        };
        let is_new = |route: &RoutePlan| {
            grown.routes.contains(route) && (is_new_one(&route.dev) || !is_down(&route.dev))
        };
        requests.extend(routes_of(plan, node, indexes, self.made[node], is_new)?);
        requests.extend(black_holes(of_plan, &grown.black_holes));
        let routes = self.made[node].netlink.kept_routes()?;
        for lost in &grown.lost {
            let to_it = |one: &&Kept| one.is_added() && one.destination() == Some(*lost);
            let mut there = routes.iter().filter(to_it);
            // Routes of the machine stay.
            let is_own = |one: &&Kept| indexes.are_of_lab(plan, node, &one.indexes());
            if of_plan.kind == NodeKind::Local {
                requests.extend(there.filter(is_own).map(Kept::remove));
            } else if there.next().is_some() {
                let object = format!("route to {lost} of {}", of_plan.name);
                requests.push(netlink::route::remove(object, *lost));
            }
        }
        Ok(requests)
    }

    /// Returns all new addresses of existing nodes, with the positions of the nodes.
    fn new_addresses(&self) -> Vec<(usize, IpAddr)> {
        let of_node = |(node, grown): (usize, &NodeGrowth)| {
            let all = &self.plan.nodes()[node].interfaces;
            let more = grown.addresses.iter().map(|(_, address)| address.address());
            let new = grown.interfaces.iter().flat_map(|place| {
                let given = all[*place].addresses.iter().map(|address| address.address());
                given.chain(all[*place].mac.map(link_local))
            });
            more.chain(new).map(move |address| (node, address)).collect::<Vec<_>>()
        };
        self.growth.nodes.iter().enumerate().flat_map(of_node).collect()
    }

    /// Returns the new addresses of `lo`.
    fn on_lo(&self, node: usize, grown: &NodeGrowth) -> Vec<Cidr> {
        let all = &self.plan.nodes()[node].interfaces;
        let is_lo = |place: &usize| all[*place].kind == InterfaceKind::Loopback;
        let new = grown.interfaces.iter().copied().filter(is_lo);
        let new = new.flat_map(|place| &all[place].addresses).copied();
        let more = grown.addresses.iter().filter(|(place, _)| is_lo(place));
        new.chain(more.map(|(_, address)| *address)).collect()
    }

    /// Waits until all new interfaces and addresses carry packets.
    fn wait(&self) -> Result<()> {
        let Self { plan, indexes, growth, made, .. } = *self;
        for (node, made) in made.iter().enumerate() {
            let Some(grown) = growth.nodes.get(node) else {
                ready::wait_on(made, &ready::awaited(plan, node, indexes, |_| true))?;
                continue;
            };
            let all = &plan.nodes()[node].interfaces;
            let is_wanted = |place: usize| grown.interfaces.contains(&place);
            let there = made.netlink.interfaces()?;
            let carries = |name: &str| there.iter().any(|one| one.name == name && one.is_running);
            let can_carry = |kind: &InterfaceKind| match kind {
                // An interface on a link that is down is down, too.
                InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
                    carries(lower)
                }
                _ => true,
            };
            let place_of = |name: &str| all.iter().position(|one| one.name == name);
            let mut awaited = ready::awaited(plan, node, indexes, |one| {
                place_of(&one.name).is_some_and(is_wanted) && can_carry(&one.kind)
            });
            let more = grown.addresses.iter().filter(|(place, _)| carries(&all[*place].name));
            awaited.extend(more.map(|(place, _)| Awaited {
                index: indexes.at(node, *place),
                label: labels::name_of(plan, node, &all[*place].name),
                may_be_down: true,
            }));
            ready::wait_on(made, &awaited)?;
        }
        Ok(())
    }

    /// Restores the existing nodes. A request that the kernel refuses is skipped, as the caller
    /// reports the first error.
    fn undo(&self, before: &[Before<'_>]) {
        if let Some(hub) = self.hub {
            // Those of new nodes would go a moment after the nodes.
            hub.delete_from(self.plan, self.links);
        }
        for (node, (grown, before)) in self.growth.nodes.iter().zip(before).enumerate() {
            let all = &self.plan.nodes()[node].interfaces;
            let index = |place: usize| self.indexes.at(node, place);
            let new = grown
                .interfaces
                .iter()
                .rev()
                .filter(|place| all[**place].kind != InterfaceKind::Loopback);
            let mut requests: Vec<Request> = new
                .map(|place| netlink::link::delete(all[*place].name.clone(), index(*place)))
                .collect();
            let remotes = grown.remotes.iter();
            requests.extend(remotes.map(|(place, to)| {
                netlink::neigh::remove_flood(to.to_string(), index(*place), *to)
            }));
            before.restore(&self.made[node].netlink, &requests);
        }
    }
}
