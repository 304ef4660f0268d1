//! The thread of an engine: it sleeps until a frame arrives, a frame is due, or it is woken.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::panic_text;
use crate::lab::impair::engine::shared::Shared;
use crate::lab::impair::engine::turn::{Turn, turn};
use crate::sys::errno;
use crate::sys::fds;
use crate::sys::net::packet::PacketSockets;
use crate::sys::net::packet::rings::Rings;
use crate::sys::timer::Timer;

/// Passes frames on until the engine is stopped.
pub(crate) fn run(shared: &Arc<Shared>, rings: Rings, timer: &Timer) {
    let _ = shared.thread.set(thread::current().id());
    let outcome = catch_unwind(AssertUnwindSafe(|| pass_frames(shared, rings, timer)));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => errno::describe(&error),
        Err(panic) => {
            format!("it panicked: {}", panic_text(&*panic).unwrap_or("without a message"))
        }
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
