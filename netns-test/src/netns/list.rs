//! Lists the network namespaces that the caller can see, with their holders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::netns::{NetNs, NetNsId};
use crate::sys::{errno, mount};

/// A network namespace with its holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNetNs {
    /// The namespace.
    pub id: NetNsId,
    /// Its holders, processes before mounts; at least one.
    pub holders: Vec<Holder>,
}

/// A process or mount that keeps a namespace alive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Holder {
    /// A process with a thread in it.
    Process {
        /// The process id in the PID namespace of the caller's `/proc`.
        pid: u32,
        /// The name of its main thread, at most 15 bytes (`/proc/PID/comm`).
        name: String,
    },
    /// The file that the namespace is mounted on, as by `ip netns add`.
    Mount(PathBuf),
}

impl NetNs {
    /// Lists the network namespaces that the caller can see, each once, sorted by id.
    ///
    /// These are the namespaces of processes in `/proc` that the caller may inspect (its own ones;
    /// all for root), and those mounted in its mount namespace. A namespace that only a descriptor
    /// or a socket holds is not listed.
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

/// Lists the namespaces of all threads of a process; none if it has ended or may not be inspected.
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
    // Another file may be mounted over it.
    Ok(points.filter_map(|point| Some((id_at(&point)?, Holder::Mount(point)))).collect())
}

/// Returns the mount point in a line of mountinfo (proc(5)), if a network namespace is mounted
/// there.
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
