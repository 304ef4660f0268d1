//! Drawings for Graphviz (`dot -Tsvg`). Pure.

use std::fmt::Write as _;

use crate::lab::plan::Plan;
use crate::lab::plan::draw::graph::Graph;
use crate::lab::topology::{NodeKind, Topology};

impl Topology {
    /// Returns the topology as input for `dot` of Graphviz: nodes, links, names and MTUs.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&Graph::of_topology(self))
    }
}

impl Plan {
    /// Returns the plan as input for `dot` of Graphviz, with interfaces and addresses.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&Graph::of_plan(self))
    }
}

fn dot(graph: &Graph) -> String {
    let mut text = "graph lab {\n".to_owned();
    // Writing to a string cannot fail.
    for (index, (kind, label)) in graph.nodes.iter().enumerate() {
        let shape = match kind {
            NodeKind::Router => "ellipse",
            NodeKind::Switch => "diamond",
            NodeKind::Host | NodeKind::Local => "box",
        };
        let style = if *kind == NodeKind::Local { ", style=bold" } else { "" };
        let _ = writeln!(text, "  n{index} [label=\"{}\", shape={shape}{style}];", quoted(label));
    }
    for edge in &graph.edges {
        let [a, b] = edge.ends;
        let mut attributes = Vec::new();
        if !edge.label.is_empty() {
            attributes.push(format!("label=\"{}\"", quoted(&edge.label)));
        }
        if edge.is_overlay {
            attributes.push("style=dashed".to_owned());
        }
        let attributes = match attributes.as_slice() {
            [] => String::new(),
            some => format!(" [{}]", some.join(", ")),
        };
        let _ = writeln!(text, "  n{a} -- n{b}{attributes};");
    }
    text + "}\n"
}

/// Joins lines with `\n` for a quoted string, and escapes `"` and `\`.
fn quoted(lines: &[String]) -> String {
    let line =
        |line: &String| line.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    lines.iter().map(line).collect::<Vec<_>>().join("\\n")
}

#[test]
fn labels_are_quoted() {
    let lines = ["say \"hi\"".to_owned(), "a\\b\nc".to_owned()];
    assert_eq!(quoted(&lines), r#"say \"hi\"\na\\b c"#);
}
