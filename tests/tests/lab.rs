//! Labs: networks of hosts, each against what the kernel and `ip` say of it, and by packets; what runs on
//! them, what can be waited for.

#[path = "lab/at_once.rs"]
mod at_once;
#[path = "lab/changes.rs"]
mod changes;
#[path = "lab/commands.rs"]
mod commands;
#[path = "lab/ends.rs"]
mod ends;
#[path = "lab/extend.rs"]
mod extend;
#[path = "lab/extras.rs"]
mod extras;
#[path = "lab/holes.rs"]
mod holes;
#[path = "lab/leaks.rs"]
mod leaks;
#[path = "lab/limitations.rs"]
mod limitations;
#[path = "lab/link_local.rs"]
mod link_local;
#[path = "lab/mistaken.rs"]
mod mistaken;
#[path = "lab/mounts.rs"]
mod mounts;
#[path = "lab/net.rs"]
mod net;
#[path = "lab/oracle.rs"]
mod oracle;
#[path = "lab/own_network.rs"]
mod own_network;
#[path = "lab/panics.rs"]
mod panics;
#[path = "lab/partitions.rs"]
mod partitions;
#[path = "lab/power.rs"]
mod power;
#[path = "lab/refusals.rs"]
mod refusals;
#[path = "lab/route_rows.rs"]
mod route_rows;
#[path = "lab/shapes.rs"]
mod shapes;
#[path = "lab/snapshot.rs"]
mod snapshot;
#[path = "lab/snapshot_routes.rs"]
mod snapshot_routes;
#[path = "lab/taken_back.rs"]
mod taken_back;
#[path = "lab/waits.rs"]
mod waits;

use netns_test::lab::NodeId;
use netns_test::{Lab, Topology};
use netns_test_tests::{again, fails};

/// What is printed where this ignored test is run, which must fail.
fn must_fail(name: &str) -> String {
    fails(&mut again(&[], &["--exact", name]))
}

/// Two hosts, `client` and `server`, with a cable between them.
fn two_hosts() -> (Lab, NodeId, NodeId) {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    (net.build().unwrap_or_else(|error| panic!("{error}")), client, server)
}
