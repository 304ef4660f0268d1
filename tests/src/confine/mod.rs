//! The environments in which namespaces are refused, made for real: a [`Confinement`] is
//! what a child does between `fork` and `exec`, so that the program it becomes finds itself
//! in a container, a chroot, or under a limit.
//!
//! Everything is made by system calls of the child alone. No program is needed for it, tests
//! that run beside are not touched, and all of it goes with the child.

#![expect(unsafe_code, reason = "system calls of a child before it runs its program")]

mod limits;
mod places;
mod preload;
mod seccomp;
mod steps;
#[cfg(target_arch = "x86_64")]
mod tracer;

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub use limits::{ControlGroup, Version};
pub use preload::starts_a_thread;
pub use seccomp::Filter;
use steps::Step;

/// `CAP_SYS_ADMIN` of linux/capability.h.
pub const SYS_ADMIN: u32 = 21;

/// `CAP_SETFCAP`.
pub const SETFCAP: u32 = 31;

/// Capabilities that Docker leaves to a container's root by default: chown,
/// `dac_override`, fowner, fsetid, kill, setgid, setuid, setpcap, `net_bind_service`,
/// `net_raw`, `sys_chroot`, mknod, `audit_write`, setfcap.
pub const OF_DOCKER: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, SETFCAP];

/// Uid and gid without rights: the user `nobody` of most systems.
const UNPRIVILEGED: u32 = 65_534;

/// Puts the calling thread, and the threads and programs that it starts, under a filter.
///
/// # Errors
///
/// The kernel's, where it has no filters.
pub fn filter_this_thread(filter: Filter) -> std::io::Result<()> {
    seccomp::install(&seccomp::program(filter))
}

/// User whose child the confined program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root's; the caller must be that.
    Root,
    /// An ordinary user's: the caller's own, or if that is root, uid 65534's.
    User,
}

/// Steps of a child before it runs its program, in order.
#[derive(Debug)]
pub struct Confinement {
    who: Who,
    uid: u32,
    gid: u32,
    /// Whether the child becomes that user, rather than being it.
    changes: bool,
    /// Whether it has mounts of its own by now.
    owns_mounts: bool,
    steps: Vec<Step>,
}

impl Confinement {
    /// None yet, but of the user.
    #[must_use]
    pub fn of(who: Who) -> Self {
        // SAFETY: always succeeds and touches no memory.
        let uid = unsafe { libc::geteuid() };
        // SAFETY: as above.
        let gid = unsafe { libc::getegid() };
        let changes = who == Who::User && uid == 0;
        let (uid, gid) = if changes { (UNPRIVILEGED, UNPRIVILEGED) } else { (uid, gid) };
        // Becoming another user closes the process's files in /proc to itself.
        Self { who, uid, gid, changes, owns_mounts: false, steps: vec![Step::Dumpable] }
    }

    /// Makes `command` do the steps in its child. A step that fails is reported on stderr, and the
    /// child ends with status 125.
    pub fn apply(self, command: &mut Command) {
        if self.changes {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        let steps = self.steps;
        // SAFETY: the steps make system calls on memory that was laid out before; they
        // allocate nothing and take no lock.
        unsafe { command.pre_exec(move || steps::run(&steps)) };
    }

    /// The filter, for the child and all that it starts.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.then(Step::Filter(seccomp::program(filter)))
    }

    /// Leaves root those capabilities alone for which `keeps` is true.
    #[must_use]
    pub fn capabilities(self, keeps: impl Fn(u32) -> bool) -> Self {
        self.then(Step::CapabilityBounds((0..64).filter(|&number| !keeps(number)).collect()))
    }

    /// New namespaces (`CLONE_NEW*`) in a new user namespace, in which the caller is `inside`
    /// as it is `self.uid` outside, with all capabilities until it runs its program.
    fn user_namespace(mut self, inside: (u32, u32), others: libc::c_int) -> Self {
        let maps = steps::Maps::new(inside, (self.uid, self.gid));
        (self.uid, self.gid) = inside;
        self.then(Step::Namespaces(libc::CLONE_NEWUSER | others)).then(Step::Maps(maps))
    }

    /// As [`Self::user_namespace`], the caller being who it is.
    fn own_user_namespace(self, others: libc::c_int) -> Self {
        let inside = (self.uid, self.gid);
        self.user_namespace(inside, others)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn write(self, path: &str, text: &str) -> Self {
        self.then(Step::Write(c_string(path), c_string(text)))
    }
}

#[cfg(target_arch = "x86_64")]
impl Confinement {
    /// Every process in a user namespace loses its capabilities before its first
    /// instruction, as AppArmor takes them away on Ubuntu. The last step.
    #[must_use]
    pub fn losing_capabilities(self) -> Self {
        self.then(Step::Traced)
    }
}

/// # Panics
///
/// Panics on a NUL byte.
fn c_string(text: impl AsRef<OsStr>) -> CString {
    CString::new(text.as_ref().as_bytes()).expect("no NUL byte in a path")
}

/// Returns whether the caller has the capabilities to map ids that are not its own, in the first
/// user namespace: on the host itself.
#[must_use]
pub fn may_map_all() -> bool {
    const NEEDED: u64 = 1 << 6 | 1 << 7 | 1 << SETFCAP;
    let held = u64::from_str_radix(&crate::status("CapEff"), 16).unwrap_or_default();
    let maps = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_first = maps.split_whitespace().eq(["0", "0", "4294967295"]);
    held & NEEDED == NEEDED && is_first
}
