//! A look or the files of a test on their way from the examiner to init, in parts: those that were
//! reported before the examiner hangs or dies are kept.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::bytes::{Reader, Writer};
use crate::evidence::code::Fact;
use crate::evidence::facts::Look;
use crate::sys::fds;
use crate::sys::fds::Until;
use crate::sys::process::progress;

/// Most bytes of one look.
const MOST: usize = 16 << 20;

/// Writes the parts that `with` reports, and an empty one that says that they are all.
pub(super) fn write<T: Fact>(pipe: BorrowedFd<'_>, with: impl FnOnce(&mut (dyn FnMut(T) + Send))) {
    let send = |part: &[u8]| {
        let mut message = Writer::default();
        message.bytes(part);
        // Without a reader there is nothing to do.
        drop(fds::write_all(pipe, &message.0));
    };
    with(&mut |part: T| send(&part.encoded()));
    send(&[]);
}

/// Joins the parts of a look, and returns whether they are all.
pub(super) fn read(bytes: &[u8]) -> (Look, bool) {
    let (parts, is_whole) = all(bytes);
    let mut found = None;
    parts.into_iter().for_each(|part| join(&mut found, part));
    (found.unwrap_or_default(), is_whole)
}

/// Returns the parts, and whether they are all. The last one may be cut off.
pub(super) fn all<T: Fact>(bytes: &[u8]) -> (Vec<T>, bool) {
    let mut input = Reader(bytes);
    let mut found = Vec::new();
    while let Some(part) = input.bytes() {
        if part.is_empty() {
            return (found, true);
        }
        let Some(part) = T::decoded(part) else { break };
        found.push(part);
    }
    (found, false)
}

/// Adds a part. The first one has time and reason of the look.
pub(super) fn join(found: &mut Option<Look>, part: Look) {
    match found {
        None => *found = Some(part),
        Some(found) => found.join(part),
    }
}

/// Reads up to the end of the pipe, or until that is refused: after the deadline, with `TimedOut`.
pub(super) fn read_until(pipe: &OwnedFd, deadline: Duration) -> (Vec<u8>, std::io::Result<()>) {
    let mut bytes = Vec::new();
    let end = append_until(pipe, deadline, &mut bytes);
    (bytes, end)
}

fn append_until(pipe: &OwnedFd, deadline: Duration, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = deadline.saturating_sub(progress::now());
        let ready = fds::wait(&[Until::Readable(pipe.as_fd())], Some(left))?;
        if !ready[0].readable && !ready[0].hung_up {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        match fds::read_available(pipe, &mut buffer)? {
            Some(0) => return Ok(()),
            Some(count) => bytes.extend_from_slice(&buffer[..count]),
            None => {}
        }
        if bytes.len() > MOST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::evidence::facts::network::{Network, Socket};
    use crate::evidence::facts::process::Process;

    fn part(gap: &str, inode: u64, sockets: usize) -> Look {
        let sockets = vec![Socket::default(); sockets];
        Look {
            gaps: vec![gap.to_owned()],
            networks: vec![Network { inode, sockets, ..Network::default() }],
            ..Look::default()
        }
    }

    #[test]
    fn parts_that_were_reported_are_kept() {
        let (read_end, write_end) = fds::pipe().unwrap();
        let processes = vec![Process { pid: 7, ..Process::default() }];
        write(write_end.as_fd(), |report| {
            report(Look { processes, ..part("a", 1, 0) });
            report(part("b", 2, 1));
            report(part("c", 1, 2));
        });
        drop(write_end);
        let mut bytes = Vec::new();
        std::fs::File::from(read_end).read_to_end(&mut bytes).unwrap();
        let (look, is_whole) = read(&bytes);
        assert!(is_whole);
        assert_eq!((look.processes.len(), look.gaps.concat()), (1, "abc".to_owned()));
        let networks: Vec<_> =
            look.networks.iter().map(|one| (one.inode, one.sockets.len())).collect();
        assert_eq!(networks, [(1, 2), (2, 1)]);
        let mut gaps = Vec::new();
        for length in 0..bytes.len() {
            let (look, is_whole) = read(&bytes[..length]);
            assert!(!is_whole, "{length}");
            gaps.push(look.gaps.concat());
        }
        gaps.dedup();
        assert_eq!(gaps, ["", "a", "ab", "abc"]);
    }
}
