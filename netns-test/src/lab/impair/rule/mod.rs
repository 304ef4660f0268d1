//! Exact faults: rules that match packets, choose some of them, and say what happens to these.

pub(crate) mod judgement;
pub(crate) mod rules;
