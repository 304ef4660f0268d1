//! Links whose ends move from node to node.

use crate::error::{Failure, Result, located};
use crate::lab::build::{self, label};
use crate::lab::cables::End;
use crate::lab::plan::InterfaceKind;
use crate::lab::running::{Fabric, Lab};
use crate::lab::topology::{LinkId, NodeId, NodeKind};
use crate::netlink::requests;
use crate::netlink::state::Interface;

impl Lab {
    /// Moves the end that a link has at `from` to the node `to`, as one pulls a cable out of a socket and
    /// puts it into another; the other end stays. Gives the name that the interface has there: the same, or
    /// the first of `eth0`, `eth1`, … that is free.
    ///
    /// On a switch it becomes a port. Elsewhere it has its Ethernet address and its MTU, is up if it was, and
    /// has no addresses but a link-local one, no routes, and nothing that stood on it: give it
    /// [addresses](crate::lab::Host::add_addr) and [routes](crate::lab::Host::add_route). At `from` they
    /// go with it. The other end keeps all of its own; so a host that is moved from switch to switch keeps
    /// its address. When this comes back, packets pass, if both ends are up.
    ///
    /// # Errors
    ///
    /// A link that has no end at `from`; one whose other end is at `to`; switches without the spanning tree
    /// protocol that would make a ring; a node that is powered off; what the kernel refuses.
    #[track_caller]
    pub fn move_link(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        located(self.try_move_link(link, from, to))
    }

    fn try_move_link(&self, link: LinkId, from: NodeId, to: NodeId) -> Result<String> {
        let fabric = self.fabric();
        let stranger =
            || Failure::new("move", "a link of another topology", "it is not in this lab");
        let at = fabric.plan.link_position(link).ok_or_else(stranger)?;
        let link = label(&fabric.plan, at);
        let (from, to) = (self.place_of("move", from)?, self.place_of("move", to)?);
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
        let was_up =
            old.netlink.interfaces()?.iter().any(|one| one.index == end.index && one.is_up);
        let stem = if fabric.plan.nodes()[to].kind == NodeKind::Switch { "port" } else { "eth" };
        let free = free_name(&new.netlink.interfaces()?, &end.name, stem);
        let there = new.place.network();
        old.netlink.ask_all(&[requests::move_to(fabric.label(&end), end.index, there, &free)])?;
        let end = &mut cables[at][side];
        (end.node, end.name, end.planned) = (to, free.clone(), None);
        let is_it = |one: &&Interface| one.name == free;
        let index = new.netlink.interfaces()?.iter().find(is_it).map_or(end.index, |one| one.index);
        end.index = index;
        if fabric.hosts[to].kind() == NodeKind::Local {
            build::prepare_moved(&fabric.plan.nodes()[to], &new.place, &free)?;
        }
        let label = fabric.label(end);
        let bridge = fabric.bridge_of(to);
        new.netlink.ask_all(&[requests::set_up(label, index, was_up, bridge)])?;
        if was_up {
            let far = fabric.hosts[other.node].here();
            let there =
                far.ok().map(|far| far.netlink.interfaces()).transpose()?.unwrap_or_default();
            if there.iter().any(|one| one.index == other.index && one.is_up) {
                [&cables[at][side], &other]
                    .into_iter()
                    .try_for_each(|end| fabric.wait_on_if_up(end))?;
            }
        }
        fabric.partitions.refresh(fabric)?;
        fabric.forget_failures(&cables)?;
        Ok(free)
    }
}

impl Fabric {
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
