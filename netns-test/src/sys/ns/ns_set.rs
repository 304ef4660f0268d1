//! The network, mount and UTS namespaces of a thread as one value, which other threads can enter;
//! and the processes that are in a network namespace.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use crate::error::{Failure, Kind};
use crate::sys::process::Pid;
use crate::sys::text::field;

/// Open descriptors of namespaces.
#[derive(Debug)]
pub(crate) struct Place {
    network: OwnedFd,
    /// Mounts and hostname; none for a place that has those of the caller.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    mounts: OwnedFd,
    /// Root directory, which can differ from the root of the mounts (chroot(2)).
    root: OwnedFd,
    hostname: OwnedFd,
}

/// Moves the calling thread to a copy of its mount namespace. It then no longer shares its working
/// directory with other threads.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Moves the calling thread to new network, mount and UTS namespaces.
pub(crate) fn unshare_all() -> io::Result<()> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    Ok(nix::sched::unshare(flags)?)
}

/// Moves the calling thread to a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNET)?)
}

impl Place {
    /// Opens the namespaces of the calling thread.
    pub(crate) fn own() -> io::Result<Self> {
        let root = crate::sys::fds::open_place(Path::new("/"))?;
        let rest = Rest { mounts: open("mnt")?, root, hostname: open("uts")? };
        Ok(Self { network: open("net")?, rest: Some(rest) })
    }

    /// Opens the network namespace of the calling thread, without mounts and hostname.
    pub(crate) fn own_network() -> io::Result<Self> {
        Ok(Self { network: open("net")?, rest: None })
    }

    pub(crate) fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// Returns the network alone.
    pub(crate) fn into_network(self) -> OwnedFd {
        self.network
    }

    /// Moves the calling thread to these namespaces permanently. It keeps the path of its working
    /// directory, or is in the root directory if there is none at this path.
    pub(crate) fn enter(&self) -> io::Result<()> {
        nix::sched::setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        let Some(rest) = &self.rest else { return Ok(()) };
        // The kernel refuses setns(2) to other mounts while the thread shares its root directory
        // and working directory with other threads.
        nix::sched::unshare(CloneFlags::CLONE_FS)?;
        let directory = nix::unistd::getcwd();
        rest.enter()?;
        // `Rest::enter` has moved the thread to the root directory.
        directory.and_then(|directory| nix::unistd::chdir(&directory)).or(Ok(()))
    }

    /// Moves the calling thread to this network, and not to the mounts or the hostname.
    pub(crate) fn enter_network(&self) -> io::Result<()> {
        Ok(nix::sched::setns(&self.network, CloneFlags::CLONE_NEWNET)?)
    }

    /// Moves the calling thread to these mounts, but not to the network and the hostname.
    pub(crate) fn enter_mounts(&self) -> io::Result<()> {
        self.rest.as_ref().map_or(Ok(()), Rest::enter_mounts)
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let rest = match &self.rest {
            Some(rest) => {
                let (mounts, hostname) = (rest.mounts.try_clone()?, rest.hostname.try_clone()?);
                Some(Rest { mounts, root: rest.root.try_clone()?, hostname })
            }
            None => None,
        };
        Ok(Self { network: self.network.try_clone()?, rest })
    }

    /// Returns the network without mounts and hostname, for threads that only read its state.
    pub(crate) fn network_alone(&self) -> io::Result<Self> {
        Ok(Self { network: self.network.try_clone()?, rest: None })
    }

    /// Makes `command` start in these namespaces, with the path of its working directory. If it is
    /// `bound`, the kernel kills it when the thread that starts it ends.
    pub(crate) fn set_for(self, command: &mut Command, bound: bool) {
        use std::os::unix::process::CommandExt as _;
        let caller = crate::sys::process::id();
        let go = move || {
            if bound {
                crate::sys::process::die_with_parent()?;
                // The parent may have ended before `die_with_parent`. An id of 0 means a parent
                // outside of this PID namespace.
                if ![caller, 0].contains(&crate::sys::process::parent_id()) {
                    return Err(nix::errno::Errno::ESRCH.into());
                }
            }
            nix::sched::setns(&self.network, CloneFlags::CLONE_NEWNET)?;
            let Some(rest) = &self.rest else { return Ok(()) };
            let mut path = [0_u8; libc::PATH_MAX as usize];
            // SAFETY: the kernel writes no more than the buffer has. The C library's function may
            // read directories, and allocate.
            let length = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
            rest.enter()?;
            // The path of a directory that was deleted, or is unreachable, does not begin with a
            // slash (getcwd(2)). The process then stays in the root directory.
            if length > 0 && path[0] == b'/' {
                // SAFETY: after success the buffer holds a C string.
                let changed = unsafe { libc::chdir(path.as_ptr().cast()) };
                nix::errno::Errno::result(changed)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes system calls, on descriptors that it owns
        // and a buffer on the stack; it takes no lock, and an error is a number without memory.
        unsafe { command.pre_exec(go) };
    }
}

impl Rest {
    /// Moves the calling thread to the mounts and the hostname, in the root directory.
    fn enter(&self) -> io::Result<()> {
        self.enter_mounts()?;
        Ok(nix::sched::setns(&self.hostname, CloneFlags::CLONE_NEWUTS)?)
    }

    fn enter_mounts(&self) -> io::Result<()> {
        nix::sched::setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        nix::unistd::fchdir(&self.root)?;
        Ok(nix::unistd::chroot(c".")?)
    }
}

fn open(kind: &str) -> io::Result<OwnedFd> {
    let path = format!("/proc/thread-self/ns/{kind}");
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(Path::new(&path), flags, Mode::empty())?)
}

/// Time limit for the end of killed processes. One that waits for a device may never end.
const LAST_PROCESS: Duration = Duration::from_secs(10);

/// Time in which killed processes usually end: until then the wait yields, later it sleeps.
const SOON: Duration = Duration::from_millis(50);

/// Kills every other process in these networks, and repeats that until none is left, as a process
/// may start another one before it ends.
///
/// # Errors
///
/// The processes that still exist after [`LAST_PROCESS`]; a failure to list processes.
pub(crate) fn kill_all_in(networks: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    let names = names(networks);
    if names.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    let mut refused = None;
    loop {
        let others = others_in(&names).map_err(|error| {
            crate::sys::errno::failure("list", "the processes of nodes", &error)
        })?;
        if others.is_empty() {
            return Ok(());
        }
        if start.elapsed() > LAST_PROCESS {
            let name = |other: &Other| {
                let name = std::fs::read_to_string(format!("/proc/{}/comm", other.listed));
                name.map_or(other.pid.to_string(), |name| {
                    format!("{} ({})", other.pid, name.trim_end())
                })
            };
            let all = others.iter().map(name).collect::<Vec<_>>().join(", ");
            let still = format!("{all} still running after {} seconds", LAST_PROCESS.as_secs());
            let why = match refused {
                Some(error) => format!("{still}: {}", crate::sys::errno::describe(&error)),
                None => still,
            };
            let failure = Failure::new("kill", "all processes on a node", why);
            return Err(failure.of(Kind::Timeout));
        }
        for other in others {
            refused = kill(other.pid).err().or(refused);
        }
        if start.elapsed() < SOON {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn kill(pid: Pid) -> io::Result<()> {
    let pid = u32::try_from(pid).map_err(io::Error::other)?;
    crate::sys::process::signal(pid, crate::sys::process::signals::KILL)
}

/// Returns whether a network namespace is still in use: another process is in it, a thread of this
/// process is in it, or this process has a descriptor of it besides `network`.
pub(crate) fn is_in_use(network: BorrowedFd<'_>) -> bool {
    let names = names(&[network]);
    let count = |directory: &str, end: &str| {
        let Ok(entries) = std::fs::read_dir(directory) else { return usize::MAX };
        let links = entries.flatten().filter_map(|entry| {
            std::fs::read_link(entry.path().join(end).components().as_path()).ok()
        });
        links.filter(|link| names.iter().any(|name| link.as_os_str() == name.as_str())).count()
    };
    // A namespace counts as used if that cannot be found out.
    let is_empty = || others_in(&names).is_ok_and(|others| others.is_empty());
    names.is_empty()
        || !is_empty()
        || count("/proc/self/task", "ns/net") > 0
        || count("/proc/self/fd", "") > 1
}

/// Returns the kernel's names of the networks, `net:[4026531840]`.
pub(crate) fn names(networks: &[BorrowedFd<'_>]) -> Vec<String> {
    let all = networks.iter().filter_map(|network| crate::sys::fds::identity(*network).ok());
    all.map(|(_, inode)| format!("net:[{inode}]")).collect()
}

/// Process that is not the caller.
pub(crate) struct Other {
    /// Id in `/proc`, which may show an outer PID namespace.
    pub(crate) listed: Pid,
    /// Id in the caller's PID namespace.
    pub(crate) pid: Pid,
}

/// Returns every other process that has a thread in one of the networks called `names`.
pub(crate) fn others_in(names: &[String]) -> io::Result<Vec<Other>> {
    let entries = std::fs::read_dir("/proc")?;
    let all = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found = Vec::new();
    for listed in all.filter(|pid| has_thread_in(*pid, names)) {
        let depth = pids_of("self").len();
        // A process without an id in this PID namespace has ended, or is outside of it. The lab has
        // no process there.
        let pid = pids_of(&listed.to_string()).get(depth.wrapping_sub(1)).copied();
        let pid = if depth == 0 { Some(listed) } else { pid };
        found.extend(pid.map(|pid| Other { listed, pid }));
    }
    found.retain(|other| other.pid != crate::sys::process::id());
    Ok(found)
}

/// Returns whether a thread of a process is in one of the networks. `/proc/PID/ns` shows the main
/// thread only, which may have ended or be in another namespace.
fn has_thread_in(pid: Pid, names: &[String]) -> bool {
    let is_there = |thread: &Path| {
        let link = std::fs::read_link(thread.join("ns/net"));
        link.is_ok_and(|link| names.iter().any(|name| link.as_os_str() == name.as_str()))
    };
    let process = Path::new("/proc").join(pid.to_string());
    if is_there(&process) {
        return true;
    }
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    threads.into_iter().any(|thread| is_there(&thread.path()))
}

/// Returns the ids of a process, from the PID namespace of `/proc` down to its own (Linux 4.1).
fn pids_of(process: &str) -> Vec<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let ids = field(&status, "NSpid:").unwrap_or_default();
    ids.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}
