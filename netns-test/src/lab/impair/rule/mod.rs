//! Exact faults: rules that match packets, choose some of them, and say what happens to these.

pub(crate) mod action;
pub(crate) mod apply;
pub(crate) mod choice;
pub(crate) mod forge;
pub(crate) mod judgement;
pub(crate) mod packet;
pub(crate) mod rules;
#[cfg(test)]
mod tests;
