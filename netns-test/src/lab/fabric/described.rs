//! The lab as the log of its test describes it, so that the report of a failure has its names.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::lab::{LabEnd, LabFacts, LabInterface, LabLink, LabNode};
use crate::evidence::log;
use crate::evidence::record::{Networks, NodeNetwork, Record};
use crate::lab::fabric::ends::End;
use crate::lab::fabric::node::LiveNode;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::{InterfaceKind, NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::sys::fds;

/// Returns the number of the next lab of this process.
pub(crate) fn next_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Describes a lab that was built, extended or changed.
pub(crate) fn describe(fabric: &Fabric) {
    if !log::is_kept() {
        return;
    }
    log::append(|| Record::Lab(facts(fabric.number, &fabric.plan, &fabric.cables.lock())));
    tell_networks(fabric);
}

/// Notes an event on a node; on none if `node` is empty.
pub(crate) fn note(kind: EventKind, node: &str, text: impl FnOnce() -> String) {
    log::note(|| Event { kind, node: node.to_owned(), text: text(), ..Event::default() });
}

/// Has init hold the networks of the nodes, as long as that holds nothing outside of the test.
pub(crate) fn tell_networks(fabric: &Fabric) {
    let may_be_kept = fabric.hosts.iter().all(|node| node.kind() != NodeKind::Local);
    let nodes = || fabric.hosts.iter().filter_map(|node| network(node));
    log::tell(|| {
        Record::Networks(Networks { lab: fabric.number, may_be_kept, nodes: nodes().collect() })
    });
}

/// Returns the network of a node that is on.
fn network(node: &LiveNode) -> Option<NodeNetwork> {
    let here = node.here().ok()?;
    let network: BorrowedFd<'_> = here.place.network();
    let inode = fds::inode_of(network).ok()?;
    Some(NodeNetwork { node: node.name().to_owned(), descriptor: network.as_raw_fd(), inode })
}

fn facts(number: u32, plan: &Plan, cables: &[[End; 2]]) -> LabFacts {
    let nodes = plan.nodes().iter().map(node).collect();
    let links = cables.iter().enumerate().map(|(at, ends)| {
        let ends =
            ends.iter().map(|end| LabEnd { node: end.node as u32, interface: end.name.clone() });
        let label = plan.link_label(at);
        let name = plan.links()[at].name.clone();
        let name = name.unwrap_or_else(|| label.trim_start_matches("link ").to_owned());
        LabLink { name, ends: ends.collect() }
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
    let kind = format!("{:?}", node.kind).to_lowercase();
    LabNode { name: node.name.clone(), kind, interfaces: interfaces.collect() }
}
