//! A netfilter socket: batches of changes, which are carried out as a whole, lists and requests.

use std::os::fd::OwnedFd;

use crate::error::Failure;
use crate::sys::errno;
use crate::sys::net::netlink;

/// `NETLINK_NETFILTER`
const NETFILTER: i32 = 12;

/// A netfilter socket of the network that it was opened in, which any thread can use.
#[derive(Debug)]
pub(crate) struct Nft {
    socket: OwnedFd,
    /// Number of the last message.
    number: u32,
}

impl Nft {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, Failure> {
        let socket = netlink::open(NETFILTER);
        let socket =
            socket.map_err(|error| errno::failure("open", "a netfilter socket", &error))?;
        Ok(Self { socket, number: 0 })
    }
}
