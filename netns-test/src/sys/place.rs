//! Where a thread is: its network, its mounts and its hostname, as one thing that it can go to.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

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
    /// What is `/` there, which need not be the root of the mounts (chroot(2)).
    root: OwnedFd,
    hostname: OwnedFd,
}

/// Gives the calling thread mounts of its own, as they are. It shares its working directory with no
/// other thread then.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Gives the calling thread a network, mounts and a hostname of its own.
pub(crate) fn unshare_all() -> io::Result<()> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    Ok(nix::sched::unshare(flags)?)
}

impl Place {
    /// That of the calling thread.
    pub(crate) fn own() -> io::Result<Self> {
        let root = super::fds::open_place(Path::new("/"))?;
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

    /// Has `command` begin there, in the directory that it has been given; one that is `bound` ends
    /// with the thread that starts it.
    pub(crate) fn set_for(self, command: &mut Command, bound: bool) {
        use std::os::unix::process::CommandExt as _;
        let caller = super::process::id();
        let go = move || {
            if bound {
                super::process::die_with_parent()?;
                // 0 is one that this PID namespace does not know.
                if ![caller, 0].contains(&super::process::parent_id()) {
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

/// How long the kernel may take to end a process that was killed; one that waits for a device may take
/// for ever.
const LAST_PROCESS: Duration = Duration::from_secs(10);

/// Kills every other process that is in one of these networks, until there is none: what it leaves
/// behind is killed, too.
pub(crate) fn kill_all_in(networks: &[BorrowedFd<'_>]) {
    let names: Vec<String> = networks
        .iter()
        .filter_map(|network| super::fds::identity(*network).ok())
        .map(|(_, inode)| format!("net:[{inode}]"))
        .collect();
    let is_there = |pid: &super::process::Pid| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/net"));
        link.is_ok_and(|link| names.iter().any(|name| link.as_os_str() == name.as_str()))
    };
    let start = Instant::now();
    while start.elapsed() < LAST_PROCESS {
        let Ok(entries) = std::fs::read_dir("/proc") else { return };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let others: Vec<_> =
            pids.filter(|pid| *pid != super::process::id()).filter(is_there).collect();
        if others.is_empty() {
            return;
        }
        for pid in others {
            super::process::kill(pid);
        }
        std::thread::yield_now();
    }
}
