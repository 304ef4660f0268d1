//! Port mapping and names after an extension.

use crate::error::Result;
use crate::lab::build::nat;
use crate::lab::fabric::moved::Current;
use crate::lab::fabric::state::Fabric;

/// Returns for each node of the first plan whether its NATs translate in another way in the second.
#[expect(clippy::needless_pass_by_value, reason = "their borrows end here")]
pub(super) fn translating_anew(was: Current<'_>, will: Current<'_>) -> Vec<bool> {
    let both = was.plan.nodes().iter().zip(will.plan.nodes());
    both.map(|(was, will)| nat::translates_anew([was, will])).collect()
}

/// Serves port mapping and names on all nodes as the plan says now. Leases of those that translate
/// anew end.
pub(super) fn serve(fabric: &Fabric, anew: &[bool]) -> Result<()> {
    let mut nodes = 0..fabric.nodes.len();
    nodes.try_for_each(|at| fabric.serve_port_mapping(at, anew.get(at) == Some(&true)))?;
    #[cfg(feature = "dns")]
    fabric.serve_names()?;
    Ok(())
}
