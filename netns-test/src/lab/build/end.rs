//! The set-up of an end of a link on its node. Every way in which an end gets to a node uses it:
//! build, `extend`, `power_on` and `move_link`.
//!
//! The kernel resets part of an interface that moves to another network namespace: it is down there,
//! is no port of a bridge, and has the default root qdisc. So a property of an end is set here, not
//! where the veth pair is created.

use crate::error::{Failure, Result};
use crate::lab::build::sysctls;
use crate::lab::fabric::node::Made;
use crate::lab::fabric::on_thread;
use crate::lab::plan::NodePlan;
use crate::lab::topology::NodeKind;
use crate::netlink;
use crate::netlink::Request;

/// An end of a link that is in the network of its node, and what it is to become there.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    /// The name of the end in errors: `eth0 of server`.
    pub(crate) label: String,
    pub(crate) index: u32,
    /// The index of the bridge that it becomes a port of, on a switch.
    pub(crate) bridge: Option<u32>,
    pub(crate) is_up: bool,
}

impl LinkEnd {
    /// Returns the request that sets the end up. The sysctls of [`prepare`] come before it.
    pub(crate) fn request(self) -> Request {
        netlink::link::set_up(self.label, self.index, self.is_up, self.bridge)
    }

    /// Sets up an end, called `name`, that has come to a node.
    pub(crate) fn set_up(self, node: &NodePlan, made: &Made, name: &str) -> Result<()> {
        if node.kind == NodeKind::Local {
            on_thread::within(&made.place, &node.name, || prepare(node, [name].into_iter()))?;
        }
        Ok(made.netlink.ask_all(&[self.request()])?)
    }
}

/// Writes the sysctls of ends that other nodes have for all interfaces, and the caller's own network
/// for those of the lab alone. The calling thread is in that network, and the ends are down.
pub(crate) fn prepare(
    node: &NodePlan,
    mut names: impl Iterator<Item = impl AsRef<str>>,
) -> Result<(), Failure> {
    names.try_for_each(|name| sysctls::write_common(node, Some(name.as_ref())).map(drop))
}
