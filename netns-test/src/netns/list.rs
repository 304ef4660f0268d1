//! Every network namespace that can be seen from here, and who holds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::netns::{NetNs, NetNsId};
use crate::sys::{errno, mount};

/// A network namespace, and what holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNetNs {
    /// Which.
    pub id: NetNsId,
    /// Processes and mounts, in that order; at least one.
    pub holders: Vec<Holder>,
}

/// What keeps a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Holder {
    /// A process with a thread in it.
    Process {
        /// Its id, as the caller's `/proc` has it.
        pid: u32,
        /// The name of its main thread, at most 15 bytes (`/proc/PID/comm`).
        name: String,
    },
    /// A file that it is mounted on, as `ip netns add` does.
    Mount(PathBuf),
}

impl NetNs {
    /// Every network namespace that the caller can see, each once, in the order of their ids.
    ///
    /// Seen are those of processes that the caller may look at (its own, for root all) in its
    /// `/proc`, and those mounted in its mount namespace. One that only a descriptor or a socket
    /// holds is not seen.
    ///
    /// # Errors
    ///
    /// ENOENT without a `/proc`.
    pub fn list() -> Result<Vec<ListedNetNs>> {
        let mut found: BTreeMap<NetNsId, Vec<Holder>> = BTreeMap::new();
        for (id, holder) in processes()?.into_iter().chain(mounts()?) {
            let holders = found.entry(id).or_default();
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        let listed = found.into_iter().map(|(id, mut holders)| {
            holders.sort();
            ListedNetNs { id, holders }
        });
        Ok(listed.collect())
    }
}

fn processes() -> Result<Vec<(NetNsId, Holder)>> {
    let proc = "/proc";
    let entries = fs::read_dir(proc).map_err(|error| errno::failure("read", proc, &error))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.flat_map(of_process).collect())
}

/// The namespaces of all threads of a process; none if it has ended or may not be looked at.
fn of_process(pid: u32) -> Vec<(NetNsId, Holder)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let holder = Holder::Process { pid, name: name.trim_end().to_owned() };
    let ids = threads.flatten().filter_map(|thread| id_at(&thread.path().join("ns/net")));
    ids.map(|id| (id, holder.clone())).collect()
}

fn mounts() -> Result<Vec<(NetNsId, Holder)>> {
    let path = "/proc/self/mountinfo";
    let text = fs::read(path).map_err(|error| errno::failure("read", path, &error))?;
    let points = text.split(|&byte| byte == b'\n').filter_map(namespace_mounted_at);
    // Something else may be mounted over it.
    Ok(points.filter_map(|point| Some((id_at(&point)?, Holder::Mount(point)))).collect())
}

/// The mount point of a line of mountinfo (proc(5)) whose root is a network namespace.
fn namespace_mounted_at(line: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut fields = line.split(|&byte| byte == b' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    root.starts_with(b"net:[").then(|| std::ffi::OsString::from_vec(mount::unescaped(point)).into())
}

fn id_at(path: &Path) -> Option<NetNsId> {
    use std::os::unix::fs::MetadataExt as _;
    let data = fs::metadata(path).ok()?;
    Some(NetNsId { device: data.dev(), inode: data.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_of_namespaces_are_found_and_unescaped() {
        let line =
            b"36 35 0:4 net:[4026532281] /run/netns/a\\040b\\134c rw shared:1 - nsfs nsfs rw";
        assert_eq!(namespace_mounted_at(line), Some(PathBuf::from("/run/netns/a b\\c")));
        let line = b"36 35 0:4 mnt:[4026532281] /x rw - nsfs nsfs rw";
        assert_eq!(namespace_mounted_at(line), None);
        assert_eq!(namespace_mounted_at(b""), None);
    }

    #[test]
    fn the_own_namespace_is_listed_with_this_process() {
        let own = NetNs::current().unwrap().id();
        let listed = NetNs::list().unwrap();
        let this = listed.iter().find(|listed| listed.id == own).unwrap();
        let pid = std::process::id();
        let is_this =
            |holder: &Holder| matches!(holder, Holder::Process { pid: p, .. } if *p == pid);
        assert_eq!(this.holders.iter().filter(|holder| is_this(holder)).count(), 1);
    }
}
