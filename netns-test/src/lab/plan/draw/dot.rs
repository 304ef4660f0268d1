//! Graphviz: `dot -Tsvg`.

use std::fmt::Write as _;

use crate::lab::plan::Plan;
use crate::lab::plan::draw::graph::Graph;
use crate::lab::topology::{NodeKind, Topology};

impl Topology {
    /// The topology as input for Graphviz' `dot`.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&Graph::of_topology(self))
    }
}

impl Plan {
    /// The plan as input for Graphviz' `dot`, with interfaces and addresses.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot(&Graph::of_plan(self))
    }
}

fn dot(graph: &Graph) -> String {
    let mut text = "graph lab {\n".to_owned();
    // A string takes everything that is written to it.
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
        let mut with = Vec::new();
        if !edge.label.is_empty() {
            with.push(format!("label=\"{}\"", quoted(&edge.label)));
        }
        if edge.is_overlay {
            with.push("style=dashed".to_owned());
        }
        let with = if with.is_empty() { String::new() } else { format!(" [{}]", with.join(", ")) };
        let _ = writeln!(text, "  n{a} -- n{b}{with};");
    }
    text + "}\n"
}

/// The lines within a quoted string: `\n` between them, and `"` and `\` escaped.
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
