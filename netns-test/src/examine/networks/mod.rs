//! Reads the networks of a test: sockets, interfaces, routes, neighbours, counters, settings.

mod counters;
mod filters;
#[cfg(feature = "lab")]
mod kernel;
mod places;
mod settings;
mod sockets;
mod tables;

use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::evidence::facts::Look;
use crate::evidence::facts::network::Network;
use crate::examine::budget::Budget;
use crate::examine::gaps::{OVER, gap};
use crate::examine::networks::filters::Filters;
use crate::examine::networks::places::Place;
pub(crate) use crate::examine::networks::places::{Seat, threads};
use crate::examine::networks::sockets::Sockets;
use crate::examine::subject::Subject;
use crate::sys::fds;
use crate::sys::lock::lock;

/// Number of networks for which it is worth to start a thread, and most threads.
const WORTH: usize = 8;
const MOST_THREADS: usize = 4;

/// Reads the networks of the subject's nodes and of `seats`: all of the first, then the sockets of
/// the others, then all else. Several threads read, if there are many.
pub(super) fn read(
    subject: &Subject<'_>,
    seats: &[Seat],
    budget: Budget,
    report: &mut (impl FnMut(Look) + Send),
) {
    let start = match own(subject.proc) {
        Ok(start) => start,
        Err(error) => {
            let gaps = vec![gap("the networks: /proc/self/ns/net", &error)];
            return report(Look { gaps, is_cut: true, ..Look::default() });
        }
    };
    let places = places::all(subject, seats, (&start.0, start.1));
    let networks = places.iter().map(Place::empty).collect();
    report(Look { networks, ..Look::default() });
    let places = places::by_rank(&places);
    // Where many networks take all of the time, the one that matters most is known.
    let (most, others) = places.split_at(places.len().min(1));
    read_sockets(subject, most, budget, report);
    read_others(subject, most, budget, report);
    read_sockets(subject, others, budget.part(60), report);
    read_others(subject, others, budget, report);
}

fn read_sockets(
    subject: &Subject<'_>,
    places: &[&Place<'_>],
    budget: Budget,
    report: &mut (impl FnMut(Look) + Send),
) {
    let first = || {
        let mut sockets = Sockets::new(subject.proc);
        move |network: &mut Network| sockets.read(network)
    };
    each(subject, places, ("the sockets", budget), first, report);
}

/// Reads all but the sockets.
fn read_others(
    subject: &Subject<'_>,
    places: &[&Place<'_>],
    budget: Budget,
    report: &mut (impl FnMut(Look) + Send),
) {
    let filters = Filters::new(subject.proc);
    let read = |network: &mut Network| {
        settings::counters(subject.proc, network);
        #[cfg(feature = "lab")]
        kernel::read(network);
        filters.read(network);
        settings::settings(subject.proc, network);
    };
    each(subject, places, ("counters, interfaces and settings", budget), || read, report);
}

/// Enters one network after the other and reports what is found there, on several threads: each
/// calls `reader` for its own way to read a network.
fn each<R: FnMut(&mut Network)>(
    subject: &Subject<'_>,
    places: &[&Place<'_>],
    (what, budget): (&str, Budget),
    reader: impl Fn() -> R + Sync,
    report: &mut (impl FnMut(Look) + Send),
) {
    let (next, report) = (AtomicUsize::new(0), Mutex::new(report));
    let report = |look| (lock(&report))(look);
    let work = || {
        let mut read = reader();
        while !budget.is_over() {
            let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let mut network = place.empty();
            match place.enter(subject.proc) {
                Ok(()) => read(&mut network),
                Err(error) => network.gaps.push(gap("the network cannot be entered", &error)),
            }
            report(Look { networks: vec![network], ..Look::default() });
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MOST_THREADS).min(places.len() / WORTH);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Those that could be started read more.
            drop(std::thread::Builder::new().spawn_scoped(scope, work));
        }
        work();
    });
    let all = places.len();
    let left = all.saturating_sub(next.into_inner());
    if left > 0 {
        let text = format!("{what} of {left} of {all} networks were not read: {OVER}");
        report(Look { gaps: vec![text], is_cut: true, ..Look::default() });
    }
}

/// Opens the network of the calling process.
fn own(proc: &OwnedFd) -> std::io::Result<(OwnedFd, u64)> {
    let network = fds::open_file_in(proc, "self/ns/net")?;
    let inode = fds::inode_of(network.as_fd())?;
    Ok((network, inode))
}
