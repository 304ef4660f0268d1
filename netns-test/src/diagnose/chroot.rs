//! Where the root directory of this process is among the mounts. In a chroot the kernel refuses
//! user namespaces.
//!
//! A chroot into a mount point looks from inside as a root does. Processes outside of it, in the
//! same mount namespace, see that mount elsewhere: `mountinfo` of any process may be read.

use std::fs;

use crate::sys::text::field;

/// Most ancestors to look at.
const MOST_ANCESTORS: usize = 64;

/// Place of the root directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Root {
    /// `/proc/self/mountinfo` cannot be read.
    #[default]
    Unknown,
    /// No file system is mounted at `/`, as seen from here: a chroot.
    NoMount,
    /// The mount at `/` is elsewhere for another process: a chroot. With the file that shows it,
    /// and the path there.
    Elsewhere(String, String),
    /// A file system is mounted at `/`.
    Mount,
}

impl Root {
    /// Finds the place by the mounts that this process, its ancestors and process 1 see.
    pub(crate) fn find() -> Self {
        let Ok(own) = fs::read_to_string("/proc/self/mountinfo") else { return Self::Unknown };
        let Some(mount) = mount_at_root(&own) else { return Self::NoMount };
        let others = ancestors().into_iter().chain(["1".to_owned()]);
        let elsewhere = others.into_iter().find_map(|process| {
            let file = format!("/proc/{process}/mountinfo");
            let mounts = fs::read_to_string(&file).ok()?;
            let place = place_of(mount, &mounts).filter(|place| *place != "/")?;
            Some(Self::Elsewhere(file, place.to_owned()))
        });
        elsewhere.unwrap_or(Self::Mount)
    }

    /// Returns the evidence of a chroot, as file and value.
    pub(crate) fn evidence(&self) -> Option<(String, String)> {
        match self {
            Self::Unknown | Self::Mount => None,
            Self::NoMount => {
                Some(("/proc/self/mountinfo".into(), "no file system mounted at /".into()))
            }
            Self::Elsewhere(file, place) => {
                Some((file.clone(), format!("the mount at / of this process is at {place} there")))
            }
        }
    }
}

/// Returns the id of the uppermost mount at `/`.
fn mount_at_root(mounts: &str) -> Option<&str> {
    let mut at_root = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
    at_root.next_back()?.split(' ').next()
}

/// Returns the path at which a mount is.
fn place_of<'a>(id: &str, mounts: &'a str) -> Option<&'a str> {
    mounts.lines().find(|line| line.split(' ').next() == Some(id))?.split(' ').nth(4)
}

/// Lists the ancestors of this process, the nearest first.
fn ancestors() -> Vec<String> {
    let parent = |process: &String| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let parent = field(&status, "PPid:")?;
        (parent != "0").then(|| parent.to_owned())
    };
    let all = std::iter::successors(parent(&"self".to_owned()), parent);
    all.take(MOST_ANCESTORS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chroot_is_known_by_its_mount() {
        let outside = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                       46 27 254:0 / /srv/root rw - ext4 /dev/vda rw\n\
                       47 46 0:21 / /srv/root/proc rw - proc proc rw\n";
        let inside =
            "46 27 254:0 / / rw - ext4 /dev/vda rw\n47 46 0:21 / /proc rw - proc proc rw\n";
        assert_eq!(mount_at_root(inside), Some("46"));
        assert_eq!(place_of("46", outside), Some("/srv/root"));
        assert_eq!(place_of("27", outside), Some("/"));
        assert_eq!(place_of("4", outside), None);
        assert_eq!(mount_at_root("47 46 0:21 / /proc rw - proc proc rw\n"), None);
        // One over another.
        assert_eq!(mount_at_root("1 0 0:1 / / rw\n2 1 0:2 / / rw\n"), Some("2"));
    }
}
