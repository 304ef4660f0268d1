//! Nodes and edges of a drawing with their labels, before the quoting of a format. Pure.

use crate::lab::plan::{InterfaceKind, InterfaceRef, Plan};
use crate::lab::topology::impairment::text::declared;
use crate::lab::topology::nat::text::RuleLine;
use crate::lab::topology::{NodeKind, Topology};

/// Graph of a topology or plan. A label is a list of lines.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<(NodeKind, Vec<String>)>,
    pub(crate) edges: Vec<Edge>,
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) ends: [usize; 2],
    pub(crate) label: Vec<String>,
    /// True for a tunnel, false for a link.
    pub(crate) is_overlay: bool,
}

impl Graph {
    pub(crate) fn of_topology(topology: &Topology) -> Self {
        let rules = topology.rule_lines();
        let nodes = topology.nodes.iter().enumerate().map(|(index, node)| {
            let own = rules.iter().filter(|line| line.node == Some(index));
            let own = own.map(|RuleLine { what, on, text, .. }| format!("{what}{on}: {text}"));
            (node.kind, [node.name.clone()].into_iter().chain(own).collect())
        });
        let mut edges = Vec::new();
        for link in &topology.links {
            let [Some(a), Some(b)] = [link.ends[0].node, link.ends[1].node] else { continue };
            let mut label: Vec<String> = link.name.iter().cloned().collect();
            label.extend(link.mtu.map(|mtu| format!("mtu {mtu}")));
            let ends = [a, b].map(|node| topology.nodes[node].name.as_str());
            label.extend(declared(&link.impairments, topology.is_impairable, ends));
            edges.push(Edge { ends: [a, b], label, is_overlay: false });
        }
        Self { nodes: nodes.collect(), edges }
    }

    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let nodes = plan.nodes.iter().map(|node| {
            let mut label = vec![node.name.clone()];
            let shown = node.interfaces.iter().filter(|interface| {
                !matches!(interface.kind, InterfaceKind::Veth { .. } | InterfaceKind::Bridge { .. })
            });
            for interface in shown {
                let addresses: Vec<String> =
                    interface.addresses.iter().map(ToString::to_string).collect();
                label.push(format!("{} {}", interface.name, addresses.join(" ")));
            }
            let nat = node.nat_lines().into_iter();
            label.extend(nat.map(|[outside, line]| format!("nat on {outside}: {line}")));
            label.extend(node.firewall.iter().map(|firewall| format!("firewall: {firewall}")));
            label.extend(node.black_holes.iter().map(|to| format!("black hole {to}")));
            (node.kind, label)
        });
        let mut edges = Vec::new();
        for link in &plan.links {
            let segment = &plan.segments[link.segment];
            let mut label: Vec<String> = link.name.iter().cloned().collect();
            label.extend((segment.mtu != 1500).then(|| format!("mtu {}", segment.mtu)));
            label.extend(plan.impairment_lines(link));
            label.extend(link.ends.iter().map(|&end| of_end(plan, end)));
            let ends = link.ends.map(|end| end.node);
            edges.push(Edge { ends, label, is_overlay: false });
        }
        for segment in plan.segments.iter().filter(|segment| segment.is_overlay()) {
            for (order, a) in segment.members.iter().enumerate() {
                for b in &segment.members[order + 1..] {
                    let label = vec![plan.interface(*a).name.clone()];
                    edges.push(Edge { ends: [a.node, b.node], label, is_overlay: true });
                }
            }
        }
        Self { nodes: nodes.collect(), edges }
    }
}

/// Returns the label of an end of a link: `client eth0 10.0.0.1/24 fd00::1/64`.
fn of_end(plan: &Plan, end: InterfaceRef) -> String {
    let interface = plan.interface(end);
    let mut text = format!("{} {}", plan.nodes[end.node].name, interface.name);
    for address in &interface.addresses {
        text.push(' ');
        text.push_str(&address.to_string());
    }
    text
}
