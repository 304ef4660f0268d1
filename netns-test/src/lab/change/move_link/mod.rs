//! Moves of an end of a link from node to node.

pub(crate) mod join;

use std::net::IpAddr;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::end::LinkEnd;
use crate::lab::build::etc_files::names::Names;
use crate::lab::change::move_link::join::Joining;
use crate::lab::fabric::described;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::{Current, current};
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::InterfaceKind;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{LinkId, NodeId, NodeKind};
use crate::netlink;
use crate::netlink::link::Interface;

impl Lab {
    /// Moves the end that a link has at `from` to the node `to`, like a cable that is plugged in
    /// elsewhere. The other end stays. Returns the name of the interface at `to`: the old name, or
    /// the first free one of `eth0`, `eth1`, … (`port0`, … on a switch).
    ///
    /// On a switch the end becomes a port of the bridge. It keeps its Ethernet address, its MTU and
    /// its state (up or down). VLANs, macvlans, addresses and routes on it at `from` are lost.
    ///
    /// The host or router on the link joins another segment by this, and gets addresses there in
    /// place of those of the old segment, as from DHCP. For each family of the new segment, the
    /// first possible address is used: one that it already has in the segment's subnet, its planned
    /// address if that is free, the highest free address. Addresses of other subnets that
    /// [`add_addr`](crate::lab::NodeInterface::add_addr) has added stay, and so do those of VLANs
    /// and macvlans on the end that did not move.
    ///
    /// All nodes get the routes that [`plan`](crate::Topology::plan) would compute for the changed
    /// network, and the new addresses in `/etc/hosts`. Forwarded ports, 1:1 addresses, blocks of
    /// ports and rules of firewalls are for nodes, and follow them; what a NAT has for a node that
    /// is not inside any more leads nowhere. The lab's plan stays the same. On a segment
    /// without subnets, and for a link between two switches, addresses and routes stay.
    /// [`move_link_as_is`](Self::move_link_as_is) never changes them.
    ///
    /// When this returns, packets pass, if both ends are up.
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::{Topology, lab::WAIT_LIMIT};
    ///
    /// let mut net = Topology::new();
    /// let (home, work) = (net.switch("home"), net.switch("work"));
    /// let (laptop, printer) = (net.host("laptop"), net.host("printer"));
    /// let radio = net.link(laptop, home).id();
    /// net.link(printer, work);
    /// let lab = net.build()?;
    /// lab.move_link(radio, home, work)?;
    /// lab[laptop].wait(WAIT_LIMIT).reachable(printer)?;
    /// lab[printer].wait(WAIT_LIMIT).reachable(laptop)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A link that has no end at `from`, or whose other end is at `to`; a ring of switches without
    /// the spanning tree protocol; a node that is powered off; a subnet without a free address; a
    /// request that the kernel refuses.
    #[track_caller]
    pub fn move_link(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        located(self.move_noted((link, from, to), true))
    }

    /// Moves an end as [`move_link`](Self::move_link) does, but changes no addresses, no routes and
    /// no `/etc/hosts`. A host whose link moves to another switch keeps its address. An end that
    /// moves to a host has only a link-local address there.
    ///
    /// # Errors
    ///
    /// As [`move_link`](Self::move_link).
    #[track_caller]
    pub fn move_link_as_is(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        located(self.move_noted((link, from, to), false))
    }

    /// Moves an end, and describes the lab anew in the log of the test.
    fn move_noted(&self, way: (LinkId, NodeId, NodeId), joins: bool) -> Result<String> {
        let moved = self.move_end(way, joins)?;
        let (link, from, to) = way;
        let name = |node| self.plan().position(node).map(|at| &*self.plan().nodes()[at].name);
        log::note(|| {
            let link = self.plan().link_position(link).map(|at| self.plan().link_label(at));
            let [from, to] = [name(from), name(to)].map(Option::unwrap_or_default);
            let text = format!("{} from {from} to {to}, {moved}", link.unwrap_or_default());
            Event::of(EventKind::Move, to, text).with("from", from)
        });
        described::describe(self.fabric());
        Ok(moved)
    }

    fn move_end(&self, (link, from, to): (LinkId, NodeId, NodeId), joins: bool) -> Result<String> {
        let fabric = self.fabric();
        let stranger =
            || Failure::new("move", "a link of another topology", "it is not in this lab");
        let at = fabric.plan.link_position(link).ok_or_else(stranger)?;
        let link = fabric.plan.link_label(at);
        let (from, to) = (fabric.position_of("move", from)?, fabric.position_of("move", to)?);
        let mut links = fabric.links.lock();
        let invalid = |why: String| Err(Failure::new("move", link.as_str(), why).into());
        let name = |node: usize| fabric.plan.nodes()[node].name.as_str();
        let Some(side) = links[at].iter().position(|end| end.node == from) else {
            return invalid(format!("it has no end at {}", name(from)));
        };
        let (end, other) = (links[at][side].clone(), links[at][1 - side].clone());
        if other.node == to {
            return invalid(format!("both ends would be at {}", name(to)));
        }
        if from == to {
            return Ok(end.name);
        }
        if let Some(ring) = fabric.switches_between(&links, at, [to, other.node]) {
            let ring = ring.into_iter().map(name).collect::<Vec<_>>().join(", ");
            return invalid(format!(
                "frames would circulate between {ring} without end; set `stp` on one of them"
            ));
        }
        let (old, new) = (fabric.nodes[from].here()?, fabric.nodes[to].here()?);
        let planned = fabric.now();
        let before = current(&planned, &fabric.indexes, &links);
        let was_up =
            old.netlink.interfaces()?.iter().any(|one| one.index == end.index && one.is_up);
        let stem = if fabric.plan.nodes()[to].kind == NodeKind::Switch { "port" } else { "eth" };
        let free = free_name(&new.netlink.interfaces()?, &end.name, stem);
        let mut then = links.clone();
        then[at][side] = End { node: to, name: free.clone(), planned: None, given: None, ..end };
        let joining = if joins { Joining::new(fabric, &then, &before, (at, side))? } else { None };
        let there = new.place.network();
        let label = fabric.label(&end);
        old.netlink.ask_all(&[netlink::link::move_to(label, end.index, there, &free)])?;
        *links = then;
        let is_it = |one: &&Interface| one.name == free;
        let index = new.netlink.interfaces()?.iter().find(is_it).map_or(end.index, |one| one.index);
        links[at][side].index = index;
        let (label, bridge) = (fabric.label(&links[at][side]), fabric.bridge_of(to));
        let arrived = LinkEnd { label, index, bridge, is_up: was_up };
        arrived.set_up(&fabric.plan.nodes()[to], &new, &free)?;
        fabric.follow_node(&links, to)?;
        fabric.reflect(&links, at)?;
        let expected = match joining {
            Some(joining) => self.join(&mut links, &before, at, joining)?,
            None => Vec::new(),
        };
        if was_up {
            fabric.wait_if_up([&links[at][side], &other])?;
        }
        drop(links);
        fabric.partitions.arrived(&fabric.nodes, &expected)?;
        [from, to].into_iter().try_for_each(|node| fabric.serve_port_mapping(node, false))?;
        fabric.forget_failures(&fabric.links.lock())?;
        Ok(free)
    }

    /// Sets the addresses, routes and names after a move to another segment. Returns the new
    /// addresses, with the position of their node.
    fn join(
        &self,
        links: &mut [[End; 2]],
        before: &Current<'_>,
        at: usize,
        joining: Joining,
    ) -> Result<Vec<(usize, IpAddr)>> {
        let fabric = self.fabric();
        let end = &mut links[at][joining.side];
        let expected = joining.expected(end);
        // Partitions apply before the first packet.
        fabric.partitions.expect(&fabric.nodes, &expected, None)?;
        joining.set(fabric, end)?;
        end.given = Some(joining.given);
        let planned = fabric.now();
        let after = current(&planned, &fabric.indexes, links);
        // Without this, the rules of NATs and firewalls would be for the old address.
        fabric.set_rules([before, &after])?;
        fabric.reroute(before, &after, Some(&links[at][joining.side]))?;
        self.rename(Names::of(&after.plan))?;
        Ok(expected)
    }
}

impl Fabric {
    /// Waits until both ends of a link have carrier, if the second is up. The first is up.
    fn wait_if_up(&self, ends: [&End; 2]) -> Result<()> {
        let other = ends[1];
        let far = self.nodes[other.node].here().ok();
        let there = far.map(|far| far.netlink.interfaces()).transpose()?.unwrap_or_default();
        if there.iter().any(|one| one.index == other.index && one.is_up) {
            ends.into_iter().try_for_each(|end| self.wait_on_if_up(end))?;
        }
        Ok(())
    }

    /// Returns a path of switches without STP from one to the other, without the link `except`;
    /// none if there is no such path.
    fn switches_between(
        &self,
        links: &[[End; 2]],
        except: usize,
        [from, to]: [usize; 2],
    ) -> Option<Vec<usize>> {
        let floods = |node: usize| {
            let first = self.plan.nodes()[node].interfaces.first();
            first.is_some_and(|one| matches!(one.kind, InterfaceKind::Bridge { stp: false }))
        };
        let links = links.iter().enumerate().filter(|(at, _)| *at != except);
        let pairs: Vec<[usize; 2]> = links
            .flat_map(|(_, [one, two])| [[one.node, two.node], [two.node, one.node]])
            .filter(|pair| pair.iter().all(|node| floods(*node)))
            .collect();
        let (mut paths, mut seen) = (vec![vec![from]], vec![from]);
        while let Some(path) = paths.pop() {
            let last = path[path.len() - 1];
            if last == to {
                return Some(path);
            }
            for [_, next] in pairs.iter().filter(|[near, _]| *near == last) {
                if !seen.contains(next) {
                    seen.push(*next);
                    paths.push([path.as_slice(), &[*next]].concat());
                }
            }
        }
        None
    }
}

/// Returns `wanted` if no interface has that name, else the first free name with a number.
fn free_name(there: &[Interface], wanted: &str, stem: &str) -> String {
    let is_free = |name: &String| there.iter().all(|one| one.name != *name);
    let numbered = (0_u32..).map(|number| format!("{stem}{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(is_free)
        .expect("numbers do not run out")
}
