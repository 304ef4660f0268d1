//! The treatment of each entry of the machine's `/run`. Pure.

use std::path::{Path, PathBuf};

/// Name of the machine's directory in the sandbox's directory.
pub(crate) const HOST: &str = ".host";

/// Directory in which `ip netns` has its names.
pub(crate) const NAMES: &str = "netns";

/// Directories that are hidden from every sandbox: names of namespaces, and directories of
/// resolvers, whose sockets answer from the machine's network (nscd, nslcd, Avahi, mDNSResponder,
/// Samba's winbind, systemd-resolved, systemd-machined).
pub(crate) const COVERED: [&str; 8] = [
    NAMES,
    "nscd",
    "nslcd",
    "avahi-daemon",
    "mdnsd",
    "samba/winbindd",
    "systemd/resolve",
    "systemd/machine",
];

/// Large directories of system managers, which no other program needs. Each becomes one link, and
/// so is read-only.
const MANAGED: [&str; 2] = ["systemd", "udev"];

/// Size of the largest file that is copied, in bytes.
pub(crate) const LARGEST_COPY: usize = 64 << 10;

/// Highest number of entries of one copied directory, and of all of them together. A larger
/// directory becomes one link.
pub(crate) const MOST_IN_ONE: usize = 1000;
pub(crate) const MOST: usize = 4000;

/// Highest number of levels of directories that are copied.
pub(crate) const DEEPEST: usize = 16;

/// Treatment of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// The entry is left out.
    Absent,
    /// The directory is copied with its files, but without sockets and subdirectories.
    FilesAlone,
    /// The entry is a link to the machine's.
    Linked,
    /// The entry is copied.
    Own,
}

/// Decides the treatment by the path below `/run`.
pub(crate) fn treatment(path: &Path) -> Treatment {
    // Compares bytes: a comparison of paths would parse both, for each of many entries.
    let is = |name: &&str| path.as_os_str() == *name;
    if [HOST, NAMES].iter().any(is) {
        Treatment::Absent
    } else if COVERED.iter().any(is) {
        Treatment::FilesAlone
    } else if MANAGED.iter().any(is) || is_of_user_manager(path) {
        Treatment::Linked
    } else {
        Treatment::Own
    }
}

/// Returns whether `path` is `user/UID/systemd`, the directory of a user's service manager.
fn is_of_user_manager(path: &Path) -> bool {
    let mut parts = path.iter();
    parts.next().is_some_and(|first| first == "user")
        && parts.nth(1).is_some_and(|third| third == MANAGED[0])
        && parts.next().is_none()
}

/// Returns the relative target of the link at `path`.
pub(crate) fn link_to_host(path: &Path) -> PathBuf {
    let above = path.iter().skip(1).map(|_| "..");
    above.chain([HOST]).collect::<PathBuf>().join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_decide() {
        let treated = |path: &str| treatment(Path::new(path));
        assert_eq!(treated(".host"), Treatment::Absent);
        assert_eq!(treated("netns"), Treatment::Absent);
        assert_eq!(treated("nscd"), Treatment::FilesAlone);
        assert_eq!(treated("samba/winbindd"), Treatment::FilesAlone);
        assert_eq!(treated("systemd"), Treatment::Linked);
        assert_eq!(treated("user/1000/systemd"), Treatment::Linked);
        for own in ["user", "user/1000", "user/1000/bus", "user/1/systemd/x", "a/netns", "samba"] {
            assert_eq!(treated(own), Treatment::Own, "{own}");
        }
    }

    #[test]
    fn links_lead_from_their_own_directory() {
        assert_eq!(link_to_host(Path::new("a")), Path::new(".host/a"));
        assert_eq!(link_to_host(Path::new("a/b/c")), Path::new("../../.host/a/b/c"));
    }
}
