//! Programs on nodes: how they are started, what they print, how they end.

pub(crate) mod command;
pub(crate) mod noted;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod search_path;
pub(crate) mod spawner;
