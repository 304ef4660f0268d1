//! The engine: passes the frames of links through their models.
//!
//! Both ends of such a link are veth pairs whose inner ends lie in one hidden network namespace,
//! the hub. One thread receives the frames of all inner ends from one packet socket (packet(7)),
//! and sends what the models return. It runs in the process that owns the lab.

pub(crate) mod stand_in;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::lab::impair::engine::stand_in::EmulatedLink;
use crate::lab::impair::passage::{Departure, Nanos};

/// Thread and socket that pass the frames of all impaired links of a lab. Drop stops it.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: OwnedFd,
}

/// Engine whose socket is being made, which takes about 15 ms.
#[derive(Debug)]
pub(crate) struct Starting(());

/// Link of an engine, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// A link with the indexes of its inner ends in the hub: what arrives at end 0 leaves at end 1.
#[derive(Debug)]
pub(crate) struct LinkPorts {
    pub(crate) indexes: [u32; 2],
    pub(crate) link: EmulatedLink,
}

impl Engine {
    /// Begins to start an engine in the network namespace `hub`. It needs no interface yet, so this
    /// can be done beside their creation.
    pub(crate) fn begin(_hub: BorrowedFd<'_>) -> Result<Starting> {
        todo!()
    }

    /// Starts an engine in the network namespace `hub`: [`Engine::begin`] and [`Starting::wait`].
    pub(crate) fn start(hub: BorrowedFd<'_>) -> Result<Self> {
        Self::begin(hub)?.wait()
    }

    /// Adds a link. Do so before its inner ends are up: frames from unknown interfaces are ignored.
    pub(crate) fn add(&self, _ports: LinkPorts) -> Result<Slot> {
        todo!()
    }

    /// Sets the index of an inner end that was made anew. One with the same index needs no call.
    pub(crate) fn set_index(&self, _slot: Slot, _end: usize, _index: u32) -> Result<()> {
        todo!()
    }

    /// Changes the model of a link. The change holds for all frames that arrive after the return.
    /// Departures that `change` adds are sent when they are due.
    ///
    /// # Errors
    ///
    /// In a process that was forked from the lab's, and on the engine's thread (in the closure of a
    /// rule), where the call would wait for itself.
    pub(crate) fn with<T>(
        &self,
        _slot: Slot,
        _change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        todo!()
    }

    /// Describes what the engine did to frames that no model asked for, if there is something: then
    /// the network of the test was not the declared one, and the test must fail.
    pub(crate) fn trouble(&self) -> Option<String> {
        todo!()
    }

    /// Returns the packet socket. Its last close waits about 20 ms for all processors, so init
    /// should hold a duplicate.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Stops the thread and closes the socket. Returns the same as [`Engine::trouble`].
    pub(crate) fn stop(self) -> Option<String> {
        todo!()
    }
}

impl Starting {
    /// Waits until the engine passes frames.
    pub(crate) fn wait(self) -> Result<Engine> {
        todo!()
    }
}

/// Returns whether the kernel can pass `UDP_SEGMENT` frames to the engine (Linux 6.2). Where it
/// cannot, turn `tx-udp-segmentation` off at the outer ends: such frames would be lost.
///
/// Of the other segmentation offloads, the engine takes those of TCP (`tx-tcp-segmentation`,
/// `tx-tcp-ecn-segmentation`, `tx-tcp-mangleid-segmentation`, `tx-tcp6-segmentation`) and none of
/// tunnels, SCTP or lists; turn these off at the outer ends, and `tx-checksum-sctp`.
pub(crate) fn takes_udp_segmentation() -> bool {
    todo!()
}
