//! Links whose ends move from node to node.

use std::net::IpAddr;

use crate::error::{Failure, Result, located};
use crate::lab::build::end::LinkEnd;
use crate::lab::change::join::Joining;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::{Current, current};
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::InterfaceKind;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{LinkId, NodeId, NodeKind};
use crate::netlink;
use crate::netlink::link::Interface;

impl Lab {
    /// Moves the end that a link has at `from` to the node `to`, as one pulls a cable out of a socket and
    /// puts it into another; the other end stays. Returns the name of the interface there: the same, or
    /// the first of `eth0`, `eth1`, … that is free.
    ///
    /// On a switch it becomes a port. Elsewhere it has its Ethernet address and its MTU, and is up if it
    /// was; what stood on it is gone. At `from`, addresses and routes go with it.
    ///
    /// The end that is on another segment then gets addresses of that, as from DHCP, in place of those of
    /// the old segment: the end that has moved, or the other one, where the first is a port of a switch. For
    /// each family that the others on the segment have, it keeps an address of their subnet, gets the one of
    /// the plan back, or else the highest that no node has. Addresses of other subnets that
    /// [`add_addr`](crate::Node::add_addr) has added stay, and so do those of VLANs and macvlans on
    /// the end. Routes follow on all nodes, as [`plan`](crate::Topology::plan) works them out, and
    /// `/etc/hosts`; the plan itself stays. On a segment without subnets, and where both ends are at
    /// switches, addresses and routes stay. [`move_link_as_is`](Self::move_link_as_is) changes none.
    ///
    /// When this comes back, packets pass, if both ends are up.
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
    /// A link that has no end at `from`; one whose other end is at `to`; switches without the spanning tree
    /// protocol that would make a ring; a node that is powered off; a subnet without a free address; what
    /// the kernel refuses.
    #[track_caller]
    pub fn move_link(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        located(self.move_end((link, from, to), true))
    }

    /// Moves an end as [`move_link`](Self::move_link), and leaves addresses, routes and `/etc/hosts` as they
    /// are: a host that comes to another switch keeps its address there, and an end that comes to a host
    /// has none but a link-local one.
    ///
    /// # Errors
    ///
    /// As [`move_link`](Self::move_link).
    #[track_caller]
    pub fn move_link_as_is(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        located(self.move_end((link, from, to), false))
    }

    fn move_end(&self, (link, from, to): (LinkId, NodeId, NodeId), joins: bool) -> Result<String> {
        let fabric = self.fabric();
        let stranger =
            || Failure::new("move", "a link of another topology", "it is not in this lab");
        let at = fabric.plan.link_position(link).ok_or_else(stranger)?;
        let link = fabric.plan.link_label(at);
        let (from, to) = (self.position_of("move", from)?, self.position_of("move", to)?);
        let mut cables = fabric.cables.lock();
        let mistake = |why: String| Err(Failure::new("move", link.as_str(), why).into());
        let name = |node: usize| fabric.plan.nodes()[node].name.as_str();
        let Some(side) = cables[at].iter().position(|end| end.node == from) else {
            return mistake(format!("it has no end at {}", name(from)));
        };
        let (end, other) = (cables[at][side].clone(), cables[at][1 - side].clone());
        if other.node == to {
            return mistake(format!("both ends would be at {}", name(to)));
        }
        if from == to {
            return Ok(end.name);
        }
        if let Some(ring) = fabric.switches_between(&cables, at, [to, other.node]) {
            let ring = ring.into_iter().map(name).collect::<Vec<_>>().join(", ");
            return mistake(format!(
                "frames would go round between {ring} for ever; `stp` of one of them prevents that"
            ));
        }
        let (old, new) = (fabric.hosts[from].here()?, fabric.hosts[to].here()?);
        let before = current(&fabric.plan, &fabric.indexes, &cables);
        let was_up =
            old.netlink.interfaces()?.iter().any(|one| one.index == end.index && one.is_up);
        let stem = if fabric.plan.nodes()[to].kind == NodeKind::Switch { "port" } else { "eth" };
        let free = free_name(&new.netlink.interfaces()?, &end.name, stem);
        let mut then = cables.clone();
        then[at][side] = End { node: to, name: free.clone(), planned: None, given: None, ..end };
        let joining = if joins { Joining::new(fabric, &then, &before, (at, side))? } else { None };
        let there = new.place.network();
        let label = fabric.label(&end);
        old.netlink.ask_all(&[netlink::link::move_to(label, end.index, there, &free)])?;
        *cables = then;
        let is_it = |one: &&Interface| one.name == free;
        let index = new.netlink.interfaces()?.iter().find(is_it).map_or(end.index, |one| one.index);
        cables[at][side].index = index;
        let (label, bridge) = (fabric.label(&cables[at][side]), fabric.bridge_of(to));
        let arrived = LinkEnd { label, index, bridge, is_up: was_up };
        arrived.set_up(&fabric.plan.nodes()[to], &new, &free)?;
        let expected = match joining {
            Some(joining) => self.join(&mut cables, &before, at, joining)?,
            None => Vec::new(),
        };
        if was_up {
            fabric.wait_if_up([&cables[at][side], &other])?;
        }
        drop(cables);
        fabric.partitions.arrived(&fabric.hosts, &expected)?;
        fabric.forget_failures(&fabric.cables.lock())?;
        Ok(free)
    }

    /// Has an end that has come to another segment be one of that. Returns its new addresses, with the place
    /// of its node.
    fn join(
        &self,
        cables: &mut [[End; 2]],
        before: &Current<'_>,
        at: usize,
        joining: Joining,
    ) -> Result<Vec<(usize, IpAddr)>> {
        let fabric = self.fabric();
        let end = &mut cables[at][joining.side];
        let expected = joining.expected(end);
        // Before the first packet.
        fabric.partitions.expect(&fabric.hosts, &expected, None)?;
        joining.set(fabric, end)?;
        end.given = Some(joining.given);
        let after = current(&fabric.plan, &fabric.indexes, cables);
        fabric.reroute(before, &after, &cables[at][joining.side])?;
        let (old, new) = (before.plan.hosts_text(), after.plan.hosts_text());
        if old != new {
            self.write_names(fabric, (old, new))?;
        }
        Ok(expected)
    }
}

impl Fabric {
    /// Waits until both ends of a link carry packets, of which the first is up, if the other one is up, too.
    fn wait_if_up(&self, ends: [&End; 2]) -> Result<()> {
        let other = ends[1];
        let far = self.hosts[other.node].here().ok();
        let there = far.map(|far| far.netlink.interfaces()).transpose()?.unwrap_or_default();
        if there.iter().any(|one| one.index == other.index && one.is_up) {
            ends.into_iter().try_for_each(|end| self.wait_on_if_up(end))?;
        }
        Ok(())
    }

    /// The switches from one to the other, over cables but one of them, where frames go everywhere; none if
    /// there is no such way.
    fn switches_between(
        &self,
        cables: &[[End; 2]],
        but: usize,
        [from, to]: [usize; 2],
    ) -> Option<Vec<usize>> {
        let floods = |node: usize| {
            let first = self.plan.nodes()[node].interfaces.first();
            first.is_some_and(|one| matches!(one.kind, InterfaceKind::Bridge { stp: false }))
        };
        let cables = cables.iter().enumerate().filter(|(at, _)| *at != but);
        let pairs: Vec<[usize; 2]> = cables
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

/// `wanted`, or the first name with a number that no interface has.
fn free_name(there: &[Interface], wanted: &str, stem: &str) -> String {
    let is_free = |name: &String| there.iter().all(|one| one.name != *name);
    let numbered = (0_u32..).map(|number| format!("{stem}{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(is_free)
        .expect("there is no end of them")
}
