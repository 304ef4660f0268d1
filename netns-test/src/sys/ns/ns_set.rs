//! Where a thread is: its network, its mounts and its hostname, as one thing that it can go to.

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

/// Namespaces, held open.
#[derive(Debug)]
pub(crate) struct Place {
    network: OwnedFd,
    /// None for a place that has the caller's files and hostname.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    mounts: OwnedFd,
    /// The root directory there, which can differ from the root of the mounts (chroot(2)).
    root: OwnedFd,
    hostname: OwnedFd,
}

/// Moves the calling thread to a copy of its mount namespace, and unshares its working directory
/// from other threads.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Moves the calling thread to new network, mount and UTS namespaces.
pub(crate) fn unshare_all() -> io::Result<()> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    Ok(nix::sched::unshare(flags)?)
}

impl Place {
    /// Opens the namespaces of the calling thread.
    pub(crate) fn own() -> io::Result<Self> {
        let root = crate::sys::fds::open_place(Path::new("/"))?;
        let rest = Rest { mounts: open("mnt")?, root, hostname: open("uts")? };
        Ok(Self { network: open("net")?, rest: Some(rest) })
    }

    /// The network alone of the calling thread.
    pub(crate) fn own_network() -> io::Result<Self> {
        Ok(Self { network: open("net")?, rest: None })
    }

    pub(crate) fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// Moves the calling thread there, for good. Its working directory is the one of the same path.
    pub(crate) fn enter(&self) -> io::Result<()> {
        nix::sched::setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        let Some(rest) = &self.rest else { return Ok(()) };
        // A thread that shares its root and its working directory may not change its mounts.
        nix::sched::unshare(CloneFlags::CLONE_FS)?;
        let directory = nix::unistd::getcwd();
        rest.enter()?;
        // One that is not there is left for the root.
        directory.and_then(|directory| nix::unistd::chdir(&directory)).or(Ok(()))
    }

    /// Moves the calling thread to this network, and not to the mounts or the hostname.
    pub(crate) fn enter_network(&self) -> io::Result<()> {
        Ok(nix::sched::setns(&self.network, CloneFlags::CLONE_NEWNET)?)
    }

    /// Moves the calling thread to these mounts, and not to the network or the hostname.
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

    /// The network alone, for threads that look at it.
    pub(crate) fn network_alone(&self) -> io::Result<Self> {
        Ok(Self { network: self.network.try_clone()?, rest: None })
    }

    /// Makes `command` begin there, in its own working directory. If it is `bound`, it ends with
    /// the thread that starts it.
    pub(crate) fn set_for(self, command: &mut Command, bound: bool) {
        use std::os::unix::process::CommandExt as _;
        let caller = crate::sys::process::id();
        let go = move || {
            if bound {
                crate::sys::process::die_with_parent()?;
                // 0 is one that this PID namespace does not know.
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
            // One that has been deleted, or cannot be reached, is left for the root.
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
    /// To the root, whatever the working directory was.
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

/// The time limit for the end of a killed process. One that waits for a device may never end.
const LAST_PROCESS: Duration = Duration::from_secs(10);

/// How long it takes as a rule.
const SOON: Duration = Duration::from_millis(50);

/// Kills every other process that is in one of these networks, until there is none: what it leaves
/// behind is killed, too.
///
/// # Errors
///
/// Which ones are there after [`LAST_PROCESS`], or why that is not known.
pub(crate) fn kill_all_in(networks: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    let names = names(networks);
    if names.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    let mut refused = None;
    loop {
        let others = others_in(&names).map_err(|error| {
            crate::sys::errno::failure("list", "the processes of hosts", &error)
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
            let still = format!("still there after {} seconds", LAST_PROCESS.as_secs());
            let why = match refused {
                Some(error) => format!("{still}: {}", crate::sys::errno::describe(&error)),
                None => still,
            };
            let failure = Failure::new("kill", format!("all on a host: process {all}"), why);
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

/// Returns whether another process is in a network namespace, or this process can still enter it or
/// start others there: by a thread in it, or by a descriptor besides `network`.
pub(crate) fn is_in_use(network: BorrowedFd<'_>) -> bool {
    let names = names(&[network]);
    let count = |directory: &str, end: &str| {
        let Ok(entries) = std::fs::read_dir(directory) else { return usize::MAX };
        let links = entries.flatten().filter_map(|entry| {
            std::fs::read_link(entry.path().join(end).components().as_path()).ok()
        });
        links.filter(|link| names.iter().any(|name| link.as_os_str() == name.as_str())).count()
    };
    // What cannot be seen is taken for used.
    let is_empty = || others_in(&names).is_ok_and(|others| others.is_empty());
    names.is_empty()
        || !is_empty()
        || count("/proc/self/task", "ns/net") > 0
        || count("/proc/self/fd", "") > 1
}

/// Returns the kernel's names of them.
fn names(networks: &[BorrowedFd<'_>]) -> Vec<String> {
    let all = networks.iter().filter_map(|network| crate::sys::fds::identity(*network).ok());
    all.map(|(_, inode)| format!("net:[{inode}]")).collect()
}

/// A process.
struct Other {
    /// Its number in `/proc`, which may be that of an outer PID namespace.
    listed: Pid,
    /// Its number for the caller.
    pid: Pid,
}

/// Every other process that has a thread in one of them.
fn others_in(names: &[String]) -> io::Result<Vec<Other>> {
    let entries = std::fs::read_dir("/proc")?;
    let all = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found = Vec::new();
    for listed in all.filter(|pid| has_thread_in(*pid, names)) {
        let depth = pids_of("self").len();
        // A process without a pid here has ended, or is outside, where the lab has no process.
        let pid = pids_of(&listed.to_string()).get(depth.wrapping_sub(1)).copied();
        let pid = if depth == 0 { Some(listed) } else { pid };
        found.extend(pid.map(|pid| Other { listed, pid }));
    }
    found.retain(|other| other.pid != crate::sys::process::id());
    Ok(found)
}

/// Returns whether a thread of a process is in one of them. `/proc/PID/ns` is the main thread's,
/// which may have ended, or be in another namespace.
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

/// The numbers of a process, from the PID namespace that `/proc` is of to its own (Linux 4.1).
fn pids_of(process: &str) -> Vec<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}
