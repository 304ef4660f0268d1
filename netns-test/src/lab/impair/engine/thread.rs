//! The thread of an engine: it sleeps until a frame arrives, a frame is due, or it is woken.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::lab::impair::engine::shared::{NAME, Shared};
use crate::lab::impair::engine::turn::{Turn, turn};
use crate::sys::errno;
use crate::sys::fds;
use crate::sys::net::packet::PacketSocket;
use crate::sys::net::packet::ring::Ring;
use crate::sys::process::signals;
use crate::sys::timer::Timer;

/// Starts a thread that blocks all signals.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // A new thread has the mask of its creator.
    let before = signals::block_all()?;
    let thread = thread::Builder::new().name(NAME.to_owned()).spawn(work);
    signals::set_mask(before)?;
    thread
}

/// Passes frames on until the engine is stopped.
pub(crate) fn run(shared: &Arc<Shared>, ring: Ring, timer: &Timer) {
    let _ = shared.thread.set(thread::current().id());
    let outcome = catch_unwind(AssertUnwindSafe(|| pass_frames(shared, ring, timer)));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => errno::describe(&error),
        Err(panic) => message_of(&*panic),
    };
    let mut state = shared.lock();
    state.faults.ended.get_or_insert(reason);
    shared.give_way(state);
}

fn pass_frames(shared: &Shared, mut ring: Ring, timer: &Timer) -> io::Result<()> {
    let (mut empty, mut armed, mut idle) = (0, None, Idle::default());
    while !shared.is_stopping.load(Ordering::Acquire) {
        let Turn::Idle(due) = turn(shared, &mut ring, &mut empty) else {
            continue;
        };
        if due != armed {
            timer.set(due)?;
            armed = due;
        }
        let sources = [shared.socket.descriptor(), timer.descriptor(), shared.wakeup.descriptor()];
        let [is_readable, is_due, is_woken] = sources.map(Some);
        let [is_readable, is_due, is_woken, _] =
            fds::wait_for_any([is_readable, is_due, is_woken, None])?;
        if is_due {
            timer.clear()?;
            armed = None;
        }
        if is_woken {
            shared.wakeup.clear()?;
        }
        if is_readable && ring.is_empty() {
            idle.check(&shared.socket)?;
        } else {
            idle = Idle::default();
        }
    }
    Ok(())
}

/// Time since which the socket is readable while the ring has no frame.
#[derive(Default)]
struct Idle(Option<Instant>);

impl Idle {
    /// Returns an error if the socket is readable for another reason than a frame: it failed, or
    /// the test has closed it. The thread could not sleep. (For a moment it is readable while the
    /// kernel writes a frame.)
    fn check(&mut self, socket: &PacketSocket) -> io::Result<()> {
        const LIMIT: Duration = Duration::from_secs(10);
        let since = self.0.get_or_insert_with(Instant::now);
        if since.elapsed() > LIMIT {
            return Err(io::Error::other("its socket is readable without a frame"));
        }
        socket.take_error()
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
