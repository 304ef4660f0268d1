//! The messages that new processes send to the monitor and to the caller.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use crate::sys::fds;
use crate::sys::launch::refusal::{LENGTH, Refusal};
use crate::sys::process::{Status, signals};

/// Init's ends of the connection with the monitor. The program has them, too, until exec.
pub(crate) struct Up {
    /// Open until the program runs, or a refusal has been written.
    pub(crate) begun: OwnedFd,
    /// The pipe for the program's status.
    pub(crate) ended: OwnedFd,
    /// Readable when the maps have been written.
    pub(crate) go: OwnedFd,
    /// The number of the pipe for the report to the caller; -1 if there is none.
    pub(crate) report: RawFd,
    /// The signals that the program begins with blocked.
    pub(crate) mask: signals::Mask,
    /// Whether it begins with SIGCHLD ignored.
    pub(crate) ignores_children: bool,
    /// The caller's process: init ends when that does, also if the monitor is stopped.
    pub(crate) caller: OwnedFd,
}

/// Sends a refusal to the caller, and returns the error for std to report.
pub(crate) fn send_refusal(report: RawFd, refusal: Refusal, words: &[u8]) -> io::Error {
    if report >= 0 {
        let mut message = [0; 2 * LENGTH + 512];
        let bytes = refusal.encode();
        let all = bytes.iter().chain(words);
        let length = message.iter_mut().zip(all).map(|(place, byte)| *place = *byte).count();
        // SAFETY: the caller keeps the descriptor open while it starts the program, and this
        // process has a copy of it.
        let report = unsafe { BorrowedFd::borrow_raw(report) };
        // If the caller has ended, it needs no report.
        drop(fds::write_once(report, message.get(..length).unwrap_or_default()));
    }
    io::Error::from_raw_os_error(refusal.errno)
}

pub(crate) fn encode(status: Status) -> [u8; 8] {
    let (kind, number): (u32, i32) = match status {
        Status::Exited(number) => (0, number),
        Status::Signaled(number) => (1, number),
    };
    let mut bytes = [0; 8];
    let words = [kind.to_ne_bytes(), number.to_ne_bytes()];
    for (place, byte) in bytes.iter_mut().zip(words.iter().flatten()) {
        *place = *byte;
    }
    bytes
}

pub(crate) fn decode(bytes: [u8; 8]) -> Status {
    let [k0, k1, k2, k3, n0, n1, n2, n3] = bytes;
    let number = i32::from_ne_bytes([n0, n1, n2, n3]);
    match u32::from_ne_bytes([k0, k1, k2, k3]) {
        0 => Status::Exited(number),
        _ => Status::Signaled(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_round_trip() {
        for status in [Status::Exited(0), Status::Exited(255), Status::Signaled(9)] {
            assert_eq!(decode(encode(status)), status);
        }
    }
}
