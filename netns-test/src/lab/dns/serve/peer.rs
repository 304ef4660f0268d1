//! The client of an answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::lab::dns::serve::socket::Bound;

/// Client that gets an answer.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Socket of the sockets, address of the client, and own address.
    Datagram(Arc<Bound>, usize, SocketAddr, IpAddr),
    /// Connection, by its number.
    Connection(u64),
}
