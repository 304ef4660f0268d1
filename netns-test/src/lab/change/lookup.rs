//! Lookups and checks that several changes of a running lab share.

use crate::error::{Failure, Result};
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::own_network::of_kernel;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::node::Node;
use crate::lab::topology::input::{InterfaceArg, InterfaceSelector};
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink::kept::Kept;
use crate::netlink::link;

impl Node {
    /// Finds the interface of the node that a caller means, in its current state.
    pub(crate) fn find(&self, here: &Namespaces, on: &InterfaceArg) -> Result<link::Interface> {
        let there = here.netlink.interfaces()?;
        let failed = |what: String| {
            let names: Vec<&str> = there.iter().map(|one| one.name.as_str()).collect();
            let object = format!("{what} of {}", self.name());
            let failure = Failure::new("find", object, "there is none");
            failure.advise(format!("interfaces: {}", names.join(", ")))
        };
        let found = match &on.0 {
            InterfaceSelector::Name(name) => {
                let found = there.iter().find(|one| one.name == *name);
                found.ok_or_else(|| failed(format!("interface {name}")))?
            }
            InterfaceSelector::Link(link) => {
                let fabric = self.fabric();
                let at = fabric.plan.link_position(*link);
                let at = at.ok_or_else(|| failed("the end of a link of another lab".to_owned()))?;
                let ends = fabric.links.ends(at);
                let own = ends.iter().find(|end| end.node == self.position());
                let index = own.map(|end| end.index);
                let found = there.iter().find(|one| Some(one.index) == index);
                let label = fabric.plan.link_label(at);
                found.ok_or_else(|| failed(format!("the end of {label}")))?
            }
        };
        Ok(found.clone())
    }

    /// Does `work`. In the caller's own network, the journal records objects that are lost by it,
    /// and new objects that are `is_own`: the end of the lab undoes both.
    pub(crate) fn journaled<T>(
        &self,
        fabric: &Fabric,
        here: &Namespaces,
        is_own: impl Fn(&Kept) -> bool,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.kind() {
            NodeKind::Local => fabric.journal.around(&here.netlink, is_own, work),
            _ => work(),
        }
    }

    /// Refuses the removal of objects from the caller's own network that only the kernel can make,
    /// as the lab could not restore them.
    pub(crate) fn check_removal(&self, step: &str, removed: &[Kept]) -> Result<()> {
        if self.kind() != NodeKind::Local {
            return Ok(());
        }
        let of_kernel = self.run(of_kernel::Routes::read);
        let refused = removed.iter().find_map(|one| Some((one, of_kernel.reason(one)?)));
        refused.map_or(Ok(()), |(one, why)| {
            let object = format!("{one} of {}", self.name());
            let why = format!("{why}, and the lab could not restore it");
            let advice = "keep it, or remove it before the lab is built";
            Err(Failure::new(step, object, why).advise(advice).into())
        })
    }

    /// Makes the error of an invalid argument.
    pub(crate) fn invalid(&self, step: &str, what: &str, why: &impl ToString) -> Failure {
        Failure::new(step, format!("{what} of {}", self.name()), why.to_string())
    }
}

impl Fabric {
    /// Returns the position of a node in the plan, or an error of this step.
    pub(crate) fn position_of(&self, step: &str, node: NodeId) -> Result<usize> {
        let unknown = || Failure::new(step, "a node of another topology", "it is not in this lab");
        self.plan.position(node).ok_or_else(|| unknown().into())
    }
}
