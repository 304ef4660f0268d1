//! Drawings of topologies and plans: text for people, and input for Graphviz and Mermaid.

mod dot;
mod graph;
mod mermaid;
mod text;
