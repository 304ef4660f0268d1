//! The lab as the log of its test describes it, so that the report of a failure has its names.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::topology::{
    LabEnd, LabFacts, LabInterface, LabLink, LabNode, LinkImpairments,
};
use crate::evidence::log;
use crate::evidence::record::{Networks, NodeNetwork, Record};
use crate::lab::fabric::ends::End;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::plan::{InterfaceKind, NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::sys::fds;

/// Describes a lab that was built, extended or changed.
pub(crate) fn describe(fabric: &Fabric) {
    log::append(|| {
        let impairments = impairments(fabric);
        Record::Lab(facts((fabric.number, &fabric.plan), &fabric.links.lock(), impairments))
    });
    // The flight recorder has begun when the test goes on.
    log::settle();
}

/// Describes the impairments of a link that were changed.
pub(crate) fn describe_impairments(fabric: &Fabric, link: usize, plans: &[ImpairmentPlan; 2]) {
    log::append(|| {
        let impairments = plans.iter().map(ToString::to_string).collect();
        Record::Impairments(LinkImpairments { lab: fabric.number, link: link as u32, impairments })
    });
}

/// Makes init hold the networks of the nodes of a lab that has changed.
pub(crate) fn report_networks(fabric: &Fabric) {
    let nodes = fabric.nodes.iter();
    let there: Vec<_> = nodes.filter_map(|node| Some((node, node.here().ok()?))).collect();
    report(&fabric.plan, there.iter().map(|(node, here)| (node.name(), &***here)));
}

/// Makes init hold the networks of the nodes of a lab that is being built. Init records in them
/// from now on, beside the build: see [`log::settle`].
pub(crate) fn report_made(plan: &Plan, made: &[&Made]) {
    let names = plan.nodes().iter().map(|node| node.name.as_str());
    report(plan, names.zip(made.iter().copied()));
}

fn report<'a>(plan: &Plan, nodes: impl Iterator<Item = (&'a str, &'a Made)>) {
    log::report(|| {
        // Held, they would keep interfaces in the caller's own network.
        let may_be_kept = plan.nodes().iter().all(|node| node.kind != NodeKind::Local);
        let nodes = nodes.filter_map(|(name, made)| network(name, made.place.network())).collect();
        Record::Networks(Networks { may_be_kept, nodes })
    });
}

fn network(name: &str, network: BorrowedFd<'_>) -> Option<NodeNetwork> {
    let inode = fds::inode_of(network).ok()?;
    Some(NodeNetwork { node: name.to_owned(), descriptor: network.as_raw_fd(), inode })
}

/// Whether init may hold networks of a lab that was dropped.
static WAS_DROPPED: AtomicBool = AtomicBool::new(false);

/// Makes init release the networks of the previous lab, so that they do not count against a limit
/// of the next one.
pub(crate) fn begin_build() {
    if WAS_DROPPED.swap(false, Ordering::Relaxed) {
        release();
        log::settle();
    }
}

/// Makes init release the networks of a lab that is being dropped. If the test's function may
/// return an error, init holds them until the next lab is built: it may still do so.
pub(crate) fn dropped() {
    log::note(|| Event::of(EventKind::Drop, "", "lab"));
    if log::may_return_an_error() {
        WAS_DROPPED.store(true, Ordering::Relaxed);
    } else {
        release();
    }
}

fn release() {
    log::report(|| Record::Networks(Networks::default()));
}

/// Returns the impairments of the links that have some now, with the positions of these.
fn impairments(fabric: &Fabric) -> Vec<(usize, Vec<String>)> {
    let texts = |model: &mut EmulatedLink| {
        Direction::BOTH.iter().map(|way| model.plan(*way).to_string()).collect()
    };
    let visited = fabric.hub.as_ref().and_then(|hub| hub.visit(texts).ok());
    visited.unwrap_or_default()
}

fn facts(
    (number, plan): (u32, &Plan),
    ends: &[[End; 2]],
    impairments: Vec<(usize, Vec<String>)>,
) -> LabFacts {
    let mut impairments = impairments.into_iter().peekable();
    let nodes = plan.nodes().iter().map(node).collect();
    let links = ends.iter().enumerate().map(|(at, ends)| {
        let ends =
            ends.iter().map(|end| LabEnd { node: end.node as u32, interface: end.name.clone() });
        let impairments = impairments.next_if(|(link, _)| *link == at).map(|(_, texts)| texts);
        LabLink {
            name: plan.link_name(at),
            ends: ends.collect(),
            impairments: impairments.unwrap_or_default(),
        }
    });
    LabFacts { number, nodes, links: links.collect() }
}

fn node(node: &NodePlan) -> LabNode {
    let interfaces = node.interfaces.iter().map(|interface| {
        let link = match interface.kind {
            InterfaceKind::Veth { link, .. } => u32::try_from(link).ok(),
            _ => None,
        };
        LabInterface {
            name: interface.name.clone(),
            link,
            addresses: interface.addresses.iter().map(|cidr| cidr.address()).collect(),
            mac: interface.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        }
    });
    let (name, kind) = (node.name.clone(), node.kind.name().to_owned());
    LabNode { name, kind, interfaces: interfaces.collect() }
}
