//! The part of a lab that a failure is about, one link a line. Pure.

mod impairments;

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::evidence::facts::Facts;
use crate::evidence::facts::event::EventKind;
use crate::evidence::facts::network::Interface;
use crate::evidence::facts::topology::{LabEnd, LabFacts, LabLink};
use crate::report::text::concern::Concern;
use crate::report::text::page::{COLUMNS, Rank, Section};

/// A lab of so many links is shown as a whole.
const SMALL: usize = 6;

/// Most links that are shown of another one.
const MOST: usize = 10;

/// Most addresses of an interface.
const MOST_ADDRESSES: usize = 2;

/// Returns the drawing.
pub(crate) fn section(facts: &Facts, concern: &Concern) -> Section {
    let Some(lab) = facts.lab() else { return Section::default() };
    let links = chosen(lab, concern);
    let of_link = |at: &usize| {
        let mut all = rows(facts, lab, &lab.links[*at]);
        all.extend(impairments::rows(facts, lab, *at));
        all
    };
    let mut rows: Vec<String> = links.iter().flat_map(of_link).collect();
    let left = lab.links.len() - links.len();
    let alone = lab.nodes.iter().enumerate().filter(|(at, node)| {
        let is_concerned = concern.nodes.contains(&node.name) || lab.nodes.len() <= SMALL;
        is_concerned && !lab.links.iter().flat_map(|link| &link.ends).any(|end| is_at(end, *at))
    });
    rows.extend(alone.take(MOST).map(|(_, node)| format!("  {} (no link)", node.name)));
    if left > 0 {
        rows.push(format!("  ... {left} more links, {} nodes in all", lab.nodes.len()));
    }
    rows.extend(states(facts));
    Section { title: "Lab".into(), rows, least: 4, rank: Rank::Topology }
}

/// Chooses links by their positions: all of a small lab, else those between the nodes concerned.
fn chosen(lab: &LabFacts, concern: &Concern) -> Vec<usize> {
    if lab.links.len() <= SMALL {
        return (0..lab.links.len()).collect();
    }
    let place = |name: &String| lab.nodes.iter().position(|node| node.name == *name);
    let nodes: Vec<usize> = concern.nodes.iter().filter_map(place).collect();
    let mut links = Vec::new();
    for pair in nodes.windows(2) {
        for link in path(lab, pair[0], pair[1]) {
            if !links.contains(&link) {
                links.push(link);
            }
        }
    }
    if let ([one], true) = (nodes.as_slice(), links.is_empty()) {
        let touches = |link: &LabLink| link.ends.iter().any(|end| is_at(end, *one));
        links.extend((0..lab.links.len()).filter(|&at| touches(&lab.links[at])));
    }
    links.truncate(MOST);
    links
}

/// Returns the links of a shortest path between two nodes; none if there is no path.
fn path(lab: &LabFacts, from: usize, to: usize) -> Vec<usize> {
    // For each node, its neighbours with the links to them.
    let mut neighbours: Vec<Vec<(usize, usize)>> = vec![Vec::new(); lab.nodes.len()];
    for (at, link) in lab.links.iter().enumerate() {
        let [left, right] = link.ends.as_slice() else { continue };
        let (left, right) = (left.node as usize, right.node as usize);
        if left.max(right) < neighbours.len() {
            neighbours[left].push((right, at));
            neighbours[right].push((left, at));
        }
    }
    // For each node, the link by which it was reached, and the node before it.
    let mut reached: Vec<Option<(usize, usize)>> = vec![None; lab.nodes.len()];
    let mut waiting = VecDeque::from([from]);
    while let Some(node) = waiting.pop_front() {
        for &(next, link) in neighbours.get(node).into_iter().flatten() {
            if next != from && reached[next].is_none() {
                reached[next] = Some((link, node));
                waiting.push_back(next);
            }
        }
    }
    let mut links = Vec::new();
    let mut node = to;
    while let Some((link, before)) = reached.get(node).copied().flatten() {
        links.push(link);
        node = before;
    }
    links.reverse();
    links
}

fn is_at(end: &LabEnd, node: usize) -> bool {
    end.node as usize == node
}

/// Returns a link as a line: with fewer addresses, and its troubles on another line, if it is long.
fn rows(facts: &Facts, lab: &LabFacts, link: &LabLink) -> Vec<String> {
    let [left, right] = link.ends.as_slice() else { return vec![format!("  {}", link.name)] };
    let troubles: Vec<String> =
        link.ends.iter().filter_map(|end| trouble(facts, lab, end)).collect();
    let wire = if troubles.is_empty() { "------" } else { "--X--" };
    let (one, other) = (name(lab, left), name(lab, right));
    let is_named = !(link.name.contains(&one) && link.name.contains(&other));
    let wire = if is_named { format!("{wire} {} {wire}", link.name) } else { wire.to_owned() };
    let line = |most| {
        let end = |end| addresses(facts, lab, end, most);
        let parts = [&one, &port(lab, left), &end(left), &wire];
        let more = [&end(right), &port(lab, right), &other];
        let parts = parts.into_iter().chain(more).map(String::as_str);
        parts.filter(|part| !part.is_empty()).fold(" ".to_owned(), |line, part| line + " " + part)
    };
    let long = line(MOST_ADDRESSES);
    let line = if long.chars().count() > COLUMNS { line(1) } else { long };
    if troubles.is_empty() {
        return vec![line];
    }
    let troubles = format!("<== {}", troubles.join(", "));
    let together = format!("{line}   {troubles}");
    if together.chars().count() <= COLUMNS {
        vec![together]
    } else {
        vec![line, format!("    {troubles}")]
    }
}

/// Returns the name of an interface; none at a switch, whose ports are named after the nodes there.
fn port(lab: &LabFacts, end: &LabEnd) -> String {
    let node = lab.nodes.get(end.node as usize);
    let is_of_switch = node.is_some_and(|node| node.kind == "switch");
    if is_of_switch { String::new() } else { end.interface.clone() }
}

fn name(lab: &LabFacts, end: &LabEnd) -> String {
    lab.nodes.get(end.node as usize).map(|node| node.name.clone()).unwrap_or_default()
}

fn interface<'a>(facts: &'a Facts, lab: &LabFacts, end: &LabEnd) -> Option<&'a Interface> {
    let network = facts.look()?.network(&name(lab, end))?;
    network.interfaces.iter().find(|one| one.name == end.interface)
}

/// Returns the addresses of an interface, as they are now if that is known.
fn addresses(facts: &Facts, lab: &LabFacts, end: &LabEnd, most: usize) -> String {
    let mut texts: Vec<String> = match interface(facts, lab, end) {
        Some(interface) => {
            let shown = interface.addresses.iter().filter(|one| !is_link_local(one.address));
            shown
                .map(|one| {
                    let state = match (one.is_duplicate, one.is_tentative) {
                        (true, _) => " (duplicate)",
                        (_, true) => " (tentative)",
                        _ => "",
                    };
                    format!("{}/{}{state}", one.address, one.prefix)
                })
                .collect()
        }
        None => {
            let node = lab.nodes.get(end.node as usize);
            let interfaces = node.into_iter().flat_map(|node| &node.interfaces);
            let own = interfaces.filter(|one| one.name == end.interface);
            own.flat_map(|one| &one.addresses).map(ToString::to_string).collect()
        }
    };
    texts.truncate(most);
    texts.join(" ")
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}

/// Returns why no packet passes an end of a link.
fn trouble(facts: &Facts, lab: &LabFacts, end: &LabEnd) -> Option<String> {
    let look = facts.look()?;
    let name = name(lab, end);
    // A look that could not read interfaces says nothing about them.
    let network = look.network(&name).filter(|network| !network.interfaces.is_empty())?;
    match interface(facts, lab, end) {
        None => Some(format!("{name} has no {}", end.interface)),
        Some(one) if !one.is_up => Some(format!("{name} {} is down", one.name)),
        Some(one) if !one.has_carrier => {
            Some(format!("{} {} has no carrier", network.node, one.name))
        }
        Some(_) => None,
    }
}

/// Returns the last changes of partitions and power, which no interface shows.
fn states(facts: &Facts) -> Vec<String> {
    let kinds = [EventKind::Partition, EventKind::Power];
    let last = kinds.map(|kind| facts.events.iter().rev().find(|event| event.kind == kind));
    let is_over = |state: &str| matches!(state, "heal" | "healed" | "on" | "up" | "thawed");
    let events = last.into_iter().flatten();
    let events = events.filter(|event| !event.detail("state").is_some_and(is_over));
    let rows = events.map(|event| {
        let node = if event.node.is_empty() { String::new() } else { format!("{} ", event.node) };
        format!("  {}: {node}{}", event.kind.word(), event.text)
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::facts::topology::LabNode;

    fn chain(nodes: u32) -> LabFacts {
        let node = |at| LabNode { name: format!("n{at}"), ..LabNode::default() };
        let end = |node| LabEnd { node, interface: "eth0".into() };
        let link = |at| LabLink {
            name: format!("l{at}"),
            ends: vec![end(at), end(at + 1)],
            ..LabLink::default()
        };
        LabFacts {
            number: 1,
            nodes: (0..nodes).map(node).collect(),
            links: (0..nodes - 1).map(link).collect(),
        }
    }

    #[test]
    fn the_links_between_two_nodes_are_chosen() {
        let lab = chain(20);
        assert_eq!(path(&lab, 3, 6), [3, 4, 5]);
        assert_eq!(path(&lab, 6, 3), [5, 4, 3]);
        let concern = Concern { nodes: vec!["n9".into(), "n7".into()], targets: vec![] };
        let names: Vec<&str> =
            chosen(&lab, &concern).iter().map(|at| lab.links[*at].name.as_str()).collect();
        assert_eq!(names, ["l8", "l7"]);
        assert_eq!(chosen(&chain(3), &Concern::default()).len(), 2);
        assert_eq!(chosen(&lab, &Concern::default()).len(), 0);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_way() {
        let mut lab = chain(8);
        lab.links[3].ends[1].node = 99;
        assert_eq!(path(&lab, 0, 7), Vec::<usize>::new());
    }
}
