//! Labs: networks of hosts, each against what the kernel and `ip` say of it, and by packets; what
//! runs on them, what can be waited for.

mod black_holes;
mod blocking;
mod caller_network;
mod caller_process;
mod changes;
mod commands;
mod concurrent_changes;
mod connect_after_heal;
mod debug_texts;
mod early_end;
mod engine_links;
mod error_texts;
mod escapes;
mod extend;
mod extend_declarations;
mod extend_splits;
mod extra_interfaces;
mod invalid_calls;
mod large;
mod leaks;
mod life;
mod limitations;
mod link_local;
mod lookups;
mod mounts;
mod move_link;
mod net;
mod notes;
mod oracle;
mod own_files;
mod panics;
mod partition_groups;
mod partitions;
mod power;
mod program_lifetime;
mod races;
mod refusals;
mod rollback;
mod route_rows;
mod schedules;
mod shapes;
mod snapshot;
mod snapshot_routes;
mod snapshot_ways;
mod threads;
mod waits;

use netns_test::lab::NodeId;
use netns_test::{Lab, Topology};
use netns_test_tests::{again, fails};

/// Runs this ignored test, which must fail; returns its output.
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
