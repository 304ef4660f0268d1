//! Drawings as Mermaid flowcharts, for Markdown. Pure.

use std::fmt::Write as _;

use crate::lab::plan::Plan;
use crate::lab::plan::draw::graph::Graph;
use crate::lab::topology::{NodeKind, Topology};

impl Topology {
    /// Returns the topology as a Mermaid flowchart: nodes, links, names and MTUs.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid(&Graph::of_topology(self))
    }
}

impl Plan {
    /// Returns the plan as a Mermaid flowchart, with interfaces and addresses.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid(&Graph::of_plan(self))
    }
}

fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart LR\n".to_owned();
    // Writing to a string cannot fail.
    for (index, (kind, label)) in graph.nodes.iter().enumerate() {
        let (open, close) = match kind {
            NodeKind::Host => ("[", "]"),
            NodeKind::Local => ("[[", "]]"),
            NodeKind::Router => ("([", "])"),
            NodeKind::Switch => ("{{", "}}"),
        };
        let _ = writeln!(text, "  n{index}{open}\"{}\"{close}", quoted(label));
    }
    for edge in &graph.edges {
        let [a, b] = edge.ends;
        let line = if edge.is_overlay { "-.-" } else { "---" };
        if edge.label.is_empty() {
            let _ = writeln!(text, "  n{a} {line} n{b}");
        } else {
            let _ = writeln!(text, "  n{a} {line}|\"{}\"| n{b}", quoted(&edge.label));
        }
    }
    text
}

/// Joins and escapes lines for a quoted label. Mermaid reads HTML tags, and entities with `#` in
/// place of `&`.
fn quoted(lines: &[String]) -> String {
    let character = |c: char| match c {
        '#' => "#35;".to_owned(),
        '"' => "#quot;".to_owned(),
        '<' => "#lt;".to_owned(),
        '>' => "#gt;".to_owned(),
        '&' => "#amp;".to_owned(),
        '`' => "#96;".to_owned(),
        '\\' => "#92;".to_owned(),
        '\n' | '\r' => " ".to_owned(),
        other => other.to_string(),
    };
    let line = |line: &String| line.chars().map(character).collect::<String>();
    lines.iter().map(line).collect::<Vec<_>>().join("<br/>")
}

#[test]
fn labels_are_quoted() {
    let lines = ["say \"hi\" <b>".to_owned(), "#1 & `x`\\n\ny".to_owned()];
    assert_eq!(quoted(&lines), "say #quot;hi#quot; #lt;b#gt;<br/>#35;1 #amp; #96;x#96;#92;n y");
}
