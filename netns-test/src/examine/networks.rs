//! Reads the networks of a test: sockets, interfaces, routes, neighbours, counters, settings.

use crate::evidence::facts::Look;
use crate::evidence::facts::network::Network;
use crate::examine::Sources;
use crate::examine::recorder::Recorder;

/// Reads the network of the body, and those of the nodes.
pub(crate) fn read(sources: &Sources<'_>, look: &mut Look) {
    let own = Network { attempts: sources.own.map(Recorder::read), ..Network::default() };
    look.networks.push(own);
    for pin in sources.pins {
        look.networks.push(Network {
            node: pin.node.clone(),
            inode: pin.inode,
            attempts: pin.recorder.as_ref().map(Recorder::read),
            ..Network::default()
        });
    }
}
