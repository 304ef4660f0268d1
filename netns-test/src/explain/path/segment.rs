//! The way of a frame from one interface to another, over the links and switches of a lab. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::evidence::facts::network::{Interface, Network};
use crate::evidence::facts::topology::{LabEnd, LabFacts};
use crate::explain::path::{Map, Obstacle, Path};

impl<'a> Map<'a> {
    /// Checks that a frame gets from the interface of a node to that of another one. Without a
    /// description of the links it does.
    pub(crate) fn crosses(
        self,
        node: &str,
        out: &str,
        next: &str,
        into: &'a Interface,
    ) -> Result<(), Obstacle<'a>> {
        let Some(lab) = self.lab else { return Ok(()) };
        let (Some(from), Some(to)) = (end(lab, node, out), end(lab, next, &into.name)) else {
            return Ok(());
        };
        let mut cut = None;
        let mut seen = BTreeSet::new();
        let mut links: VecDeque<usize> = VecDeque::from([from]);
        while let Some(link) = links.pop_front() {
            if !seen.insert(link) {
                continue;
            }
            let down = lab.links[link].ends.iter().find_map(|end| self.down(lab, link, end));
            if let Some(down) = down {
                // Nearer to the target is more to the point: the search goes outwards.
                cut = cut.or(Some(down));
                continue;
            }
            if link == to {
                return Ok(());
            }
            links.extend(beyond(lab, link));
        }
        // Links that reach it only past the cut, or not at all, as after a move.
        match cut {
            Some(down) => Err(down),
            None => Ok(()),
        }
    }

    /// Returns whether the links and switches of the lab join two interfaces.
    pub(crate) fn is_on_segment(self, one: (&str, &str), other: (&str, &str)) -> bool {
        let Some(lab) = self.lab else { return true };
        let (Some(from), Some(to)) = (end(lab, one.0, one.1), end(lab, other.0, other.1)) else {
            return false;
        };
        let mut seen = BTreeSet::new();
        let mut links = vec![from];
        while let Some(link) = links.pop() {
            if link == to {
                return true;
            }
            if seen.insert(link) {
                links.extend(beyond(lab, link));
            }
        }
        false
    }

    /// Returns the node and interface at the other end of the link of an interface.
    pub(crate) fn other_end(self, node: &str, interface: &str) -> Option<(&'a str, &'a str)> {
        let lab = self.lab?;
        let link = &lab.links[end(lab, node, interface)?];
        let is_other = |end: &&LabEnd| name(lab, end) != node || end.interface != interface;
        let other = link.ends.iter().find(is_other)?;
        Some((name(lab, other), &other.interface))
    }

    /// Returns the name of the link of an interface.
    pub(crate) fn link_of(self, node: &str, interface: &str) -> Option<&'a str> {
        let lab = self.lab?;
        Some(&lab.links[end(lab, node, interface)?].name)
    }

    /// Returns why a node has no route: the routes of an interface go when it is down, and the
    /// interface goes when the node at its other end is powered off.
    pub(crate) fn why_no_route(
        self,
        at: &'a Network,
        to: IpAddr,
        path: &mut Path<'a>,
    ) -> Obstacle<'a> {
        let node = at.node.as_str();
        let Some(lab) = self.lab else { return Obstacle::NoRoute { node, to } };
        if self.hidden_by(node, to).is_some() {
            return Obstacle::Hidden { node, to };
        }
        let is_off = |name: &str| self.networks.iter().all(|network| network.node != name);
        let owner = lab.owner_of(to);
        if let Some(owner) = owner.filter(|owner| is_off(&owner.name)) {
            return Obstacle::Off(&owner.name);
        }
        let planned = lab.node(node).into_iter().flat_map(|node| &node.interfaces);
        let mut lost = planned.filter_map(|interface| {
            let link = lab.links.get(interface.link? as usize)?;
            let found = at.interfaces.iter().find(|one| one.name == interface.name);
            let (other, _) = self.other_end(node, &interface.name)?;
            let obstacle = match found {
                None if is_off(other) => Obstacle::Off(other),
                Some(found) if !found.is_up => {
                    let link = Some(link.name.as_str());
                    Obstacle::Down { node, interface: &found.name, link }
                }
                _ => return None,
            };
            let leads_there = owner.is_some_and(|owner| {
                owner.interfaces.iter().any(|one| {
                    one.link.is_some() && (one.link == interface.link || owner.name == other)
                })
            });
            Some((obstacle, leads_there))
        });
        let others_are_up = at.interfaces.iter().any(|one| one.name != "lo" && one.is_up);
        let Some(first) = lost.clone().find(|(_, leads_there)| *leads_there).or(lost.next()) else {
            return Obstacle::NoRoute { node, to };
        };
        path.is_exact &= first.1 || !others_are_up;
        first.0
    }

    /// Returns the obstacle if an end of a link is down.
    fn down(self, lab: &'a LabFacts, link: usize, end: &'a LabEnd) -> Option<Obstacle<'a>> {
        let node = name(lab, end);
        let Some(network) = self.networks.iter().find(|network| network.node == node) else {
            return Some(Obstacle::Off(node));
        };
        let found = network.interfaces.iter().find(|one| one.name == end.interface)?;
        let link = Some(lab.links[link].name.as_str());
        let interface = found.name.as_str();
        (!found.is_up).then_some(Obstacle::Down { node, interface, link })
    }
}

/// Returns the links at the switches of a link.
fn beyond(lab: &LabFacts, link: usize) -> Vec<usize> {
    let is_switch =
        |end: &&LabEnd| lab.nodes.get(end.node as usize).is_some_and(|node| node.kind == "switch");
    let switches: Vec<u32> =
        lab.links[link].ends.iter().filter(is_switch).map(|end| end.node).collect();
    let is_at = |link: &usize| lab.links[*link].ends.iter().any(|end| switches.contains(&end.node));
    (0..lab.links.len()).filter(is_at).collect()
}

/// Returns the position of the link of an interface.
fn end(lab: &LabFacts, node: &str, interface: &str) -> Option<usize> {
    let is_it = |end: &LabEnd| end.interface == interface && name(lab, end) == node;
    lab.links.iter().position(|link| link.ends.iter().any(is_it))
}

fn name<'a>(lab: &'a LabFacts, end: &LabEnd) -> &'a str {
    lab.nodes.get(end.node as usize).map_or("", |node| node.name.as_str())
}
