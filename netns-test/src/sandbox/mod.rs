//! Programs in namespaces of their own: a sandbox as a value, and commands that start in it.

pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod description;
pub(crate) mod errors;
pub(crate) mod ids;
pub(crate) mod steps;

pub use crate::sandbox::child::SandboxChild;
pub use crate::sandbox::command::SandboxCommand;
pub use crate::sandbox::description::Sandbox;
pub use crate::sandbox::ids::SandboxUser;
pub use crate::userns::IdRange;
