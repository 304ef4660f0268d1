//! Drawings of topologies and plans: text for people, and input for Graphviz and Mermaid.

pub(crate) mod dot;
pub(crate) mod graph;
pub(crate) mod mermaid;
pub(crate) mod text;
