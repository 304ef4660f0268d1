//! Frames by which a caller knows that all frames are with the engine that were sent before.
//!
//! A frame that a veth device sends is put into the queue of the processor that sends it (the
//! backlog, `net/core/dev.c`), and the send may return before the kernel takes it out. The loopback
//! device of the hub uses the same queues. So on each processor a frame is sent through it, and
//! when the engine has received these, it has received all that was in the queues before.

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Failure, Kind, Result};
use crate::lab::impair::engine::canary::{LOOPBACK, frame};
use crate::lab::impair::engine::shared::{NAME, Shared};
use crate::sys::net::packet::send::Outgoing;
use crate::sys::process::signals;
use crate::sys::{errno, processors};

/// Time after which the frames are sent again: a queue that is full discards them.
const AGAIN: Duration = Duration::from_millis(500);

/// Limit of the wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const STEP: &str = "wait for";
const OBJECT: &str = "the packets that were sent before";

/// Waits until the engine has received all frames that were in the queues before the call.
pub(crate) fn wait(shared: &Shared, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let number = shared.change(|state| state.canaries.begin())?;
        let sent = send(shared, number);
        let again = deadline.min(Instant::now() + AGAIN);
        let have_come = sent.and_then(|sent| {
            shared.wait_until(Some(again), |state| state.canaries.count(number) >= sent)
        });
        shared.change(|state| state.canaries.end(number))?;
        if have_come? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let why = format!("the kernel has not passed on all frames within {limit:?}");
            return Err(Failure::new(STEP, OBJECT, why).of(Kind::Timeout).into());
        }
    }
}

/// Sends a frame on each processor, from a thread of its own, as this binds it. Returns their
/// number.
fn send(shared: &Shared, number: u64) -> Result<usize, Failure> {
    let bytes = frame(number);
    let on_all = || {
        let mut count = 0;
        processors::on_each(|| {
            count += 1;
            let mut outcome = Ok(());
            let one = |_| Outgoing { interface: LOOPBACK, header: [0; 10], bytes: &bytes };
            shared.sockets.send(1, one, |_, sent| outcome = sent);
            outcome
        })?;
        Ok(count)
    };
    let send = || {
        thread::scope(|scope| {
            let helper = thread::Builder::new().name(NAME.to_owned()).spawn_scoped(scope, on_all);
            helper.map(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    };
    let sent = signals::with_all_blocked(send).and_then(|sent| sent?);
    sent.map_err(|error: io::Error| errno::failure(STEP, OBJECT, &error))
}
