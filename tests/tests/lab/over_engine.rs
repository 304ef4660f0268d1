//! The tests of all that touches links, once more over links that can be impaired:
//! [`topology`](crate::net::topology) makes the difference.

#[path = "caller_network.rs"]
mod caller_network;
#[path = "changes.rs"]
mod changes;
#[path = "concurrent_changes.rs"]
mod concurrent_changes;
#[path = "connect_after_heal.rs"]
mod connect_after_heal;
#[path = "extend.rs"]
mod extend;
#[path = "extend_splits.rs"]
mod extend_splits;
#[path = "extra_interfaces.rs"]
mod extra_interfaces;
#[path = "link_local.rs"]
mod link_local;
#[path = "move_link.rs"]
mod move_link;
#[path = "partition_groups.rs"]
mod partition_groups;
#[path = "partitions.rs"]
mod partitions;
#[path = "power.rs"]
mod power;
#[path = "rollback.rs"]
mod rollback;
#[path = "shapes.rs"]
mod shapes;
#[path = "snapshot.rs"]
mod snapshot;
