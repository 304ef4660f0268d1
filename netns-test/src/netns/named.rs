//! Named namespaces: each is mounted on a file, as iproute2 does it (`ip-netns(8)`).

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};
use crate::netns::name;
use crate::netns::name::{Name, failed};
use crate::netns::{NetNs, unshare};
use crate::sys::{fds, mount};

/// The directory of iproute2.
const DIRECTORY: &str = "/run/netns";

/// The longest name of a file, in bytes (`NAME_MAX`).
const LONGEST: usize = 255;

/// A network namespace with a name, which is removed when the value is dropped.
///
/// Only the mount and the file that [`create`](Self::create) made are removed. If another process
/// has recreated the name meanwhile, that one stays.
///
/// `ip netns list`, `exec`, `pids`, `identify` and `delete` work on these names, and these
/// functions on the names of `ip netns add`.
///
/// To create one takes root, or a [`netns_test`](crate::netns_test) body, which has a private
/// `/run`.
///
/// ```no_run
/// use netns_test::NamedNetNs;
///
/// let blue = NamedNetNs::create("blue")?; // ip netns add blue
/// blue.netns().loopback_up()?;
/// blue.keep(); // Otherwise the name is removed with the handle.
/// # Ok::<(), netns_test::Error>(())
/// ```
#[must_use = "the name is removed when this is dropped"]
#[derive(Debug)]
pub struct NamedNetNs {
    netns: NetNs,
    name: Name,
}

/// A directory of named namespaces: `/run/netns`, or another one.
///
/// ```no_run
/// use netns_test::NetNsDir;
///
/// let names = NetNsDir::in_directory("/run/my-daemon/netns").replace_stale(true);
/// let green = names.create("green")?;
/// # Ok::<(), netns_test::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetNsDir {
    directory: PathBuf,
    replaces_stale: bool,
}

impl NamedNetNs {
    /// Creates a network namespace of this name in `/run/netns`, see [`NetNsDir::create`].
    ///
    /// # Errors
    ///
    /// As [`NetNsDir::create`].
    pub fn create(name: &str) -> Result<Self> {
        NetNsDir::default().create(name)
    }

    /// Opens the namespace of this name in `/run/netns`, see [`NetNsDir::open`].
    ///
    /// # Errors
    ///
    /// As [`NetNsDir::open`].
    pub fn open(name: &str) -> Result<NetNs> {
        NetNsDir::default().open(name)
    }

    /// Removes a name from `/run/netns`, see [`NetNsDir::remove`].
    ///
    /// # Errors
    ///
    /// As [`NetNsDir::remove`].
    pub fn remove(name: &str) -> Result<()> {
        NetNsDir::default().remove(name)
    }

    /// Lists the names in `/run/netns`, see [`NetNsDir::list`].
    ///
    /// # Errors
    ///
    /// As [`NetNsDir::list`].
    pub fn list() -> Result<Vec<String>> {
        NetNsDir::default().list()
    }

    /// Returns the namespace.
    #[must_use]
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    /// Returns the path of the file that the namespace is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.name.path
    }

    /// Keeps the name in the directory, as `ip netns add` does, and returns the handle.
    #[expect(clippy::must_use_candidate, reason = "often called for its effect")]
    pub fn keep(self) -> NetNs {
        let Self { netns, mut name } = self;
        name.is_kept = true;
        netns
    }
}

impl Default for NetNsDir {
    fn default() -> Self {
        Self::in_directory(DIRECTORY)
    }
}

impl NetNsDir {
    /// Returns another directory than iproute2's. The first [`create`](Self::create) creates it.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), replaces_stale: false }
    }

    /// Sets whether [`create`](Self::create) replaces a stale name: an empty file without a mount,
    /// as a crash leaves it. Default: no; a stale name is an error.
    #[must_use]
    pub fn replace_stale(self, replaces_stale: bool) -> Self {
        Self { replaces_stale, ..self }
    }

    /// Creates a network namespace of this name, which has only `lo`, down.
    ///
    /// The directory is prepared as `ip netns add` does it: it becomes a shared mount, so that
    /// names appear in mount namespaces that exist already. The calling thread is not moved. After
    /// an error no new file, mount or namespace is left, except possibly the directory.
    ///
    /// # Errors
    ///
    /// An invalid name: empty, `.` or `..`, with `/` or a NUL byte, longer than 255 bytes. EEXIST
    /// if the name is taken; the error says by what. EPERM without `CAP_SYS_ADMIN` or without
    /// permission to write to the directory; ENOSPC at the limit `user.max_net_namespaces`.
    pub fn create(&self, name: &str) -> Result<NamedNetNs> {
        let path = self.path_of(name)?;
        let _lock = self.prepare()?;
        // After an error its drop removes the file.
        let mut name = Name::take(path, self.replaces_stale)?;
        let netns = unshare::in_new_namespace(|| {
            name.mount_own_network()?;
            NetNs::current()
        })?;
        Ok(NamedNetNs { netns, name })
    }

    /// Opens the namespace of this name.
    ///
    /// # Errors
    ///
    /// An invalid name, ENOENT if it does not exist, and a file that no network namespace is
    /// mounted on; the error says what it is.
    pub fn open(&self, name: &str) -> Result<NetNs> {
        NetNs::from_path(self.path_of(name)?)
    }

    /// Removes the name, and with it the namespace, unless that has other holders. A stale name,
    /// which is an empty file, is removed, too.
    ///
    /// # Errors
    ///
    /// An invalid name, ENOENT if it does not exist, EPERM or EACCES without permission. Anything
    /// that is neither a network namespace nor an empty file is left unchanged (a file with
    /// content, a directory, a link, another file system); the error says what it is.
    pub fn remove(&self, name: &str) -> Result<()> {
        name::take_away(&self.path_of(name)?)
    }

    /// Lists the names, sorted; none if the directory does not exist. As with `ip netns list`,
    /// stale names are included; [`open`](Self::open) refuses them.
    ///
    /// # Errors
    ///
    /// EACCES without permission to read the directory.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| failed("read", &self.directory, &error))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    fn path_of(&self, name: &str) -> Result<PathBuf> {
        let is_name = !matches!(name, "" | "." | "..")
            && !name.contains(['/', '\0'])
            && name.len() <= LONGEST;
        if is_name {
            return Ok(self.directory.join(name));
        }
        let reason = format!(
            "it is empty, `.` or `..`, has a `/` or a NUL byte, or more than {LONGEST} bytes"
        );
        Err(Failure::new("use", format!("the name {name:?}"), reason).into())
    }

    /// Creates the directory and makes it a shared mount. Holds a lock on it against other
    /// processes that do the same, until the returned file is closed.
    fn prepare(&self) -> Result<fs::File> {
        let directory = &self.directory;
        fs::create_dir_all(directory).map_err(|error| failed("create", directory, &error))?;
        let lock = fs::File::open(directory).map_err(|error| failed("open", directory, &error))?;
        fds::lock(lock.as_fd()).map_err(|error| failed("lock", directory, &error))?;
        let shared = mount::make_shared(directory).or_else(|error| {
            // It is no mount point.
            if error.kind() != io::ErrorKind::InvalidInput {
                return Err(error);
            }
            mount::bind(directory, directory)?;
            mount::make_shared(directory)
        });
        shared.map_err(|error| failed("make a shared mount of", directory, &error))?;
        Ok(lock)
    }
}
