//! The figures, one file for each topic.

pub(crate) mod evidence;
pub(crate) mod lab;
pub(crate) mod links;
pub(crate) mod netns;
pub(crate) mod output;
pub(crate) mod promises;
pub(crate) mod size;
pub(crate) mod snapshot;
pub(crate) mod takedown;
pub(crate) mod tests;
pub(crate) mod thousand;
