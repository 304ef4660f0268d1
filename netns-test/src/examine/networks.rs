//! Reads the networks of a test: sockets, interfaces, routes, neighbours, counters, settings.

use crate::evidence::facts::Look;
use crate::evidence::facts::network::Network;
use crate::examine::Sources;

/// Reads the network of the body, and those of the nodes.
pub(crate) fn read(sources: &Sources<'_>, look: &mut Look) {
    look.networks.push(Network::default());
    for pin in sources.pins {
        look.networks.push(Network {
            node: pin.node.clone(),
            inode: pin.inode,
            ..Network::default()
        });
    }
}
