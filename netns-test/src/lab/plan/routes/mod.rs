//! Routes of the plan: static, computed, and the path that a packet takes by them.

pub(crate) mod black_holes;
pub(crate) mod fib;
pub(crate) mod flow;
pub(crate) mod outcome;
pub(crate) mod path;
pub(crate) mod replaced;
pub(crate) mod shortest_paths;
pub(crate) mod static_routes;
