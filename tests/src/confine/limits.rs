//! What is used up, or not allowed at all: namespaces, processes, descriptors.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::steps::{Maps, Resource, Step};
use super::{Confinement, c_string};

impl Confinement {
    /// At most `limit` namespaces of `kind` (`user`, `net`, …), by the sysctl of a user
    /// namespace around the program.
    #[must_use]
    pub fn namespace_limit(self, kind: &str, limit: u32) -> Self {
        let path = format!("/proc/sys/user/max_{kind}_namespaces");
        self.own_user_namespace(0).write(&path, &limit.to_string())
    }

    /// As `bwrap --disable-userns` does: one user namespace is allowed, and the program is
    /// in that. Its own sysctl knows nothing of it.
    #[must_use]
    pub fn last_user_namespace(self) -> Self {
        self.namespace_limit("user", 1).own_user_namespace(0)
    }

    /// User namespaces in user namespaces, as deep as the kernel makes them.
    #[must_use]
    pub fn deepest_user_namespace(self) -> Self {
        let own = (self.uid, self.gid);
        self.then(Step::AllUserNamespaces(Maps::new(own, own)))
    }

    /// A user namespace that has a number neither for the user nor for its group.
    #[must_use]
    pub fn unmapped(self) -> Self {
        self.then(Step::Namespaces(libc::CLONE_NEWUSER))
    }

    /// A user namespace that has a number for the user, and none for its group.
    #[must_use]
    pub fn unmapped_group(self) -> Self {
        let own = (self.uid, self.gid);
        self.unmapped().then(Step::Maps(Maps::new(own, own).without_group()))
    }

    /// No more than `limit` processes of the user.
    #[must_use]
    pub fn processes(self, limit: u32) -> Self {
        self.then(Step::Limit(Resource::Processes, limit.into()))
    }

    /// In the control group.
    #[must_use]
    pub fn member_of(self, group: &ControlGroup) -> Self {
        let members = group.path.join("cgroup.procs");
        // Stands for the process that writes it.
        self.then(Step::Write(c_string(members), c_string("0")))
    }

    /// No more than `limit` descriptors.
    #[must_use]
    pub fn open_files(self, limit: u32) -> Self {
        self.then(Step::Limit(Resource::OpenFiles, limit.into()))
    }

    /// A sysctl `name` (with slashes) that this kernel need not have, and its value, as the
    /// only one in its directory. Nothing but reading it works.
    #[must_use]
    pub fn pretended_sysctl(self, name: &str, value: &str) -> Self {
        let path = format!("/proc/sys/{name}");
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
        self.mounts().tmpfs(directory).write(&path, value)
    }
}

/// A control group of its own, which goes with the value.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
    is_of_version_2: bool,
}

/// Of control groups (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// With a tree for each controller.
    One = 1,
    /// With one tree.
    Two = 2,
}

impl ControlGroup {
    /// A group for at most `limit` processes; an error where this process may make none, or
    /// where nobody counts processes. By version 2 of control groups, or by version 1.
    ///
    /// # Errors
    ///
    /// The last of what the kernel said.
    pub fn with_processes(name: &str, limit: u32) -> io::Result<Self> {
        let name = format!("netns-test-{}-{name}", std::process::id());
        let make = |place: &str, is_of_version_2| {
            let path = Path::new(place).join(&name);
            fs::create_dir(&path)?;
            let group = Self { path, is_of_version_2 };
            // Nothing but a control group has this file already.
            let mut file = fs::File::options().write(true).open(group.path.join("pids.max"))?;
            file.write_all(limit.to_string().as_bytes())?;
            Ok(group)
        };
        make("/sys/fs/cgroup", true).or_else(|_: io::Error| make("/sys/fs/cgroup/pids", false))
    }

    /// A group in this one, for at most `limit` processes.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn inner(&self, name: &str, limit: u32) -> io::Result<Self> {
        if self.is_of_version_2 {
            fs::write(self.path.join("cgroup.subtree_control"), "+pids")?;
        }
        let path = self.path.join(name);
        fs::create_dir(&path)?;
        let group = Self { path, is_of_version_2: self.is_of_version_2 };
        fs::write(group.path.join("pids.max"), limit.to_string())?;
        Ok(group)
    }

    /// A group of that very name and without limits: below this process's own group, which a user
    /// may have been given, or at the top, where root may make it.
    ///
    /// # Errors
    ///
    /// The last of what the kernel said; ENOENT where it has no groups of that version.
    pub fn named(name: &str, version: Version) -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| {
            let (_, after) = line.split_once(':')?;
            let (controllers, path) = after.split_once(':')?;
            let is_it = match version {
                Version::One => controllers.split(',').any(|controller| controller == "pids"),
                Version::Two => controllers.is_empty(),
            };
            is_it.then(|| path.trim_start_matches('/'))
        });
        let own = own.ok_or(io::ErrorKind::NotFound)?;
        let trees: &[&str] = match version {
            Version::One => &["/sys/fs/cgroup/pids"],
            Version::Two => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
        };
        let mut result = Err(io::ErrorKind::NotFound.into());
        for (tree, parent) in trees.iter().flat_map(|tree| [(tree, own), (tree, "")]) {
            let parent = Path::new(tree).join(parent);
            // Every group has the first file, and those of version 1 have the second.
            let is_group = parent.join("cgroup.procs").exists();
            let is_of_version_2 = !parent.join("tasks").exists();
            if result.is_err() && is_group && is_of_version_2 == (version == Version::Two) {
                let path = parent.join(name);
                result = fs::create_dir(&path).map(|()| Self { path, is_of_version_2 });
            }
        }
        result
    }

    /// Returns whether the kernel shows it as a group of version 2.
    #[must_use]
    pub fn is_of_version_2(&self) -> bool {
        self.is_of_version_2
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Its processes may still be on their way out.
        while fs::remove_dir(&self.path)
            .is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
        {
            std::thread::yield_now();
        }
    }
}
