//! Kernel resources that a run may leave behind: processes, namespaces, mounts, threads,
//! descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{eventually, namespaces_of_threads};

/// Resources at one moment, to be compared with those of a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    processes: BTreeSet<PathBuf>,
    namespaces: BTreeSet<PathBuf>,
    mounts: Vec<String>,
    threads: Vec<String>,
    descriptors: Vec<PathBuf>,
}

impl Resources {
    /// Lists the resources of this process, and the network namespaces of all visible processes.
    ///
    /// In a body these are the processes of its test alone.
    ///
    /// # Panics
    ///
    /// Panics if `/proc` cannot be read.
    #[must_use]
    pub fn of_process() -> Self {
        let name = |path: PathBuf| fs::read_to_string(path.join("comm")).unwrap_or_default();
        // One of them is the directory that is read.
        let is_file = |path: &PathBuf| !path.to_string_lossy().starts_with("/proc/");
        let open = list("/proc/self/fd").filter_map(|path| fs::read_link(path).ok());
        let mut namespaces = namespaces_of_threads();
        namespaces.extend(list("/proc").filter_map(|path| network_of(&path)));
        Self {
            processes: list("/proc").filter(|path| is_process(path)).collect(),
            namespaces,
            mounts: mounts(),
            threads: list("/proc/self/task").map(name).collect(),
            descriptors: open.filter(is_file).collect(),
        }
    }

    /// Lists the processes that run this program, their network namespaces, and the mounts.
    ///
    /// Other programs that a run has left are children of a subreaper.
    ///
    /// # Panics
    ///
    /// Panics if `/proc` cannot be read.
    #[must_use]
    pub fn of_program() -> Self {
        let own = fs::read_link("/proc/self/exe").expect("a /proc");
        let is_own = |path: &PathBuf| fs::read_link(path.join("exe")).is_ok_and(|exe| exe == own);
        let processes: BTreeSet<PathBuf> = list("/proc").filter(is_own).collect();
        Self {
            namespaces: processes.iter().filter_map(|path| network_of(path)).collect(),
            processes,
            mounts: mounts(),
            threads: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    /// Returns the names of the threads.
    #[must_use]
    pub fn threads(&self) -> &[String] {
        &self.threads
    }

    /// Returns the network namespaces.
    #[must_use]
    pub fn networks(&self) -> BTreeSet<&Path> {
        let all = self.namespaces.iter().map(PathBuf::as_path);
        all.filter(|link| link.to_string_lossy().starts_with("net:")).collect()
    }

    /// Returns whether no process or network namespace, and no change of the mounts, is new since
    /// `before`.
    #[must_use]
    pub fn is_within(&self, before: &Self) -> bool {
        self.processes.is_subset(&before.processes)
            && self.namespaces.is_subset(&before.namespaces)
            && self.mounts == before.mounts
    }

    /// Waits until `now` returns these resources again.
    ///
    /// The kernel lists a joined thread for a moment longer, and destroys namespaces in a worker
    /// thread.
    ///
    /// # Panics
    ///
    /// Panics if something else is there after `limit`.
    pub fn come_back(&self, limit: Duration, now: fn() -> Self) {
        eventually(limit, "nothing is left", || {
            let seen = now();
            if seen == *self { Ok(()) } else { Err(Box::new((seen, "before:", self))) }
        });
    }
}

fn list(directory: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).expect("a /proc").flatten().map(|entry| entry.path())
}

fn is_process(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

fn network_of(path: &Path) -> Option<PathBuf> {
    is_process(path).then(|| fs::read_link(path.join("ns/net")).ok())?
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("a /proc");
    text.lines().map(str::to_owned).collect()
}
