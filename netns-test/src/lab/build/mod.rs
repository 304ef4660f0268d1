//! From a plan to a running lab: namespaces, then cables, then all that stands on them, and at last
//! the wait until it carries packets.

pub(crate) mod etc_files;
pub(crate) mod local;
pub(crate) mod namespaces;
pub(crate) mod requests;
pub(crate) mod sysctls;

use crate::lab::fabric::ready;

use std::sync::Arc;

use crate::error::{Result, located};
pub(crate) use crate::lab::build::etc_files::{Covered, rewrite};
pub(crate) use crate::lab::build::local::{Guest, prepare_moved};
pub(crate) use crate::lab::build::namespaces::{Made, make, make_one};
pub(crate) use crate::lab::build::requests::{Indexes, cables, flood, label, of_node, routes_of};
pub(crate) use crate::lab::build::sysctls::{set_of_interfaces, set_sysctls};
use crate::lab::fabric::ends::Cables;
use crate::lab::fabric::own_network::undo::Journal;
use crate::lab::fabric::partitions::Partitions;
use crate::lab::plan::Plan;
use crate::lab::run::lab::{Fabric, Lab, Own};
use crate::lab::run::node::Node;
use crate::lab::run::panics::Panics;
use crate::lab::run::spawner::Common;
use crate::lab::topology::{NodeKind, Topology};

impl Topology {
    /// Builds the network that this describes: the one step that touches the kernel.
    ///
    /// When it comes back, every pair of nodes that the plan says can talk, can (but for switches with
    /// the spanning tree protocol, which takes half a minute to settle).
    ///
    /// It takes `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`: those of a [`netns_test`](crate::netns_test) body, of
    /// a program under `unshare -Urnm`, or of root. The caller stays where it is, and what is built
    /// is gone when the [`Lab`] is dropped.
    ///
    /// # Errors
    ///
    /// The mistakes of the [plan](Topology::plan), all at once; a step that the kernel refuses, with
    /// the object's name and the reason. Nothing is left then.
    #[track_caller]
    pub fn build(&self) -> Result<Lab> {
        located(self.try_build())
    }

    fn try_build(&self) -> Result<Lab> {
        let plan = self.plan()?;
        let local = plan.nodes().iter().any(|node| node.kind == NodeKind::Local);
        let covered =
            local.then(|| etc_files::put_for_local(plan.hosts_text())).transpose()?.flatten();
        let made = make(&plan, 0)?;
        let all: Vec<&Made> = made.iter().collect();
        let indexes = Indexes::new(&plan, &all)?;
        let journal = Arc::new(Journal::default());
        let guest = Guest::new(&plan, &all, &indexes, &journal)?;
        cables(&plan, &all, &indexes, 0)?;
        guest.as_ref().map_or(Ok(()), |guest| guest.set(&plan))?;
        requests::nodes(&plan, &all, &indexes)?;
        for (node, made) in plan.nodes().iter().zip(&made) {
            let names: Vec<_> = node.interfaces.iter().map(|one| one.name.as_str()).collect();
            set_of_interfaces(node, &made.place, &names)?;
        }
        ready::wait(&plan, &all, &indexes)?;
        let panics = Panics::default();
        let common = Common::new(plan.hosts_text());
        if plan.nodes().iter().any(|node| node.kind == NodeKind::Local) {
            // Programs of the caller's own host begin where this thread is.
            common.programs.prepare()?;
        }
        let fabric = Arc::new_cyclic(|fabric| {
            let shared = || (panics.clone(), common.clone());
            let hosts = made.into_iter().zip(plan.nodes());
            let hosts = hosts.map(|(made, node)| Node::new(node, made, fabric.clone(), shared()));
            Fabric {
                hosts: hosts.map(Arc::new).collect(),
                cables: Arc::new(Cables::new(&plan, &indexes)),
                partitions: Arc::new(Partitions::default()),
                journal,
                plan,
                indexes,
            }
        });
        Ok(Lab::new(fabric, panics, common, Own { covered, guest }))
    }
}

/// What a message calls an interface of a plan.
pub(crate) fn name_of(plan: &Plan, node: usize, interface: &str) -> String {
    format!("{interface} of {}", plan.nodes()[node].name)
}
