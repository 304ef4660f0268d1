//! Journal of the changes in the caller's own network. The end of the lab undoes them, as that
//! network outlives the lab.
//!
//! Routes of a lab come before those of the machine to the same destination, which stay. An entry
//! that a lab has to remove is recorded as the kernel showed it, and compared after it has been
//! restored.

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

/// Recorded changes, in their order.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// Requests that remove what the lab has added.
    removals: Vec<Request>,
    /// Routes and addresses that the lab has added.
    own: Vec<Kept>,
    /// State before the lab removed the first entry.
    before: Option<Belongings>,
    /// Entries that the lab has removed.
    taken: Vec<Kept>,
    /// Paths of sysctls, with their old values.
    sysctls: Vec<(String, String)>,
    /// True if the lab has added rules of nftables.
    has_rules: bool,
}

impl Journal {
    /// Records a request for the end. The kernel may refuse it then, since the interfaces of the
    /// lab are deleted first.
    pub(crate) fn ask(&self, request: Request) {
        self.changes().removals.push(request);
    }

    /// Records that the lab has added rules of nftables.
    pub(crate) fn note_rules(&self) {
        self.changes().has_rules = true;
    }

    /// Returns whether it has, once.
    pub(crate) fn take_rules(&self) -> bool {
        std::mem::take(&mut self.changes().has_rules)
    }

    /// Records the old value of a sysctl.
    pub(crate) fn write(&self, path: String, before: String) {
        self.changes().sysctls.push((path, before));
    }

    /// Calls `work`, and records what it removes from the network of `netlink`. Entries that it
    /// adds and that `is_own` accepts are recorded as the lab's.
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
        // The kernel adds the subnet's route with an address, and removes it with the address.
        let comes_with_it = |new: &Kept| has_own_address && new.is_route_of_kernel();
        own.extend(new.into_iter().filter(|new| is_own(new) || comes_with_it(new)));
        // The first removal of an entry counts. A later one would record what the lab has made of
        // it.
        let lost: Vec<_> = unlike(taken, lost).collect();
        if !lost.is_empty() {
            taken.extend(lost);
            changes.before.get_or_insert(before);
        }
        done
    }

    /// Returns whether the lab has added a route or an address.
    pub(crate) fn is_own(&self, kept: &Kept) -> bool {
        self.changes().own.contains(kept)
    }

    /// Undoes all changes in the network of `netlink`, which is at `place`. Goes on after an error,
    /// and returns a sentence for each.
    pub(crate) fn take_back(&self, netlink: &Netlink, place: &Place) -> Vec<String> {
        let all = std::mem::take(&mut *self.changes());
        for request in all.removals.into_iter().rev() {
            // It may be gone with an interface of the lab.
            drop(netlink.ask_all(&[request]));
        }
        let at_first = netlink.belongings().unwrap_or_default();
        for own in all.own.iter().rev().filter(|own| at_first.0.contains(own)) {
            drop(netlink.ask_all(&[own.remove()]));
        }
        let mut failed = write_back(all.sysctls, place);
        // Entries that the kernel has removed with an address of the lab.
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

/// Returns the entries of `all` that resemble no `known` one.
fn unlike(known: &[Kept], all: Vec<Kept>) -> impl Iterator<Item = Kept> {
    all.into_iter().filter(|one| !known.iter().any(|known| known.is_like(one)))
}

/// Writes the oldest values of sysctls in the network at `place`. A write can change other sysctls.
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
        // The first pass writes sysctls that change others, the second one those others. The third
        // one finds all values right.
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

/// Writes a sysctl unless it has the value. Returns a sentence if that fails.
fn set(path: &str, value: &str) -> Option<String> {
    let written = fs::read_to_string(path).and_then(|now| {
        let is_so = now.split_whitespace().eq(value.split_whitespace());
        if is_so { Ok(()) } else { fs::write(path, value) }
    });
    match written {
        // The sysctl of an interface that is gone is gone, too.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Some(format!("write {path}: {}", errno::describe(&error)))
        }
        _ => None,
    }
}
