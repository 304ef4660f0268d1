//! Reads the networks of a test: sockets, interfaces, routes, neighbours, counters, settings.

use std::os::fd::OwnedFd;

use crate::evidence::facts::Look;
use crate::evidence::facts::network::Network;
use crate::examine::pin::Pin;
use crate::sys::process::Pid;

/// Reads the network of `body`, and those of `pins`.
pub(crate) fn read(_proc: &OwnedFd, _body: Pid, pins: &[Pin], look: &mut Look) {
    for pin in pins {
        let network = Network { node: pin.node.clone(), inode: pin.inode, ..Network::default() };
        look.networks.push(network);
    }
}
