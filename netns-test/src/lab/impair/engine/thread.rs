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
use crate::sys::net::packet::PacketSockets;
use crate::sys::net::packet::rings::Rings;
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
pub(crate) fn run(shared: &Arc<Shared>, rings: Rings, timer: &Timer) {
    let _ = shared.thread.set(thread::current().id());
    let outcome = catch_unwind(AssertUnwindSafe(|| pass_frames(shared, rings, timer)));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => errno::describe(&error),
        Err(panic) => message_of(&*panic),
    };
    let mut state = shared.lock();
    state.faults.ended.get_or_insert(reason);
    shared.give_way(state);
}

fn pass_frames(shared: &Shared, mut rings: Rings, timer: &Timer) -> io::Result<()> {
    let (mut empty, mut armed, mut idle) = (0, None, Idle::default());
    while !shared.is_stopping.load(Ordering::Acquire) {
        let Turn::Idle(due) = turn(shared, &mut rings, &mut empty) else {
            continue;
        };
        if due != armed {
            timer.set(due)?;
            armed = due;
        }
        let [short, long] = shared.sockets.descriptors();
        let sources = [short, long, timer.descriptor(), shared.wakeup.descriptor()];
        let [has_short, has_long, is_due, is_woken] = fds::wait_for_any(sources.map(Some))?;
        if is_due {
            timer.clear()?;
            armed = None;
        }
        if is_woken {
            shared.wakeup.clear()?;
        }
        if (has_short || has_long) && rings.is_empty() {
            idle.check(&shared.sockets)?;
        } else {
            idle = Idle::default();
        }
    }
    Ok(())
}

/// Time since which a socket is readable while the rings have no frame.
#[derive(Default)]
struct Idle(Option<Instant>);

impl Idle {
    /// Returns an error if a socket is readable for another reason than a frame: it failed, or the
    /// test has closed it. The thread could not sleep. (For a moment it is readable while the
    /// kernel writes a frame.)
    fn check(&mut self, sockets: &PacketSockets) -> io::Result<()> {
        const LIMIT: Duration = Duration::from_secs(10);
        let since = self.0.get_or_insert_with(Instant::now);
        if since.elapsed() > LIMIT {
            return Err(io::Error::other("a socket is readable without a frame"));
        }
        sockets.take_error()
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
