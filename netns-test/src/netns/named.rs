//! Namespaces with a name: a file that one is mounted on, as iproute2 keeps them (`ip-netns(8)`).

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::{NetNs, enter};
use crate::error::{Error, Failure, Result};
use crate::sys::nsfs::{self, Kind};
use crate::sys::{errno, fds, mount};

/// The directory of iproute2.
const DIRECTORY: &str = "/run/netns";

/// The longest name of a file, in bytes (`NAME_MAX`).
const LONGEST: usize = 255;

/// A network namespace with a name, which is taken away when this is dropped.
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
pub struct Names {
    directory: PathBuf,
    replaces_stale: bool,
}

/// A file that a namespace is mounted on, taken away when this is dropped.
#[derive(Debug)]
struct Name {
    path: PathBuf,
    is_kept: bool,
}

impl NamedNetNs {
    /// Makes a network namespace of this name in `/run/netns`, see [`Names::create`].
    ///
    /// # Errors
    ///
    /// Those of [`Names::create`].
    pub fn create(name: &str) -> Result<Self> {
        Names::default().create(name)
    }

    /// The namespace of this name in `/run/netns`, see [`Names::open`].
    ///
    /// # Errors
    ///
    /// Those of [`Names::open`].
    pub fn open(name: &str) -> Result<NetNs> {
        Names::default().open(name)
    }

    /// Takes a name in `/run/netns` away, see [`Names::remove`].
    ///
    /// # Errors
    ///
    /// Those of [`Names::remove`].
    pub fn remove(name: &str) -> Result<()> {
        Names::default().remove(name)
    }

    /// The names in `/run/netns`, see [`Names::list`].
    ///
    /// # Errors
    ///
    /// Those of [`Names::list`].
    pub fn list() -> Result<Vec<String>> {
        Names::default().list()
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

impl Default for Names {
    fn default() -> Self {
        Self::in_directory(DIRECTORY)
    }
}

impl Names {
    /// Names in another directory than iproute2's, which is made when it is needed.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), replaces_stale: false }
    }

    /// Whether [`create`](Self::create) takes the place of a file with no namespace mounted on it,
    /// as a crash leaves. Default: no, it is an error that says what it is.
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
        let name = self.take(path)?;
        let netns = enter::in_new_namespace(|| {
            let mounted = mount::bind(Path::new("/proc/thread-self/ns/net"), &name.path);
            mounted.map_err(|error| failed("mount a namespace on", &name.path, &error))?;
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
    /// file is taken away as well.
    ///
    /// # Errors
    ///
    /// A name that cannot be one, ENOENT for one that is not there, EPERM or EACCES without the
    /// right to.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path_of(name)?;
        let mut name = Name { path, is_kept: true };
        name.take_away().map_err(|error| failed("take away", &name.path, &error))
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

    /// The file, which was not there before.
    fn take(&self, path: PathBuf) -> Result<Name> {
        let made = create_new(&path).or_else(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists
                && self.replaces_stale
                && !is_mounted_on(&path)
            {
                fs::remove_file(&path)?;
                return create_new(&path);
            }
            Err(error)
        });
        match made {
            Ok(()) => Ok(Name { path, is_kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = if is_mounted_on(&path) {
                    "a namespace of that name is there"
                } else {
                    "a file is there, but no namespace is mounted on it: a crash may have left \
                     it (`replace_stale` takes its place)"
                };
                let failure = errno::failure("create", path.display().to_string(), &error);
                Err(failure.advise(found).into())
            }
            Err(error) => Err(failed("create", &path, &error)),
        }
    }
}

/// As iproute2 makes it: a file that nobody may read or write.
fn create_new(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(path).map(drop)
}

fn is_mounted_on(path: &Path) -> bool {
    let kind = nsfs::open(path).and_then(|fd| nsfs::kind(&fd));
    matches!(kind, Ok(Kind::Namespace(_) | Kind::OtherNamespace))
}

fn failed(step: &str, path: &Path, error: &io::Error) -> Error {
    errno::failure(step, path.display().to_string(), error).into()
}

impl Name {
    fn take_away(&mut self) -> io::Result<()> {
        match mount::detach(&self.path) {
            // Nothing is mounted there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            other => other?,
        }
        fs::remove_file(&self.path)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.is_kept {
            // Somebody else may have done it; there is nobody to tell of any other error.
            drop(self.take_away());
        }
    }
}
