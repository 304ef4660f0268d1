//! The engine: passes the frames of links through their models.
//!
//! Both ends of such a link are veth pairs whose inner ends lie in one hidden network namespace,
//! the hub. One thread receives the frames of all inner ends from packet sockets (packet(7)), one
//! for short and one for long frames, and sends what the models return. It runs in the process that
//! owns the lab.
//!
//! Segmentation offloads stay on: a frame of 64 KiB passes whole unless its model divides it. The
//! kernel's rings and the engine's copies are the only places where frames wait. A frame that is
//! lost there is counted as a fault ([`Engine::trouble`]).

pub(crate) mod faults;
pub(crate) mod links;
pub(crate) mod schedule;
pub(crate) mod shared;
pub(crate) mod stamps;
pub(crate) mod thread;
pub(crate) mod turn;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Failure, Result};
use crate::lab::impair::emulated::EmulatedLink;
pub(crate) use crate::lab::impair::engine::links::{LinkPorts, Observe, Slot};
use crate::lab::impair::engine::shared::{NAME, Shared};
use crate::lab::impair::passage::{Departure, Nanos};
use crate::sys::errno;
use crate::sys::net::packet::PacketSockets;
use crate::sys::net::packet::rings::Rings;
use crate::sys::ns::nsfs;
use crate::sys::process::{credentials, signals};
use crate::sys::timer::Timer;

/// Thread and socket that pass the frames of all impaired links of a lab. Drop stops it.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Slots of each ring for each link, if that is more than the smallest ring has. When all nodes of
/// a switch come up, each sends some frames, and a copy of one goes to each of the others at once.
const SLOTS_OF_LINK: usize = 12;

/// Engine whose socket is being made, which takes about 15 ms.
#[derive(Debug)]
pub(crate) struct Starting {
    thread: JoinHandle<()>,
    socket: Receiver<Result<Arc<Shared>, Failure>>,
}

impl Engine {
    /// Begins to start an engine in the network namespace `hub`, for about this number of links. It
    /// needs no interface yet, so this can be done beside their creation.
    pub(crate) fn begin(hub: BorrowedFd<'_>, links: usize) -> Result<Starting, Failure> {
        let hub = hub.try_clone_to_owned();
        let hub = hub.map_err(|error| failure("duplicate the descriptor of", &error))?;
        // Without room: who sends knows that the engine was received, or is not wanted any more.
        let (sender, socket) = sync_channel(0);
        let work = move || match open(hub, links) {
            Ok((shared, rings, timer)) => {
                let shared = Arc::new(shared);
                if sender.send(Ok(Arc::clone(&shared))).is_ok() {
                    thread::run(&shared, rings, &timer);
                }
            }
            Err(failure) => drop(sender.send(Err(failure))),
        };
        let thread = signals::spawn_blocking_all(NAME, work)
            .map_err(|error| failure("start a thread in", &error))?;
        Ok(Starting { thread, socket })
    }

    /// Starts an engine in the network namespace `hub`: [`Engine::begin`] and [`Starting::wait`].
    pub(crate) fn start(hub: BorrowedFd<'_>, links: usize) -> Result<Self, Failure> {
        Self::begin(hub, links)?.wait()
    }

    /// Adds a link. Do so before its inner ends are up: frames from unknown interfaces are ignored.
    pub(crate) fn add(&self, ports: LinkPorts) -> Result<Slot> {
        self.shared.change(|state| state.links.add(ports))
    }

    /// Sets the index of an inner end that was made anew. One with the same index needs no call.
    pub(crate) fn set_index(&self, slot: Slot, end: usize, index: u32) -> Result<()> {
        self.shared.change(|state| state.links.set_index(slot, end, index))
    }

    /// Changes or reads the model of a link, after the thread has passed on the frames that came
    /// before the call. The change holds for all frames that come later. Departures that `change`
    /// adds are sent when they are due.
    ///
    /// # Errors
    ///
    /// In a process that was forked from the lab's, and on the engine's thread (in the closure of a
    /// rule), where the call would wait for itself. If the thread does not run for 30 s.
    pub(crate) fn with<T>(
        &self,
        slot: Slot,
        change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        let (mut change, mut result) = (Some(change), None);
        self.with_all(&[slot], |_, link, now, out| {
            result = change.take().map(|change| change(link, now, out));
        })?;
        result.ok_or_else(|| Failure::new("change", "an impaired link", "it is gone").into())
    }

    /// Changes or reads the models of several links at one time: calls `change` with the position
    /// of each in `slots`. Returns the results in the same order.
    ///
    /// # Errors
    ///
    /// As [`Engine::with`].
    pub(crate) fn with_all<T>(
        &self,
        slots: &[Slot],
        change: impl FnMut(usize, &mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<Vec<T>> {
        self.shared.change_links(slots, change)
    }

    /// Describes the faults of the engine, one a line: losses and delays that no model asked for.
    /// With them the network of the test was not the declared one, and the test must fail.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Returns the number of turns in which frames were passed on. First waits for another number
    /// than the known one, if there is one, at most for this time.
    pub(crate) fn turns(&self, wait: Option<(u64, std::time::Duration)>) -> Result<u64> {
        self.shared.turns(wait)
    }

    /// Returns whether the caller is the thread of the engine: the closure of a rule.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.shared.is_own_thread()
    }

    /// Returns the packet sockets. The last close of one waits about 20 ms for all processors, so
    /// init should hold duplicates.
    pub(crate) fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        self.shared.sockets.descriptors().map(|one| one.as_fd())
    }

    /// Stops the thread and closes the socket. Frames that are still delayed are not sent. Returns
    /// the same as [`Engine::trouble`].
    pub(crate) fn stop(mut self) -> Option<String> {
        self.end();
        self.trouble()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !self.shared.is_here() {
            // The thread is another process's, and its handle must not be touched here.
            std::mem::forget(thread);
            return;
        }
        self.shared.is_stopping.store(true, Ordering::Release);
        if self.shared.is_own_thread() {
            // It ends when the closure that has dropped this has returned.
            return;
        }
        match self.shared.wakeup.wake() {
            Ok(()) => drop(thread.join()),
            // The test has closed it, or may not write: the thread may sleep on.
            Err(error) => {
                let reason = format!("it could not be woken: {}", errno::describe(&error));
                drop(self.shared.change(|state| state.faults.ended.get_or_insert(reason).len()));
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

impl Starting {
    /// Waits until the engine passes frames.
    pub(crate) fn wait(self) -> Result<Engine, Failure> {
        match self.socket.recv() {
            Ok(shared) => Ok(Engine { shared: shared?, thread: Some(self.thread) }),
            Err(_) => Err(Failure::new("start", "the engine of impaired links", "it panicked")),
        }
    }
}

/// Opens the socket in the hub. That takes a thread of its own: the thread of the engine stays in
/// the namespaces of the lab's process.
fn open(hub: OwnedFd, links: usize) -> Result<(Shared, Rings, Timer), Failure> {
    let open = move || {
        nsfs::enter_network(&hub).map_err(|error| failure("setns to", &error))?;
        PacketSockets::open(links * SLOTS_OF_LINK).map_err(|error| {
            let failure = failure("open a packet socket in", &error);
            match advice(error.raw_os_error()) {
                Some(advice) => failure.advise(advice),
                None => failure,
            }
        })
    };
    let helper = signals::spawn_blocking_all(NAME, open)
        .map_err(|error| failure("start a thread in", &error))?;
    let opened = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (sockets, rings) = opened?;
    let timer = Timer::new().map_err(|error| failure("make a timer for", &error))?;
    Ok((Shared::new(sockets, rings.slots())?, rings, timer))
}

fn failure(step: &str, error: &io::Error) -> Failure {
    errno::failure(step, "the network of impaired links", error)
}

/// Returns what to do about a packet socket that was refused.
fn advice(errno: Option<i32>) -> Option<&'static str> {
    match errno? {
        errno::EPERM | errno::EACCES => Some(
            "the caller has no CAP_NET_RAW there; the body of a #[netns_test] has it, unless \
             something around it (a container, a seccomp filter) refuses packet sockets",
        ),
        errno::EAFNOSUPPORT | errno::EINVAL => {
            Some("impaired links need a kernel with packet sockets and their rings (CONFIG_PACKET)")
        }
        errno::ENOMEM => Some(
            "the rings need 24 MiB of the kernel's memory, and more from 20 links on; run fewer \
             tests at once (--test-threads), or impair fewer links",
        ),
        _ => None,
    }
}

/// Returns whether the kernel can pass `UDP_SEGMENT` frames to the engine (Linux 6.2). Where it
/// cannot, turn `tx-udp-segmentation` off at the outer ends: such frames would be lost.
///
/// Of the other segmentation offloads, the engine takes those of TCP (`tx-tcp-segmentation`,
/// `tx-tcp-ecn-segmentation`, `tx-tcp-mangleid-segmentation`, `tx-tcp6-segmentation`) and none of
/// tunnels, SCTP or lists; turn these off at the outer ends, and `tx-checksum-sctp`.
pub(crate) fn takes_udp_segmentation() -> bool {
    credentials::kernel_release().is_ok_and(|release| is_at_least(&release, [6, 2]))
}

/// Compares the release of a kernel, such as `6.1.0-13-amd64`, with a version.
fn is_at_least(release: &str, version: [u32; 2]) -> bool {
    let mut numbers = release.split(|one: char| !one.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    [next(), next()] >= version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_socket_has_advice() {
        assert!(advice(Some(errno::EPERM)).is_some_and(|text| text.contains("CAP_NET_RAW")));
        assert_eq!((advice(Some(errno::EAGAIN)), advice(None)), (None, None));
    }

    #[test]
    fn releases_are_compared_by_number() {
        for (release, expected) in [
            ("6.2.0", true),
            ("6.18.44-fc", true),
            ("10.0", true),
            ("6.1.0-13-amd64", false),
            ("5.15.0-1-generic", false),
            ("", false),
        ] {
            assert_eq!(is_at_least(release, [6, 2]), expected, "{release}");
        }
    }
}
