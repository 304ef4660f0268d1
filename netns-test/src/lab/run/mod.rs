//! Handles of a running lab, and what runs the user's code on its nodes.

pub(crate) mod blocked;
pub(crate) mod early_end;
pub(crate) mod enter;
pub(crate) mod escapes;
pub(crate) mod lab;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod panics;
pub(crate) mod programs;
pub(crate) mod tasks;
