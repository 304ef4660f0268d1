//! What a sandbox takes over of the machine in the moment in which it is made.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::run_dir;
use crate::sys::person::{self, MachineNames};

/// What a sandbox takes over of the machine and does not follow later, apart from its mounts, its
/// working directory, and the defaults of a new network. Where two are equal, so are the sandboxes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    names: MachineNames,
    /// When the names in each directory last changed that `/run` is made from.
    run: Vec<Option<(i64, i64)>>,
}

impl Copied {
    /// By a sandbox that is made now; nothing if that cannot be known.
    pub(crate) fn now() -> Option<Self> {
        let changed = |path| {
            let data = fs::metadata(path).ok()?;
            Some((data.ctime(), data.ctime_nsec()))
        };
        let run = run_dir::sources().map(changed).collect();
        Some(Self { names: person::machine_names().ok()?, run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_by_itself() {
        assert_eq!(Copied::now().unwrap(), Copied::now().unwrap());
    }
}
