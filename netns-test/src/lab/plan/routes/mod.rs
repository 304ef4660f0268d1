//! Routes of the plan: static, computed, and the path that a packet takes by them.

pub(crate) mod shortest_paths;
pub(crate) mod static_routes;
pub(crate) mod walk;
