//! The steps of a build, in their order.

use std::sync::Arc;

use crate::error::Result;
use crate::lab::build::etc_files::local;
use crate::lab::build::etc_files::local::Covered;
use crate::lab::build::etc_files::names::Names;
use crate::lab::build::hub::Beginning;
use crate::lab::build::local::Guest;
use crate::lab::build::requests::last_index;
use crate::lab::build::{namespaces, requests};
use crate::lab::fabric::described;
use crate::lab::fabric::hub;
use crate::lab::fabric::hub::Hub;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::own_network::undo::Journal;
use crate::lab::fabric::ready;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::hash::Seed;
use crate::lab::plan::Plan;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::topology::{NodeKind, Topology};

/// Changes in the caller's own network and files, if the caller is a node. Dropping it undoes them.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The mount over `/etc/hosts`.
    pub(crate) covered: Option<Arc<Covered>>,
    pub(crate) guest: Option<Guest>,
}

/// Builds `plan`, which is that of `topology`, with this seed for all that happens to packets at
/// random. If a step fails, dropping the results of the earlier ones undoes them.
pub(crate) fn assemble(
    topology: Topology,
    (plan, names): (Plan, &Names),
    seed: Seed,
) -> Result<(Fabric, Own)> {
    let local = plan.nodes().iter().position(|node| node.kind == NodeKind::Local);
    let covered =
        local.map(|at| local::put(&names.at(at).hosts)).transpose()?.flatten().map(Arc::new);
    described::begin_build();
    let beginning = hub::is_needed(&plan, 0).then(|| Beginning::start(&plan)).transpose()?;
    let made = namespaces::make(&plan, names, 0)?;
    let all: Vec<&Made> = made.iter().collect();
    described::report_made(&plan, &all);
    let indexes = Indexes::new(&plan, last_index(&plan, &all)?);
    let journal = Arc::new(Journal::default());
    let guest = Guest::new(&plan, &all, &indexes, &journal)?;
    let hub = beginning.as_ref().map(Beginning::network).transpose()?;
    requests::make_links(&plan, &all, (&indexes, hub.as_deref()), 0)?;
    guest.as_ref().map_or(Ok(()), |guest| guest.set(&plan))?;
    for (node, made) in all.iter().enumerate() {
        requests::set_up_node(&plan, node, &indexes, made, |_| true)?;
    }
    let mut fabric = Fabric::new(seed, (topology, plan), indexes, made, journal);
    if let Some((network, beginning)) = hub.zip(beginning) {
        let hub = Hub::new(network, beginning.engine()?, (fabric.number, seed, &fabric.links))?;
        hub.connect(&fabric.plan, 0)?;
        fabric.hub = Some(hub);
    }
    let here = fabric.nodes.iter().map(|node| node.here()).collect::<Result<Vec<_>, _>>()?;
    let all: Vec<&Made> = here.iter().map(|here| &***here).collect();
    ready::wait(&fabric.plan, &all, &fabric.indexes)?;
    fabric.hub.as_ref().map_or(Ok(()), |hub| hub.open(0))?;
    fabric.follow_ends()?;
    (0..fabric.nodes.len()).try_for_each(|at| fabric.serve_port_mapping(at, false))?;
    #[cfg(feature = "dns")]
    fabric.serve_names()?;
    Ok((fabric, Own { covered, guest }))
}
