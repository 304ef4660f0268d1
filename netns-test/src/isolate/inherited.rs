//! The state of the machine that a sandbox copies when it is created.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::isolate::run_dir;
use crate::sys::fds::entries;
use crate::sys::fds::entries::Changed;
use crate::sys::process::credentials;
use crate::sys::process::credentials::MachineNames;

/// Time within which two changes of a directory may have equal timestamps. Before Linux 6.13 a
/// timestamp is that of the last tick of the kernel's clock, which has at least 100 a second.
const TICK: Duration = Duration::from_millis(20);

/// State of the machine that a sandbox copies and does not update later. Not included are mounts,
/// the working directory and the defaults of a new network. Sandboxes with equal values are
/// interchangeable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    names: MachineNames,
    /// Time of the last change of each directory and file from which `/run` is built.
    run: Vec<(PathBuf, Changed)>,
}

impl Copied {
    /// Reads the state that a sandbox would copy now; `None` if it cannot be read.
    pub(crate) fn now() -> Option<Self> {
        Some(Self { names: credentials::machine_names().ok()?, run: run_dir::changes().ok()? })
    }

    /// Returns whether a sandbox that is created now would copy the same state.
    pub(crate) fn is_so_still(&self) -> bool {
        let is_unchanged = |(path, changed): &(PathBuf, Changed)| {
            entries::changed(path).is_ok_and(|now| now == *changed)
        };
        credentials::machine_names().is_ok_and(|names| names == self.names)
            && self.run.iter().all(is_unchanged)
    }

    /// Returns whether the next change will certainly have another timestamp.
    pub(crate) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.run.iter().all(|(_, changed)| is_before(*changed, now))
    }
}

/// Returns whether `changed`, in seconds and nanoseconds, is more than a [`TICK`] before `now`.
fn is_before((seconds, nanoseconds): Changed, now: Duration) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) = (seconds.try_into(), nanoseconds.try_into()) else {
        return false;
    };
    now > Duration::new(seconds, nanoseconds) + TICK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_a_moment_ago_may_change_unseen() {
        let now = Duration::new(7, 15_000_000);
        assert!(is_before((6, 900_000_000), now));
        assert!(!is_before((6, 999_000_000), now));
        assert!(!is_before((8, 0), now));
        let machine = Copied { run: vec![("/run".into(), (1, 0))], ..Copied::now().unwrap() };
        assert!(machine.is_settled());
    }

    #[test]
    fn nothing_changes_by_itself() {
        let before = Copied::now().unwrap();
        assert!(before.is_so_still());
        assert_eq!(before, Copied::now().unwrap());
    }
}
