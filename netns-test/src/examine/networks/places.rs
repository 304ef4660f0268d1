//! The networks of a test, in the order in which they are read.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::evidence::facts::network::Network;
use crate::evidence::facts::process::Process;
use crate::examine::subject::Subject;
use crate::sys::fds;
use crate::sys::ns::nsfs;

/// A thread, and the inode of its network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pid: u32,
    tid: u32,
    inode: u64,
    is_of_body: bool,
}

/// Returns the threads whose networks are known.
pub(crate) fn threads(processes: &[Process]) -> Vec<Seat> {
    let seats = |process: &Process| {
        let (pid, is_of_body) = (process.pid, process.is_body);
        let seat = |(tid, inode)| Seat { pid, tid, inode, is_of_body };
        let threads = process.threads.iter().map(|thread| (thread.tid, thread.network));
        threads.filter(|(_, inode)| *inode != 0).map(seat).collect::<Vec<_>>()
    };
    processes.iter().flat_map(seats).collect()
}

/// A network that can be entered.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) node: String,
    pub(super) inode: u64,
    pub(super) is_own: bool,
    way: Way<'a>,
    /// Smaller is nearer to the failure.
    rank: u32,
}

#[derive(Debug)]
enum Way<'a> {
    Open(&'a OwnedFd),
    /// A file below `/proc`.
    File(String),
}

impl Place<'_> {
    /// Moves the calling thread there. The file may lead to another network by now.
    pub(super) fn enter(&self, proc: &OwnedFd) -> io::Result<()> {
        match &self.way {
            Way::Open(network) => nsfs::enter_network(network),
            Way::File(path) => {
                let network = fds::open_file_in(proc, path)?;
                if fds::inode_of(network.as_fd())? != self.inode {
                    return Err(io::Error::other("its last thread has left it"));
                }
                nsfs::enter_network(network)
            }
        }
    }

    /// Returns the network without any content.
    pub(super) fn empty(&self) -> Network {
        let (node, inode, is_own) = (self.node.clone(), self.inode, self.is_own);
        Network { node, inode, is_own, ..Network::default() }
    }
}

/// Lists the networks: that of the test itself first, then those of nodes, then others. `start` is
/// the one in which the examiner has begun: init's.
pub(super) fn all<'a>(
    subject: &'a Subject<'_>,
    seats: &[Seat],
    (start, start_inode): (&'a OwnedFd, u64),
) -> Vec<Place<'a>> {
    let body = subject.body.unsigned_abs();
    let main = seats.iter().find(|seat| seat.pid == body && seat.tid == body);
    let own = main.map_or(start_inode, |seat| seat.inode);
    let mut ranks = HashMap::from([(own, 1)]);
    for seat in seats {
        let is_first = seat.is_of_body && seat.tid == subject.thread;
        let rank = ranks.entry(seat.inode).or_insert(2);
        *rank = if is_first { 0 } else { *rank };
    }
    let mut found: Vec<Place<'a>> = Vec::new();
    let mut known = HashMap::new();
    let mut add = |inode: u64, node: String, way: Way<'a>| {
        if known.insert(inode, ()).is_none() {
            let rank = ranks.get(&inode).copied().unwrap_or(3);
            found.push(Place { node, inode, is_own: inode == own, way, rank });
        }
    };
    for pin in subject.pins {
        let way = match &pin.network {
            Some(network) => Way::Open(network),
            None => Way::File(pin.path(subject.body)),
        };
        add(pin.inode, pin.node.clone(), way);
    }
    let name = |inode: u64| if inode == own { String::new() } else { format!("net:[{inode}]") };
    if start_inode == own {
        add(own, name(own), Way::Open(start));
    }
    for seat in seats {
        let path = format!("{}/task/{}/ns/net", seat.pid, seat.tid);
        add(seat.inode, name(seat.inode), Way::File(path));
    }
    found.sort_by_key(|place| !place.is_own);
    found
}

/// Returns the places in the order in which they are to be read.
pub(super) fn by_rank<'a, 'b>(places: &'b [Place<'a>]) -> Vec<&'b Place<'a>> {
    let mut sorted: Vec<_> = places.iter().collect();
    sorted.sort_by_key(|place| place.rank);
    sorted
}
