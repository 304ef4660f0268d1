//! What is changed in the caller's own network, and how it is taken back when the lab ends: all else of a
//! lab goes with its namespaces.
//!
//! Routes of a lab come before those of the machine to the same destination, which stay. What a lab has
//! to take is kept as the kernel has shown it before, and compared when it has been put back.

use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard};

use crate::error::Failure;
use crate::lab::fabric::on_thread;
use crate::lab::fabric::own_network::give_back;
use crate::netlink::kept::belongings::Belongings;
use crate::netlink::kept::{Class, Kept};
use crate::netlink::{Netlink, Request};
use crate::sys::errno;
use crate::sys::lock::lock;
use crate::sys::ns::ns_set::Place;

/// The changes, in their order.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// Requests that remove what the lab has added.
    removals: Vec<Request>,
    /// Routes and addresses that the lab has added.
    own: Vec<Kept>,
    /// All that there was before the lab took the first thing.
    before: Option<Belongings>,
    /// What the lab has taken.
    taken: Vec<Kept>,
    /// Paths of sysctls with the values of before.
    sysctls: Vec<(String, String)>,
}

impl Journal {
    /// Notes what is to be asked for at the end. It may be refused then: interfaces of the lab are gone
    /// first.
    pub(crate) fn ask(&self, request: Request) {
        self.changes().removals.push(request);
    }

    /// Notes what a sysctl was.
    pub(crate) fn write(&self, path: String, before: String) {
        self.changes().sysctls.push((path, before));
    }

    /// Calls `work`, and notes what the network that `netlink` speaks to lacks afterwards, and what it has
    /// besides and `is_own`: that is the lab's.
    pub(crate) fn around<T, E: From<Failure>>(
        &self,
        netlink: &Netlink,
        is_own: impl Fn(&Kept) -> bool,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let before = netlink.belongings()?;
        let done = work();
        let after = netlink.belongings()?;
        let mut changes = self.changes();
        let Changes { own, taken, .. } = &mut *changes;
        let mut lost = before.without(&after);
        let disordered = before.in_another_order(&after).into_iter();
        lost.extend(disordered.filter(|one| after.0.contains(one)));
        let (lost_own, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|lost| own.contains(lost));
        own.retain(|one| !lost_own.contains(one));
        let new = after.without(&before);
        let has_own_address = new.iter().any(|new| new.class() == Class::Address && is_own(new));
        // With an address comes its subnet's route, and goes with it.
        let comes_with_it = |new: &Kept| has_own_address && new.is_route_of_kernel();
        own.extend(new.into_iter().filter(|new| is_own(new) || comes_with_it(new)));
        // What comes back first counts, and not what the lab has made of it meanwhile.
        let lost: Vec<_> = unlike(taken, lost).collect();
        if !lost.is_empty() {
            taken.extend(lost);
            changes.before.get_or_insert(before);
        }
        done
    }

    /// Whether a route or an address is the lab's.
    pub(crate) fn is_own(&self, kept: &Kept) -> bool {
        self.changes().own.contains(kept)
    }

    /// Takes all back in the network that `netlink` speaks to and which is at `place`. Where something is
    /// refused, the rest goes on; the sentences say what.
    pub(crate) fn take_back(&self, netlink: &Netlink, place: &Place) -> Vec<String> {
        let all = std::mem::take(&mut *self.changes());
        for request in all.removals.into_iter().rev() {
            // It may be gone with an interface.
            drop(netlink.ask_all(&[request]));
        }
        let at_first = netlink.belongings().unwrap_or_default();
        for own in all.own.iter().rev().filter(|own| at_first.0.contains(own)) {
            drop(netlink.ask_all(&[own.remove()]));
        }
        let mut failed = write_back(all.sysctls, place);
        // What has gone with an address of the lab's.
        let there = netlink.belongings().unwrap_or_default();
        let lost = at_first.without(&there).into_iter().filter(|one| !all.own.contains(one));
        let lost: Vec<_> = unlike(&all.taken, lost.collect()).collect();
        let taken: Vec<_> = all.taken.into_iter().chain(lost).collect();
        if !taken.is_empty() {
            let before = all.before.unwrap_or(at_first);
            failed.extend(give_back::give_back(netlink, &before, taken));
        }
        failed
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        lock(&self.0)
    }
}

/// Those that nothing `known` is like.
fn unlike(known: &[Kept], all: Vec<Kept>) -> impl Iterator<Item = Kept> {
    all.into_iter().filter(|one| !known.iter().any(|known| known.is_like(one)))
}

/// Writes the first values of sysctls, in the network that is at `place`. Some write others, too.
fn write_back(values: Vec<(String, String)>, place: &Place) -> Vec<String> {
    let mut first: Vec<(String, String)> = Vec::new();
    for (path, value) in values {
        if !first.iter().any(|(known, _)| *known == path) {
            first.push((path, value));
        }
    }
    if first.is_empty() {
        return Vec::new();
    }
    let write = || {
        // One pass for those that write others, one for these; the last finds all right.
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed = first.iter().rev().filter_map(|(path, value)| set(path, value)).collect();
        }
        failed
    };
    // The thread that drops a lab may be anywhere.
    on_thread::in_place(place, "lab", write).unwrap_or_else(|refused| {
        let failure = refused.of("the caller's network");
        vec![format!("write sysctls: {failure}")]
    })
}

/// Writes a sysctl that has another value; the sentence says why it could not.
fn set(path: &str, value: &str) -> Option<String> {
    let written = fs::read_to_string(path).and_then(|now| {
        let is_so = now.split_whitespace().eq(value.split_whitespace());
        if is_so { Ok(()) } else { fs::write(path, value) }
    });
    match written {
        // Of an interface that is gone.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Some(format!("write {path}: {}", errno::describe(&error)))
        }
        _ => None,
    }
}
