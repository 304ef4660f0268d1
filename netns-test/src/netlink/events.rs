//! Notifications that links, addresses, routes or rules of a namespace have changed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

use crate::error::Failure;
use crate::netlink::SOCKET;
use crate::sys::errno;
use crate::sys::fds;
use crate::sys::fds::Until;

/// `RTMGRP_LINK` of linux/rtnetlink.h.
const LINK: u32 = 0x1;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV4_RULE`,
/// `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE` of linux/rtnetlink.h, and `RTNLGRP_IPV6_RULE` as one
/// of these bits.
const GROUPS: u32 = LINK | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18;

/// A socket that receives the notifications of the namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Events(Socket);

impl Events {
    /// Opens the socket in the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::of(GROUPS)
    }

    /// Opens the socket as [`open`](Self::open) does, for changes of links only.
    pub(crate) fn of_links() -> Result<Self, Failure> {
        Self::of(LINK)
    }

    fn of(groups: u32) -> Result<Self, Failure> {
        let failed = |error| errno::failure("open", SOCKET, &error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind(&SocketAddr::new(0, groups)).map_err(failed)?;
        socket.set_non_blocking(true).map_err(failed)?;
        Ok(Self(socket))
    }

    /// Waits until there is a notification, for at most `most`.
    pub(crate) fn wait(&self, most: Duration) -> Result<(), Failure> {
        let failed = |error| errno::failure("wait on", SOCKET, &error);
        fds::wait(&[Until::Readable(self.0.as_fd())], Some(most)).map_err(failed)?;
        self.clear();
        Ok(())
    }

    /// Drops the notifications that have come.
    pub(crate) fn clear(&self) {
        // The caller lists the objects again, so lost notifications do not matter.
        while match self.0.recv_from_full() {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        } {}
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
