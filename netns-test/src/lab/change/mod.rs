//! What a running lab can be changed to: addresses and routes of hosts, where a link ends, and which
//! nodes are on. The plan stays that of the lab as it was built, or extended.

pub(crate) mod addrs;
pub(crate) mod extend;
pub(crate) mod interface;
pub(crate) mod join;
pub(crate) mod move_link;
pub(crate) mod of_kernel;
pub(crate) mod power;
pub(crate) mod rollback;
pub(crate) mod routes;

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::{Failure, Result};
use crate::lab::run::lab::{Fabric, Lab};
use crate::lab::run::node::{Here, Node};
use crate::lab::topology::input::{Interface, InterfaceSelector};
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink::kept::Kept;
use crate::netlink::link;

impl Node {
    /// The lab that it is of.
    fn lab(&self) -> Result<Arc<Fabric>> {
        let ended = || Failure::new("change", self.name(), "its lab has ended").into();
        self.fabric().ok_or_else(ended)
    }

    /// The interface that is meant, as it is now.
    fn find(&self, here: &Here, on: &Interface) -> Result<link::Interface> {
        let there = here.netlink.interfaces()?;
        let failed = |what: String| {
            let names: Vec<&str> = there.iter().map(|one| one.name.as_str()).collect();
            let told = Failure::new("find", format!("{what} of {}", self.name()), "there is none");
            told.advise(format!("interfaces: {}", names.join(", ")))
        };
        let found = match &on.0 {
            InterfaceSelector::Name(name) => {
                let found = there.iter().find(|one| one.name == *name);
                found.ok_or_else(|| failed(format!("interface {name}")))?
            }
            InterfaceSelector::Link(link) => {
                let fabric = self.lab()?;
                let at = fabric.plan.link_position(*link);
                let at = at.ok_or_else(|| failed("the end of a link of another lab".to_owned()))?;
                let ends = fabric.cables.ends(at);
                let mut own =
                    ends.iter().filter(|end| fabric.hosts[end.node].name() == self.name());
                let index = own.next().map(|end| end.index);
                let found = there.iter().find(|one| Some(one.index) == index);
                let label = crate::lab::build::label(&fabric.plan, at);
                found.ok_or_else(|| failed(format!("the end of {label}")))?
            }
        };
        Ok(found.clone())
    }

    /// Does `work`. In the caller's own network, what is lost by it is noted, and what is new and
    /// `is_own`: the end of the lab takes that back.
    fn noting<T>(
        &self,
        fabric: &Fabric,
        here: &Here,
        is_own: impl Fn(&Kept) -> bool,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.kind() {
            NodeKind::Local => fabric.journal.around(&here.netlink, is_own, work),
            _ => work(),
        }
    }

    /// Refuses to take from the caller's own network what only the kernel can make.
    fn check_taking(&self, step: &str, taken: &[Kept]) -> Result<()> {
        if self.kind() != NodeKind::Local {
            return Ok(());
        }
        let of_kernel = self.run(of_kernel::Routes::read);
        let refused = taken.iter().find_map(|one| Some((one, of_kernel.reason(one)?)));
        refused.map_or(Ok(()), |(one, why)| {
            let object = format!("{one} of {}", self.name());
            let why = format!("{why}, and the lab could not give it back");
            let advice = "leave it, or remove it before the lab is built";
            Err(Failure::new(step, object, why).advise(advice).into())
        })
    }

    /// A mistake in what a caller has given.
    fn mistake(&self, step: &str, what: &str, why: &impl ToString) -> Failure {
        Failure::new(step, format!("{what} of {}", self.name()), why.to_string())
    }
}

impl Lab {
    /// The place of a node.
    fn place_of(&self, step: &str, node: NodeId) -> Result<usize> {
        let unknown = || Failure::new(step, "a node of another topology", "it is not in this lab");
        self.plan().position(node).ok_or_else(|| unknown().into())
    }
}

/// Such addresses are alike on all links.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
