//! The names by which errors call interfaces.
//!
//! Pure.

use crate::lab::plan::Plan;

/// Formats an interface: `eth0 of server`.
pub(crate) fn name_of(plan: &Plan, node: usize, interface: &str) -> String {
    format!("{interface} of {}", plan.nodes()[node].name)
}
