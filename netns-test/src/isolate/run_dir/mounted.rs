//! The mounts below the machine's `/run`. File systems in memory, and binds of `/run` itself,
//! belong to the machine's state. Other file systems (a disk, a container's root, FUSE) are only
//! mounted there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::sys::fds::entries::MountId;
use crate::sys::mount;

/// Mounts at and below a directory, in the order in which they were mounted.
#[derive(Debug, Default)]
pub(crate) struct Mounted(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    /// Mount point below the directory; empty for the directory itself.
    path: PathBuf,
    is_read_only: bool,
    is_state: bool,
}

/// Line of mountinfo (proc(5)).
struct Line<'t> {
    id: u64,
    parent: u64,
    device: &'t [u8],
    /// Root of the mount within its file system.
    root: PathBuf,
    point: PathBuf,
    is_read_only: bool,
    is_in_memory: bool,
}

impl Mounted {
    /// Lists the mounts below `directory`, which is in the mount `own`; none without a `/proc`.
    pub(crate) fn below(directory: &Path, own: MountId) -> Self {
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let MountId::Mount(own) = own else { return Self::default() };
        Self::of(&text, directory, own)
    }

    fn of(mountinfo: &[u8], directory: &Path, own: u64) -> Self {
        let lines = mountinfo.split(|&byte| byte == b'\n').filter_map(Line::of);
        let lines: Vec<_> = lines.collect();
        let Some(top) = lines.iter().find(|line| line.id == own) else { return Self::default() };
        let mut found: Vec<Mount> = Vec::new();
        for line in &lines {
            let Ok(path) = line.point.strip_prefix(directory) else { continue };
            // A mount with another parent is hidden below this directory. Parents are listed before
            // children.
            let is_there = |parent| parent == own || found.iter().any(|other| other.id == parent);
            if line.id == own || is_there(line.parent) {
                let (id, path, is_read_only) = (line.id, path.to_owned(), line.is_read_only);
                let is_state = line.is_in_memory || line.is_part_of(top);
                found.push(Mount { id, path, is_read_only, is_state });
            }
        }
        Self(found)
    }

    /// Returns whether a mount belongs to the machine's state; false for an unknown mount.
    pub(crate) fn is_state(&self, id: MountId) -> bool {
        let MountId::Mount(id) = id else { return false };
        self.0.iter().any(|mount| mount.id == id && mount.is_state)
    }

    /// Returns the writable mount points of file systems that do not belong to the machine's state,
    /// and of everything mounted below these.
    pub(crate) fn writable_of_others(&self) -> impl Iterator<Item = &Path> {
        self.writable(|mount| self.is_of_others(mount))
    }

    /// Returns the other writable mount points, the directory itself first.
    pub(crate) fn writable_of_machine(&self) -> impl Iterator<Item = &Path> {
        let below = self.writable(|mount| !self.is_of_others(mount) && !mount.is_top());
        std::iter::once(Path::new("")).chain(below)
    }

    fn writable<'a>(
        &'a self,
        is_wanted: impl Fn(&Mount) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Path> {
        let wanted = self.0.iter().filter(move |mount| !mount.is_read_only && is_wanted(mount));
        wanted.map(|mount| mount.path.as_path())
    }

    fn is_of_others(&self, mount: &Mount) -> bool {
        let above = self.0.iter().filter(|other| mount.path.starts_with(&other.path));
        let mut above = above.filter(|other| !other.is_top());
        above.any(|other| !other.is_state)
    }
}

impl Mount {
    fn is_top(&self) -> bool {
        self.path.as_os_str().is_empty()
    }
}

impl<'t> Line<'t> {
    fn of(line: &'t [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let path = |field: &[u8]| PathBuf::from(OsString::from_vec(mount::unescaped(field)));
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let device = fields.next()?;
        let (root, point) = (path(fields.next()?), path(fields.next()?));
        let is_read_only = fields.next()?.split(|&byte| byte == b',').any(|one| one == b"ro");
        // A hyphen ends the optional fields.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        let is_in_memory = matches!(kind, b"tmpfs" | b"ramfs");
        Some(Self { id, parent, device, root, point, is_read_only, is_in_memory })
    }

    /// Returns whether this is a bind mount of a directory on itself, as `ip netns` creates it.
    fn is_part_of(&self, top: &Self) -> bool {
        let below = self.point.strip_prefix(&top.point);
        self.device == top.device && below.is_ok_and(|below| top.root.join(below) == self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /run rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,mode=755
31 30 0:26 / /run/lock rw,nosuid shared:3 master:1 - tmpfs tmpfs rw
32 30 0:27 / /run/credentials ro - ramfs none rw
33 30 8:2 / /run/media/a\\040disk rw - ext4 /dev/sdb1 rw
34 33 0:28 / /run/media/a\\040disk/tmp rw - tmpfs tmpfs rw
35 30 8:3 / /run/cdrom ro - iso9660 /dev/sr0 ro
36 22 0:29 / /running rw - tmpfs tmpfs rw
29 22 0:24 / /run rw - tmpfs covered rw
37 29 0:30 / /run/covered rw - ext4 covered rw
";

    #[test]
    fn mounts_are_classified() {
        let mounted = Mounted::of(TEXT.as_bytes(), Path::new("/run"), 30);
        let ids: Vec<_> = mounted.0.iter().map(|mount| mount.id).collect();
        assert_eq!(ids, [30, 31, 32, 33, 34, 35]);
        let others: Vec<_> = mounted.writable_of_others().collect();
        assert_eq!(others, [Path::new("media/a disk"), Path::new("media/a disk/tmp")]);
        let machine: Vec<_> = mounted.writable_of_machine().collect();
        assert_eq!(machine, [Path::new(""), Path::new("lock")]);
        assert!(mounted.is_state(MountId::Mount(31)));
        assert!(!mounted.is_state(MountId::Mount(33)));
        assert!(!mounted.is_state(MountId::Device(0, 26)));
    }

    /// In a container `/run` is part of the root's file system.
    #[test]
    fn a_directory_that_is_no_mount_is_the_machines() {
        let text = "\
22 1 0:9 / / rw - overlay overlay rw
30 22 8:1 /x /run/x rw - ext4 d rw
31 22 0:9 /run/netns /run/netns rw shared:1 - overlay overlay rw
32 22 0:9 /home/x /run/y rw - overlay overlay rw
";
        let mounted = Mounted::of(text.as_bytes(), Path::new("/run"), 22);
        let machine: Vec<_> = mounted.writable_of_machine().collect();
        assert_eq!(machine, [Path::new(""), Path::new("netns")]);
        let others: Vec<_> = mounted.writable_of_others().collect();
        assert_eq!(others, [Path::new("x"), Path::new("y")]);
    }
}
