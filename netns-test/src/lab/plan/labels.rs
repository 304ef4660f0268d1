//! The names by which errors call links and interfaces.
//!
//! Pure.

use crate::lab::plan::Plan;

/// Formats a link: ``link `wan` (home to server)``, or without a name `link home to server`.
pub(crate) fn label(plan: &Plan, link: usize) -> String {
    let of_plan = &plan.links()[link];
    let [a, b] = of_plan.ends.map(|end| plan.nodes()[end.node].name.as_str());
    match &of_plan.name {
        Some(name) => format!("link `{name}` ({a} to {b})"),
        None => format!("link {a} to {b}"),
    }
}

/// Formats an interface: `eth0 of server`.
pub(crate) fn name_of(plan: &Plan, node: usize, interface: &str) -> String {
    format!("{interface} of {}", plan.nodes()[node].name)
}
