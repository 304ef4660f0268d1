//! Namespaces with a name: a file that one is mounted on, as iproute2 keeps them (`ip-netns(8)`).

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

/// A network namespace with a name, which is taken away when this is dropped.
///
/// A name that another process has made anew meanwhile stays: the mount and the file that were made
/// here are taken away, and no others.
///
/// What [`create`](Self::create) makes, `ip netns list`, `exec`, `pids`, `identify` and `delete`
/// handle, and the other way round.
///
/// Making one takes root, or a [`netns_test`](crate::netns_test) body, whose `/run` is its own.
///
/// ```no_run
/// use netns_test::NamedNetNs;
///
/// let blue = NamedNetNs::create("blue")?; // ip netns add blue
/// blue.netns().loopback_up()?;
/// blue.keep(); // Without this the name is gone with the handle.
/// # Ok::<(), netns_test::Error>(())
/// ```
#[must_use = "dropped at once, the name is taken away at once"]
#[derive(Debug)]
pub struct NamedNetNs {
    netns: NetNs,
    name: Name,
}

/// Where names are: `/run/netns`, or another directory.
///
/// ```no_run
/// use netns_test::Names;
///
/// let names = Names::in_directory("/run/my-daemon/netns").replace_stale(true);
/// let green = names.create("green")?;
/// # Ok::<(), netns_test::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetNsDir {
    directory: PathBuf,
    replaces_stale: bool,
}

impl NamedNetNs {
    /// Makes a network namespace of this name in `/run/netns`, see [`NetNsDir::create`].
    ///
    /// # Errors
    ///
    /// Those of [`NetNsDir::create`].
    pub fn create(name: &str) -> Result<Self> {
        NetNsDir::default().create(name)
    }

    /// The namespace of this name in `/run/netns`, see [`NetNsDir::open`].
    ///
    /// # Errors
    ///
    /// Those of [`NetNsDir::open`].
    pub fn open(name: &str) -> Result<NetNs> {
        NetNsDir::default().open(name)
    }

    /// Takes a name in `/run/netns` away, see [`NetNsDir::remove`].
    ///
    /// # Errors
    ///
    /// Those of [`NetNsDir::remove`].
    pub fn remove(name: &str) -> Result<()> {
        NetNsDir::default().remove(name)
    }

    /// The names in `/run/netns`, see [`NetNsDir::list`].
    ///
    /// # Errors
    ///
    /// Those of [`NetNsDir::list`].
    pub fn list() -> Result<Vec<String>> {
        NetNsDir::default().list()
    }

    /// The namespace.
    #[must_use]
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    /// The file that it is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.name.path
    }

    /// Leaves the name where it is, as `ip netns add` does, and gives the handle.
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
    /// Names in another directory than iproute2's, which is made when it is needed.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), replaces_stale: false }
    }

    /// Whether [`create`](Self::create) takes the place of an empty file with no namespace mounted on
    /// it, as a crash leaves. Default: no, it is an error that says what it is.
    #[must_use]
    pub fn replace_stale(self, replaces_stale: bool) -> Self {
        Self { replaces_stale, ..self }
    }

    /// Makes a network namespace of this name. In it there is nothing but `lo`, down.
    ///
    /// The directory is prepared as `ip netns add` does it: it becomes a mount of its own that is
    /// shared, so that names appear in mount namespaces that were made before. The calling thread
    /// is not moved. After an error there is no file, no mount and no namespace that was not there
    /// before (the directory may be).
    ///
    /// # Errors
    ///
    /// A name that cannot be one: empty, `.` or `..`, with `/` or a NUL byte, longer than 255
    /// bytes. EEXIST for one that is taken, with what has taken it. EPERM without `CAP_SYS_ADMIN`
    /// or the right to write to the directory; ENOSPC at the limit `user.max_net_namespaces`.
    pub fn create(&self, name: &str) -> Result<NamedNetNs> {
        let path = self.path_of(name)?;
        let _lock = self.prepare()?;
        // Dropped after an error, it is taken away.
        let mut name = Name::take(path, self.replaces_stale)?;
        let netns = unshare::in_new_namespace(|| {
            name.mount_own_network()?;
            NetNs::current()
        })?;
        Ok(NamedNetNs { netns, name })
    }

    /// The namespace of this name.
    ///
    /// # Errors
    ///
    /// A name that cannot be one, ENOENT for one that is not there, and a file that no network
    /// namespace is mounted on, with what it is.
    pub fn open(&self, name: &str) -> Result<NetNs> {
        NetNs::from_path(self.path_of(name)?)
    }

    /// Takes the name away, and with it the namespace, unless something else holds that. A stale
    /// file, which is empty, is taken away as well.
    ///
    /// # Errors
    ///
    /// A name that cannot be one, ENOENT for one that is not there, EPERM or EACCES without the
    /// right to. Anything but a network namespace or an empty file is refused with what it is, and
    /// left as it is: a file with content, a directory, a link, another file system.
    pub fn remove(&self, name: &str) -> Result<()> {
        name::take_away(&self.path_of(name)?)
    }

    /// The names, sorted; none if the directory is not there. Stale files are among them, as in
    /// `ip netns list`, and [`open`](Self::open) tells them.
    ///
    /// # Errors
    ///
    /// EACCES where the directory may not be read.
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

    /// Makes the directory what names need, and keeps others from doing so at the same time, as
    /// long as the lock is held.
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
