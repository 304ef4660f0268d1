//! One turn of the thread: frames that are due, and frames that have arrived, are passed on.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use crate::lab::impair::emulated::Sent;
use crate::lab::impair::engine::faults::Faults;
use crate::lab::impair::engine::links::Links;
use crate::lab::impair::engine::schedule::Leaving;
use crate::lab::impair::engine::shared::{Shared, State};
use crate::lab::impair::engine::stamps::Clocks;
use crate::lab::impair::offload::Offload;
use crate::lab::impair::passage::{Arrival, Departure, Nanos};
use crate::sys::errno;
use crate::sys::net::packet::rings::{Received, Rings};
use crate::sys::net::packet::send::{MOST, Outgoing};
use crate::sys::timer;

/// Outcome of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There may be more to do now.
    Again,
    /// All frames are passed on. Nothing is to be done before the time, or before the next frame.
    Idle(Option<Nanos>),
}

/// Most frames that are taken from the rings in a turn: far fewer than they have.
const FRAMES: usize = 32;
/// Most scheduled frames of a turn.
const DUE: usize = 64;

/// How many frames are sent at once. A switch that gets one from a link floods it to other links:
/// before the send returns, there is a copy for each of them in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Frames of a call.
    frames: usize,
    /// Frames in a ring from which on none is sent: first they are taken out.
    backlog: usize,
}

/// Links from which on the copies of a frame are many.
const MANY: usize = 8;

/// Bytes of headers that are more than a frame has. The kernel states as their length whatever part
/// of the frame is contiguous, and would allocate as much again in one piece.
const HEADERS: u16 = 256;

/// Passes frames on. `empty` is the time of the last look at empty rings.
pub(crate) fn turn(shared: &Shared, rings: &mut Rings, empty: &mut Nanos) -> Turn {
    let look = timer::monotonic();
    let mut state = shared.lock();
    let batch = rings.batch(FRAMES);
    let [short, long] = batch.slots();
    let clocks = Clocks::read(timer::realtime, timer::monotonic);
    let now = clocks.monotonic;
    let mut leaving: Vec<Leaving<'_>> = Vec::new();
    let pace = Pace::of(state.links.count(), short.min(long));
    if !batch.is_followed_by(pace.backlog) {
        let due = std::iter::from_fn(|| state.schedule.take(now));
        leaving.extend(due.take(DUE));
    }
    let mut departures = Vec::new();
    for frame in batch.frames() {
        let at = clocks.arrival(frame.stamp, *empty);
        receive(&mut state, frame, at, now, (&mut departures, &mut leaving));
    }
    // What the links have lost is known before the test sees what they have not.
    state.links.show_changed();
    // Stable: frames of one time keep their order.
    leaving.sort_by_key(|leaving| leaving.departure.due);
    let State { links, faults, .. } = &mut *state;
    let mut sent = 0;
    while sent < leaving.len() && !batch.is_followed_by(pace.backlog) {
        let chunk = &leaving[pace.chunk(sent, leaving.len())];
        sent += chunk.len();
        send(shared, chunk, links, faults);
    }
    // The rest makes room in the ring first. It is due, so that later frames wait for it.
    for Leaving { link, departure } in leaving.drain(sent..) {
        state.add(Leaving { link, departure: owned(departure) });
    }
    let (frames, is_drained) = (batch.len(), batch.len() < FRAMES);
    drop(leaving);
    drop(batch);
    state.links.show_changed();
    if is_drained {
        *empty = look;
    }
    if frames + sent > 0 {
        shared.note_turn(&mut state);
    }
    let next = state.schedule.next();
    if state.progress.note(frames, short + long, is_drained) {
        shared.give_way(state);
    }
    match next {
        _ if !is_drained => Turn::Again,
        Some(next) if next <= now => Turn::Again,
        next => Turn::Idle(next),
    }
}

impl Pace {
    /// Returns the pace of an engine with `links`, with which copies of the frames that it sends
    /// itself do not fill a ring of `slots`, as long as one frame's do not. With many links they do
    /// not fill half of it: the rest is for copies that come late, and for what nodes send.
    fn of(links: usize, slots: usize) -> Self {
        let part = if links < MANY { slots } else { slots / 2 };
        let room = part.saturating_sub(FRAMES + links);
        let backlog = room / 2;
        Self { frames: ((room - backlog) / links.max(1)).clamp(1, MOST), backlog }
    }

    /// Returns the next frames to send of `count`.
    fn chunk(self, sent: usize, count: usize) -> Range<usize> {
        sent..count.min(sent + self.frames)
    }
}

/// Takes a frame through its link. What may leave at once is added to `leaving`, the rest to the
/// schedule.
fn receive<'b>(
    state: &mut State,
    frame: Received<'b>,
    at: Nanos,
    now: Nanos,
    (departures, leaving): (&mut Vec<Departure<'b>>, &mut Vec<Leaving<'b>>),
) {
    let Some((number, direction, link)) = state.links.take(frame.interface) else { return };
    let offload = Offload::decode(frame.header).filter(|_| !frame.is_cut);
    let Some(offload) = offload else {
        state.faults.unknown.note(number);
        return;
    };
    let mut offload = if frame.is_tagged { offload.shifted(4) } else { offload };
    if let Some(segmentation) = &mut offload.segmentation {
        segmentation.headers = segmentation.headers.min(HEADERS);
    }
    // The time of a link does not go back, while stamps of two processors may.
    let at = state.clock.max(at);
    state.clock = at;
    link.pass(direction, Arrival { bytes: frame.bytes, offload, at }, departures);
    for departure in departures.drain(..) {
        if state.schedule.lets_pass(departure.due, now) {
            leaving.push(Leaving { link: number, departure });
        } else {
            state.add(Leaving { link: number, departure: owned(departure) });
        }
    }
}

/// Copies the bytes of a departure, so that they can outlive the slot of the ring.
fn owned(departure: Departure<'_>) -> Departure<'static> {
    let Departure { direction, due, bytes, offload, of } = departure;
    Departure { direction, due, bytes: Cow::Owned(bytes.into_owned()), offload, of }
}

/// Sends departures, and reports the outcome to their links.
fn send(shared: &Shared, leaving: &[Leaving<'_>], links: &mut Links, faults: &mut Faults) {
    let ends: [u32; MOST] = std::array::from_fn(|at| {
        let leaving = leaving.get(at);
        leaving.map_or(0, |one| links.far_end(one.link, one.departure.direction))
    });
    let frame = |at: usize| {
        let Departure { bytes, offload, .. } = &leaving[at].departure;
        Outgoing { interface: ends[at], header: offload.encode(), bytes }
    };
    let now = timer::monotonic();
    shared.sockets.send(leaving.len(), frame, |at, outcome| {
        let Leaving { link, departure } = &leaving[at];
        faults.note_late(*link, now.saturating_sub(departure.due));
        let sent = match outcome {
            Ok(()) => Sent::Ok,
            Err(error) => {
                if !is_down(&error) {
                    faults.note_refusal(*link, || errno::describe(&error));
                }
                Sent::Undeliverable
            }
        };
        links.link(*link).sent(departure, now, sent);
    });
}

/// Returns whether the interface is down or gone, as is usual for a node that is off.
fn is_down(error: &io::Error) -> bool {
    let down = [errno::ENETDOWN, errno::ENXIO, errno::ENODEV];
    error.raw_os_error().is_some_and(|code| down.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_one_call_fit_into_the_ring() {
        for (links, slots) in [(1, 240), (7, 240), (20, 240), (24, 288), (200, 1440)] {
            let Pace { frames, backlog } = Pace::of(links, slots);
            assert!((1..=MOST).contains(&frames));
            let part = if links < MANY { slots } else { slots / 2 };
            assert!(FRAMES + backlog + frames * links <= part, "{links}");
        }
        assert_eq!(Pace::of(1, 240).frames, MOST);
        assert_eq!(Pace::of(240, 240), Pace { frames: 1, backlog: 0 });
        assert_eq!(Pace { frames: 3, backlog: 0 }.chunk(2, 4), 2..4);
    }
}
