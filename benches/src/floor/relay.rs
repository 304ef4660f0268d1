//! The floor of what a relay adds to a round trip: two hosts and a relay are threads, and their
//! links are pairs of sockets. The relay waits for both links, as an engine does, and so is woken
//! twice in a round trip.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Instant;

use crate::floor::calls::check;

/// Returns the times of round trips over a relay or over one pair of sockets, in seconds.
pub(crate) fn round_trips(has_relay: bool, count: usize) -> io::Result<Vec<f64>> {
    let (near, first) = UnixDatagram::pair()?;
    thread::scope(|scope| {
        let far = if has_relay {
            let (second, far) = UnixDatagram::pair()?;
            scope.spawn(move || pass_on([&first, &second]));
            far
        } else {
            first
        };
        scope.spawn(move || {
            let mut buffer = [0; 64];
            while far.recv(&mut buffer).is_ok_and(|length| length > 0) && far.send(&buffer).is_ok()
            {
            }
        });
        let once = |_| {
            let start = Instant::now();
            near.send(&[7; 64])?;
            near.recv(&mut [0; 64])?;
            Ok(start.elapsed().as_secs_f64())
        };
        let times = (0..count).map(once).collect();
        // The others see an empty datagram, or the end of this one.
        drop(near.send(&[]));
        times
    })
}

/// Passes datagrams on until an empty one has passed.
fn pass_on(ends: [&UnixDatagram; 2]) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        let polled = ends.map(AsRawFd::as_raw_fd);
        let mut polled = polled.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array is of this length, and lives through the call.
        check(unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) })?;
        for at in [0, 1].into_iter().filter(|at| polled[*at].revents != 0) {
            let length = ends[at].recv(&mut buffer)?;
            ends[1 - at].send(&buffer[..length])?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
