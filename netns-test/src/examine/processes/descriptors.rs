//! The open files of a process.

use std::collections::BTreeSet;

use crate::evidence::facts::process::{Descriptor, Thread};
use crate::examine::gaps::OVER;
use crate::examine::processes::{MOST_OF_ONE, Reading, Target};
use crate::sys::fds::limited;

impl Reading<'_> {
    /// Reads the open files of a process: those that its threads wait for, and the first ones.
    pub(super) fn descriptors(
        &mut self,
        target: &mut Target,
        threads: &[Thread],
    ) -> Vec<Descriptor> {
        let most = self.descriptors.min(MOST_OF_ONE);
        let (names, more) = match limited::first_names_in(&target.place, "fd", most) {
            Ok(names) => names,
            Err(error) => {
                target.refused("fd", &error);
                return Vec::new();
            }
        };
        let calls = threads.iter().filter_map(|thread| thread.call.as_ref());
        let waited = calls.flat_map(|call| call.descriptors.iter().copied()).take(MOST_OF_ONE);
        let listed = names.iter().filter_map(|name| name.parse().ok());
        let numbers: BTreeSet<i32> = listed.chain(waited).collect();
        let mut found = Vec::new();
        for number in &numbers {
            if self.budget.is_over() {
                let (left, pid) = (numbers.len() - found.len(), target.pid);
                self.gaps.push(format!("{left} open files of process {pid} were not read: {OVER}"));
                break;
            }
            found.extend(target.descriptor(*number));
        }
        if more {
            let pid = target.pid;
            self.gaps.push(format!("process {pid} has more open files than were read ({most})"));
        }
        self.descriptors = self.descriptors.saturating_sub(found.len());
        found
    }
}

impl Target {
    /// Reads an open file; none if it is closed.
    fn descriptor(&mut self, number: i32) -> Option<Descriptor> {
        let target = limited::read_link_in(&self.place, &format!("fd/{number}"));
        let target = target.inspect_err(|error| self.refused("fd", error)).ok()?;
        let is_epoll = target == "anon_inode:[eventpoll]";
        let watched = if is_epoll { self.watched(number) } else { Vec::new() };
        Some(Descriptor { number, target, watched })
    }
}
