//! Labs: networks of hosts, each against what the kernel and `ip` say of it, and by packets; what runs on
//! them, what can be waited for.

mod at_once;
mod beside;
mod blocking;
mod changes;
mod commands;
mod described;
mod ends;
mod extend;
mod extend_splits;
mod extras;
mod healed;
mod holes;
mod leaks;
mod limitations;
mod link_local;
mod lookups;
mod mistaken;
mod mounts;
mod net;
mod oracle;
mod own_network;
mod panics;
mod partitions;
mod power;
mod refusals;
mod roaming;
mod route_rows;
mod shapes;
mod snapshot;
mod snapshot_routes;
mod taken_back;
mod threads;
mod told;
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
