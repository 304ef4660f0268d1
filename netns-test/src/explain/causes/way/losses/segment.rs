//! The links of a segment, between a node and its next hop. Pure.

use std::collections::VecDeque;

use crate::evidence::facts::topology::LabFacts;

/// Returns the directions of links from an interface of a node to the next node, over switches.
pub(super) fn between(
    lab: &LabFacts,
    (node, out): (&str, &str),
    next: &str,
) -> Option<Vec<(usize, bool)>> {
    let position = |name: &str| lab.nodes.iter().position(|node| node.name == name);
    let (start, goal) = (position(node)?, position(next)?);
    let is_first = |link: usize| {
        lab.links[link].ends.iter().any(|end| end.node as usize == start && end.interface == out)
    };
    let mut queue = VecDeque::from([(start, Vec::new())]);
    let mut seen = vec![start];
    while let Some((at, ways)) = queue.pop_front() {
        if at == goal {
            return Some(ways);
        }
        let is_switch = lab.nodes.get(at).is_some_and(|node| node.kind == "switch");
        for (link, facts) in lab.links.iter().enumerate() {
            let [one, other] = facts.ends.as_slice() else { continue };
            let (other, is_back) = match at {
                _ if one.node as usize == at => (other.node as usize, false),
                _ if other.node as usize == at => (one.node as usize, true),
                _ => continue,
            };
            let is_usable = if at == start { is_first(link) } else { is_switch };
            if is_usable && !seen.contains(&other) {
                seen.push(other);
                queue.push_back((other, [ways.as_slice(), &[(link, is_back)]].concat()));
            }
        }
    }
    None
}
