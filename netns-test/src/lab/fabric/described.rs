//! The lab as the log of its test describes it, so that the report of a failure has its names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::addr::cidr::Subnet;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::Protocol;
use crate::evidence::facts::topology::*;
use crate::evidence::log;
use crate::evidence::record::{Networks, NodeNetwork, Record};
use crate::lab::fabric::ends::End;
use crate::lab::fabric::moved::current;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::plan::{InterfaceKind, NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{Ipv6Nat, Mapping, Transport};
use crate::sys::fds;

/// Describes a lab that was built, extended or changed.
pub(crate) fn describe(fabric: &Fabric) {
    describe_ends(fabric, &fabric.links.lock());
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

/// Describes a lab whose links end here, and whose nodes are as before.
pub(crate) fn describe_ends(fabric: &Fabric, ends: &[[End; 2]]) {
    log::append(|| {
        let planned = fabric.now();
        let now = current(&planned, &fabric.indexes, ends);
        Record::Lab(facts((fabric.number, &now.plan), ends, impairments(fabric)))
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
    let nodes = plan.nodes().iter().map(|one| node(plan, one)).collect();
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

fn node(plan: &Plan, node: &NodePlan) -> LabNode {
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
            realm: plan.realms[0].of(interface.segment) as u32,
            realm_of_ipv6: plan.realms[1].of(interface.segment) as u32,
        }
    });
    let interfaces = interfaces.collect();
    let (name, kind) = (node.name.clone(), node.kind.name().to_owned());
    LabNode { name, kind, interfaces, nats: node.nats.iter().map(|one| nat(node, one)).collect() }
}

fn nat(node: &NodePlan, nat: &NatPlan) -> LabNat {
    let outside = node.interfaces.iter().find(|one| one.name == nat.outside);
    let own = outside.into_iter().flat_map(|one| &one.addresses).map(|one| one.address());
    let is_fixed = |address: &IpAddr| {
        nat.one_to_one.iter().any(|(external, _)| IpAddr::V4(*external) == *address)
    };
    let pool = nat.pool.iter().copied().map(IpAddr::V4);
    let forward = |one: &PortForwardPlan| LabForward {
        protocol: match one.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        },
        port: one.external_port,
        to: SocketAddr::new(one.to.into(), one.port),
    };
    let pair = |(external, inside): &(Ipv4Addr, Ipv4Addr)| {
        let [external, inside] = [external, inside].map(|one| IpAddr::V4(*one));
        LabPair { external, inside }
    };
    let prefix = |(inside, external): &(Subnet, Subnet)| LabPrefix {
        inside: inside.network(),
        external: external.network(),
        length: inside.prefix(),
    };
    LabNat {
        outside: nat.outside.clone(),
        external: pool.chain(own.filter(|one| !is_fixed(one))).collect(),
        one_to_one: nat.one_to_one.iter().map(pair).collect(),
        forwards: nat.forwards.iter().map(forward).collect(),
        is_symmetric: nat.mapping != Mapping::EndpointIndependent,
        is_hairpinning: nat.hairpinning,
        ipv6: match nat.ipv6 {
            Ipv6Nat::Routed => LabIpv6::Routed,
            Ipv6Nat::Masquerade => LabIpv6::Masquerade,
            Ipv6Nat::Blocked => LabIpv6::Blocked,
            Ipv6Nat::Prefix { .. } => LabIpv6::Prefix,
        },
        prefixes: nat.prefixes.iter().map(prefix).collect(),
    }
}
