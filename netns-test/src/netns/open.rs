//! Opens existing namespaces: by path, name, process, thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::error::{Error, Failure, Result};
use crate::netns::{NamedNetNs, NetNs, NetNsId};
use crate::sys::ns::nsfs;
use crate::sys::ns::nsfs::Kind;
use crate::sys::process;
use crate::sys::process::Namespace;
use crate::sys::{errno, fds};

impl NetNs {
    /// Opens the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// ENOENT without a `/proc`, EMFILE if the table of descriptors is full.
    pub fn current() -> Result<Self> {
        let own = "/proc/thread-self/ns/net";
        match nsfs::own_network() {
            Ok(fd) => Self::identified(fd, own),
            // For an error that says what the file is, or why it cannot be opened.
            Err(_) => Self::from_path(own),
        }
    }

    /// Opens the namespace at `path`: a link in `/proc/PID/ns`, or a file that a namespace is
    /// mounted on, as `ip netns add` does in `/run/netns`.
    ///
    /// # Errors
    ///
    /// The kernel's errors of open(2), and anything that is not a network namespace; the error says
    /// what it is.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let object = path.display().to_string();
        match nsfs::open(path) {
            Ok(fd) => Self::checked(fd, &object),
            Err(error) => {
                let failure = errno::failure("open", object, &error);
                // A file that may not be read, as one that a crash of `ip netns add` leaves.
                let is_file = std::fs::metadata(path).is_ok_and(|data| data.is_file());
                let note = "it is a file; no network namespace can be seen to be mounted on it";
                Err(if is_file { failure.advise(note) } else { failure }.into())
            }
        }
    }

    /// Opens the namespace of that name in `/run/netns`, as `ip netns add NAME` creates it (see
    /// [`NamedNetNs`]).
    ///
    /// # Errors
    ///
    /// An invalid name, ENOENT if there is none of that name, and those of
    /// [`from_path`](Self::from_path).
    pub fn from_name(name: &str) -> Result<Self> {
        NamedNetNs::open(name)
    }

    /// Opens the namespace of the process `pid`: that of its main thread or, if that has ended, of
    /// the first thread that has not.
    ///
    /// # Errors
    ///
    /// ENOENT if there is no such process, EACCES if the caller may not inspect it (ptrace(2),
    /// "access mode checks").
    pub fn from_pid(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        Self::of_process(pid, &path, |failure| match first_living(pid) {
            Some(thread) => Self::from_thread(pid, thread),
            None if Path::new(&format!("/proc/{pid}")).exists() => {
                let why = format!("process {pid} has ended, and its parent has not waited for it");
                Err(failure.advise(why).into())
            }
            None => Err(failure.advise(format!("there is no process {pid}")).into()),
        })
    }

    /// Opens the namespace of the thread `tid` of the process `pid`.
    ///
    /// # Errors
    ///
    /// As [`from_pid`](Self::from_pid), and ENOENT for a thread that has ended.
    pub fn from_thread(pid: u32, tid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/task/{tid}/ns/net");
        Self::of_process(pid, &path, |failure| {
            // A main thread that has ended is listed until the last thread ends.
            let is_listed = Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
            let what = format!("thread {tid} of process {pid}");
            let why = match is_listed {
                true => format!("{what} has ended"),
                false => format!("there is no {what}"),
            };
            Err(failure.advise(why).into())
        })
    }

    /// Opens the namespace of the process that `pidfd` refers to (`pidfd_open(2)`). Unlike a
    /// process id, a pidfd never refers to another process later.
    ///
    /// # Errors
    ///
    /// ESRCH if the process has ended, EACCES as with [`from_pid`](Self::from_pid), EINVAL if the
    /// descriptor is no pidfd.
    pub fn from_pidfd(pidfd: impl AsFd) -> Result<Self> {
        let failed = |error: io::Error| errno::failure("look at", "a pidfd", &error);
        let pid = process::pid_of(pidfd.as_fd()).map_err(failed)?;
        let namespace = Self::from_pid(pid);
        // If the process lives now, its id referred to it when the namespace was opened.
        process::is_alive(pidfd.as_fd()).map_err(failed)?;
        namespace
    }

    /// Opens the link of a process or a thread; calls `missing` on ENOENT.
    fn of_process(
        pid: u32,
        path: &str,
        missing: impl FnOnce(Failure) -> Result<Self>,
    ) -> Result<Self> {
        if pid == 0 || i32::try_from(pid).is_err() {
            let reason = format!("{pid} is no process id; they are 1 to 4194304");
            return Err(Failure::new("open", "a network namespace", reason).into());
        }
        match nsfs::open(Path::new(path)) {
            Ok(fd) => Self::checked(fd, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing(errno::failure("open", path, &error))
            }
            Err(error) => Err(errno::failure("open", path, &error).into()),
        }
    }

    /// Checks that `fd` is a network namespace; `object` names it in errors.
    pub(crate) fn checked(fd: OwnedFd, object: &str) -> Result<Self> {
        let failed = |error: io::Error| errno::failure("look at", object, &error);
        let reason = match nsfs::kind(&fd).map_err(failed)? {
            Kind::Namespace(Namespace::Net) => return Self::identified(fd, object),
            Kind::Namespace(other) => {
                format!("it is a {} namespace, not a network namespace", other.name())
            }
            Kind::OtherNamespace => "it is a namespace, but not a network namespace".to_owned(),
            Kind::Other(what) => format!("it is {what}, not a network namespace"),
        };
        Err(Failure::new("take", object, reason).into())
    }

    /// Reads the identity of `fd`, which is a network namespace.
    fn identified(fd: OwnedFd, object: &str) -> Result<Self> {
        let identity = fds::identity(fd.as_fd());
        let (device, inode) =
            identity.map_err(|error| errno::failure("look at", object, &error))?;
        Ok(Self { fd, id: NetNsId { device, inode } })
    }
}

/// Finds the first thread of a process that has not ended. `/proc/PID/ns` is that of the main
/// thread, and empty once that has ended.
fn first_living(pid: u32) -> Option<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let is_living = |thread: &std::fs::DirEntry| {
        let link = std::fs::read_link(thread.path().join("ns/net"));
        !link.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let mut living = threads.filter(is_living);
    living.find_map(|thread| thread.file_name().to_str()?.parse().ok())
}

/// Takes ownership of a descriptor, if it is a network namespace.
impl TryFrom<OwnedFd> for NetNs {
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Self> {
        Self::checked(fd, "the descriptor")
    }
}
