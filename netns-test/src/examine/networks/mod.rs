//! Reads the networks of a test: sockets, interfaces, routes, neighbours, counters, settings.

mod counters;
mod filters;
#[cfg(feature = "lab")]
mod kernel;
mod places;
mod settings;
mod sockets;
mod tables;

use std::os::fd::{AsFd as _, OwnedFd};

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

/// Reads the networks of the subject's nodes and of `seats`: the sockets of all, then all else.
pub(super) fn read(
    subject: &Subject<'_>,
    seats: &[Seat],
    budget: Budget,
    report: &mut impl FnMut(Look),
) {
    let start = match own(subject.proc) {
        Ok(start) => start,
        Err(error) => {
            let gaps = vec![gap("the networks: /proc/self/ns/net", &error)];
            return report(Look { gaps, ..Look::default() });
        }
    };
    let places = places::all(subject, seats, (&start.0, start.1));
    let networks = places.iter().map(Place::empty).collect();
    report(Look { networks, ..Look::default() });
    let places = places::by_rank(&places);
    let mut sockets = Sockets::new(subject.proc);
    let first = |network: &mut Network| sockets.read(network);
    each(subject, &places, ("the sockets", budget.part(60)), first, report);
    let filters = Filters::new(subject.proc);
    let second = |network: &mut Network| {
        settings::counters(subject.proc, network);
        #[cfg(feature = "lab")]
        kernel::read(network);
        filters.read(network);
        settings::settings(subject.proc, network);
    };
    each(subject, &places, ("counters, interfaces and settings", budget), second, report);
}

/// Enters one network after the other and reports what `read` has found there.
fn each(
    subject: &Subject<'_>,
    places: &[&Place<'_>],
    (what, budget): (&str, Budget),
    mut read: impl FnMut(&mut Network),
    report: &mut impl FnMut(Look),
) {
    for (at, place) in places.iter().enumerate() {
        if budget.is_over() {
            let (left, all) = (places.len() - at, places.len());
            let text = format!("{what} of {left} of {all} networks were not read: {OVER}");
            return report(Look { gaps: vec![text], ..Look::default() });
        }
        let mut network = place.empty();
        match place.enter(subject.proc) {
            Ok(()) => read(&mut network),
            Err(error) => network.gaps.push(gap("the network cannot be entered", &error)),
        }
        report(Look { networks: vec![network], ..Look::default() });
    }
}

/// Opens the network of the calling process.
fn own(proc: &OwnedFd) -> std::io::Result<(OwnedFd, u64)> {
    let network = fds::open_file_in(proc, "self/ns/net")?;
    let inode = fds::inode_of(network.as_fd())?;
    Ok((network, inode))
}
