//! The flight recorder of a network: copies of the errors that the network reports to its own
//! connections, kept by init until the test has ended.
//!
//! An error such as "connection refused" carries no address, and once the socket is closed nothing
//! in the kernel does.

mod parse;
pub(crate) mod trap;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::facts::network::Attempt;
use crate::examine::recorder::trap::Trap;
use crate::sys::fds;
use crate::sys::net::failures;
use crate::sys::net::failures::{Family, Received};

/// Most attempts that are read from one socket.
const MOST: usize = 1000;

/// Sockets of a network, which keep what arrives until it is read. When the buffer of one is full,
/// it keeps what came first.
#[derive(Debug)]
pub(crate) struct Recorder {
    sockets: Vec<(Source, OwnedFd)>,
    trap: Option<Trap>,
}

/// Kind of a socket's packets or messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Resets(Family),
    IcmpErrors(Family),
    Unanswered,
}

impl Source {
    const ALL: [Self; 5] = [
        Self::Resets(Family::V4),
        Self::Resets(Family::V6),
        Self::IcmpErrors(Family::V4),
        Self::IcmpErrors(Family::V6),
        Self::Unanswered,
    ];

    fn open(self) -> io::Result<OwnedFd> {
        match self {
            Self::Resets(family) => failures::resets(family),
            Self::IcmpErrors(family) => failures::icmp_errors(family),
            Self::Unanswered => failures::unanswered(),
        }
    }

    fn attempt(self, received: &Received) -> Option<Attempt> {
        match self {
            Self::Resets(family) => parse::reset(family, received),
            Self::IcmpErrors(family) => parse::icmp_error(family, received),
            Self::Unanswered => parse::unanswered(&received.bytes),
        }
    }
}

impl Recorder {
    /// Starts to record in the network of the calling process. What the kernel refuses is left out:
    /// a family that is switched off, or `sock_diag(7)`.
    ///
    /// # Errors
    ///
    /// If it refuses all.
    pub(crate) fn start() -> io::Result<Self> {
        let (mut sockets, mut refused) = (Vec::new(), None);
        for source in Source::ALL {
            match source.open() {
                Ok(socket) => sockets.push((source, socket)),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(Self { sockets, trap: None }),
        }
    }

    /// Returns the inodes of the sockets, which are not the test's.
    pub(crate) fn inodes(&self) -> impl Iterator<Item = u64> {
        self.sockets.iter().filter_map(|(_, socket)| fds::inode_of(socket.as_fd()).ok())
    }

    /// Returns the descriptors of the recorder and its trap.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let own = self.sockets.iter().map(|(_, socket)| socket);
        own.chain(self.trap.iter().map(Trap::descriptor))
    }

    /// Also records what the trap takes.
    pub(crate) fn with_trap(self, trap: Option<Trap>) -> Self {
        Self { trap, ..self }
    }

    /// Returns what was recorded, by source and then in the order of arrival. Equal attempts are
    /// counted. A later call returns only what came since.
    pub(crate) fn read(&self) -> Vec<Attempt> {
        let mut found: Vec<Attempt> = Vec::new();
        for (source, socket) in &self.sockets {
            for _ in 0..MOST {
                let received = match failures::receive(socket.as_fd()) {
                    Ok(Some(received)) => received,
                    // After a full buffer (ENOBUFS) the rest can be read.
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => continue,
                    _ => break,
                };
                let Some(attempt) = source.attempt(&received) else { continue };
                add(&mut found, attempt);
            }
        }
        self.trap.iter().flat_map(Trap::read).for_each(|attempt| add(&mut found, attempt));
        found
    }
}

/// Adds an attempt, or counts it.
fn add(found: &mut Vec<Attempt>, attempt: Attempt) {
    let is_same = |one: &&mut Attempt| {
        Attempt { count: attempt.count, at: attempt.at, ..(**one).clone() } == attempt
    };
    match found.iter_mut().find(is_same) {
        Some(same) => {
            same.count += 1;
            same.at = attempt.at;
        }
        None => found.push(attempt),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::Duration;

    use super::*;
    use crate::evidence::facts::network::AttemptKind;
    use crate::sys::process::progress;

    /// Only root of the machine may open a raw socket here; users do in the tests of the suite.
    fn recorder() -> Option<Recorder> {
        Recorder::start().ok().filter(|recorder| recorder.sockets.len() == Source::ALL.len())
    }

    fn unused_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_refused_connection_has_its_address() {
        let Some(recorder) = recorder() else { return };
        let to = std::net::SocketAddr::from(([127, 0, 0, 1], unused_port()));
        let is_it = |one: &Attempt| one.kind == AttemptKind::Reset && one.from == Some(to);
        // The kernel begins to note times in the background, and says the time of the reading then.
        let is_timed = (0..1000).any(|_| {
            let before = progress::now();
            TcpStream::connect(to).unwrap_err();
            let after = progress::now();
            std::thread::sleep(Duration::from_millis(1));
            let found = recorder.read();
            let reset = found.iter().find(|one| is_it(one)).unwrap_or_else(|| panic!("{found:?}"));
            let at = reset.at.expect("the time of arrival");
            assert!(before < at + Duration::from_secs(30), "{before:?} {at:?}");
            at <= after
        });
        assert!(is_timed);
    }

    #[test]
    fn a_refused_datagram_has_its_address() {
        let Some(recorder) = recorder() else { return };
        let to = std::net::SocketAddr::from(([127, 0, 0, 1], unused_port()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        socket.connect(to).unwrap();
        socket.send(b"x").unwrap();
        socket.recv(&mut [0]).unwrap_err();
        let found = recorder.read();
        let is_it = |one: &Attempt| {
            one.kind == AttemptKind::IcmpError
                && one.to == Some(to)
                && one.text == "port unreachable"
        };
        assert!(found.iter().any(is_it), "{found:?}");
    }
}
