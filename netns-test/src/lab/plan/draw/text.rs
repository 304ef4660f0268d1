//! Text drawings of topologies and plans for people. Pure.

use std::fmt::{self, Write as _};

use crate::lab::plan::routes::static_routes::shown;
use crate::lab::plan::{
    InterfaceKind, InterfacePlan, InterfaceRef, NodePlan, Plan, SegmentKind, SegmentPlan,
};
use crate::lab::topology::Topology;
use crate::lab::topology::impairment::text::declared;
use crate::lab::topology::model::ExtraKind;
use crate::lab::topology::nat::text::RuleLine;

/// Writes the nodes, then the links, NATs and firewalls, each in the order of declaration.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Vec::new();
        for node in &self.nodes {
            let extras: Vec<String> =
                node.extras.iter().map(|extra| extra_name(&extra.kind)).collect();
            rows.push(vec![node.kind.name().to_owned(), node.name.clone(), extras.join(", ")]);
        }
        for link in &self.links {
            let end = |end: usize| {
                let name = link.ends[end].node.map_or("?", |node| self.nodes[node].name.as_str());
                let addresses = link.ends[end].addresses.iter().map(|address| match &address.0 {
                    Ok(address) => format!(" {address}"),
                    Err(error) => format!(" {error}"),
                });
                format!("{name}{}", addresses.collect::<String>())
            };
            let mut more: Vec<String> = link.name.iter().cloned().collect();
            more.extend(link.mtu.map(|mtu| format!("mtu {mtu}")));
            let ends = [0, 1].map(|end| link.ends[end].node);
            let ends = ends.map(|node| node.map_or("?", |node| self.nodes[node].name.as_str()));
            let lines = declared(&link.impairments, self.is_impairable, ends);
            more.extend((!lines.is_empty()).then(|| lines.join("; ")));
            rows.push(vec![
                "link".to_owned(),
                format!("{} -- {}", end(0), end(1)),
                more.join(", "),
            ]);
        }
        for RuleLine { node, what, on, text } in self.rule_lines() {
            let name = node.map_or("?", |node| self.nodes[node].name.as_str());
            rows.push(vec![what.to_owned(), format!("{name}{on}"), text]);
        }
        rows.extend(self.black_holes.iter().map(|one| {
            let destination = one.0.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            vec!["black hole".to_owned(), destination]
        }));
        #[cfg(feature = "dns")]
        rows.extend(self.dns_rows());
        f.write_str(&table(rows, ""))
    }
}

/// Writes each segment with its interfaces, then impairments of links, NATs, firewalls, routes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for segment in &self.segments {
            let subnets: Vec<String> = segment.subnets.iter().map(ToString::to_string).collect();
            let mut head = vec![self.segment_name(segment)];
            head.extend(subnets);
            head.push(format!("mtu {}", segment.mtu));
            writeln!(text, "{}", head.join("  "))?;
            let ports = segment.switches.iter().map(|&node| self.switch_row(node));
            let members = segment.members.iter().map(|&place| self.row(place));
            text.push_str(&table(members.chain(ports).collect(), "  "));
        }
        let mut rows = Vec::new();
        for (at, link) in self.links.iter().enumerate() {
            let name = self.link_name(at);
            rows.extend(
                self.impairment_lines(link).into_iter().map(|line| vec![name.clone(), line]),
            );
        }
        if !rows.is_empty() {
            text.push_str("links\n");
            text.push_str(&table(rows, "  "));
        }
        for (heading, lines) in [
            ("nat\n", NodePlan::nat_lines as fn(&NodePlan) -> Vec<[String; 2]>),
            ("firewalls\n", NodePlan::firewall_lines),
        ] {
            let rows = self.nodes.iter().flat_map(|node| {
                let row = |[place, line]: [String; 2]| vec![node.name.clone(), place, line];
                lines(node).into_iter().map(row)
            });
            let text_of_rows = table(rows.collect(), "  ");
            if !text_of_rows.is_empty() {
                text.push_str(heading);
                text.push_str(&text_of_rows);
            }
        }
        let mut rows = Vec::new();
        for node in &self.nodes {
            for route in &node.routes {
                let via = route.via.map_or(String::new(), |via| format!("via {via}"));
                let is_static = if route.is_static { "(static)" } else { "" };
                let (to, dev) = (shown(route.destination), format!("dev {}", route.dev));
                rows.push(vec![node.name.clone(), to, via, dev, is_static.to_owned()]);
            }
            for destination in &node.black_holes {
                rows.push(vec![node.name.clone(), shown(*destination), "black hole".to_owned()]);
            }
        }
        if !rows.is_empty() {
            text.push_str("routes\n");
            text.push_str(&table(rows, "  "));
        }
        for node in self.nodes.iter().filter(|node| node.interfaces.is_empty()) {
            writeln!(text, "{} has no links", node.name)?;
        }
        f.write_str(&text)
    }
}

impl Plan {
    fn segment_name(&self, segment: &SegmentPlan) -> String {
        let link = |index: usize| {
            let link = &self.links[index];
            let [a, b] = link.ends.map(|end| self.nodes[end.node].name.as_str());
            link.name.clone().unwrap_or_else(|| format!("{a} -- {b}"))
        };
        let switches: Vec<&str> =
            segment.switches.iter().map(|&node| self.nodes[node].name.as_str()).collect();
        match segment.kind {
            SegmentKind::Links { first } if switches.is_empty() => link(first),
            SegmentKind::Links { .. } => switches.join(" + "),
            SegmentKind::Vlan { first, vid } => {
                let below = &self.segments[self.links[first].segment];
                format!("{} vlan {vid}", self.segment_name(below))
            }
            SegmentKind::Vxlan { vni } => format!("vxlan {vni}"),
            SegmentKind::Stub { place } => {
                format!("{} {}", self.nodes[place.node].name, self.interface(place).name)
            }
        }
    }

    fn row(&self, place: InterfaceRef) -> Vec<String> {
        let (node, interface) = (&self.nodes[place.node], self.interface(place));
        let mut row = vec![node.name.clone(), interface.name.clone()];
        row.extend(interface.addresses.iter().map(ToString::to_string));
        row.extend(lower(interface));
        row
    }

    fn switch_row(&self, node: usize) -> Vec<String> {
        let node = &self.nodes[node];
        let ports: Vec<&str> = node.interfaces[1..].iter().map(|port| port.name.as_str()).collect();
        vec![
            node.name.clone(),
            node.interfaces[0].name.clone(),
            format!("ports {}", ports.join(" ")),
        ]
    }
}

/// Returns the lower interface of a VLAN or macvlan, or the local end of a tunnel.
fn lower(interface: &InterfacePlan) -> Option<String> {
    match &interface.kind {
        InterfaceKind::Vlan { lower, .. } | InterfaceKind::Macvlan { lower, .. } => {
            Some(format!("on {lower}"))
        }
        InterfaceKind::Vxlan { local, .. } => Some(format!("from {local}")),
        _ => None,
    }
}

fn extra_name(kind: &ExtraKind) -> String {
    match kind {
        ExtraKind::Dummy { name } | ExtraKind::Macvlan { name, .. } => name.clone(),
        ExtraKind::Vlan { vid, .. } => format!("vlan {vid}"),
        ExtraKind::Vxlan { vni, .. } => format!("vxlan {vni}"),
    }
}

/// Formats rows with aligned columns, each after `indent`.
fn table(rows: Vec<Vec<String>>, indent: &str) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
