//! The steps of a child between `fork` and `exec`. Only system calls: the process it was
//! forked from has threads, so nothing here may allocate or take a lock.

use std::ffi::{CStr, CString};
use std::io;

use super::seccomp;

/// The status of a process that could not do its steps.
pub(super) const FAILED: libc::c_int = 125;

/// One thing that a child does to itself.
#[derive(Debug)]
pub(super) enum Step {
    /// Lets the process write its own files in `/proc`.
    Dumpable,
    /// New ones, `CLONE_NEW*`.
    Namespaces(libc::c_int),
    /// The ids of the user namespace that the child has just entered.
    Maps(Maps),
    /// A user namespace in the one before, until the kernel refuses another.
    AllUserNamespaces(Maps),
    /// A file's path and its content.
    Write(CString, CString),
    Mount(Mount),
    Directory(CString),
    /// Target and path.
    Symlink(CString, CString),
    Root(CString),
    WorkingDirectory(CString),
    /// Capabilities that no program gets any more.
    CapabilityBounds(Vec<u32>),
    /// A limit of setrlimit(2), soft and hard.
    Limit(Resource, libc::rlim_t),
    Filter(Vec<libc::sock_filter>),
    #[cfg(target_arch = "x86_64")]
    Traced,
}

/// A limit; its type differs between C libraries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource {
    Processes,
    OpenFiles,
}

/// Arguments of mount(2).
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) source: CString,
    pub(super) target: CString,
    pub(super) kind: CString,
    pub(super) flags: libc::c_ulong,
}

/// The lines of `uid_map` and `gid_map`.
#[derive(Debug)]
pub(super) struct Maps {
    uid: CString,
    gid: Option<CString>,
}

impl Maps {
    /// Of one user and its group each.
    pub(super) fn new(inside: (u32, u32), outside: (u32, u32)) -> Self {
        let line = |inside, outside| super::c_string(format!("{inside} {outside} 1"));
        Self { uid: line(inside.0, outside.0), gid: Some(line(inside.1, outside.1)) }
    }

    /// Of the user alone.
    pub(super) fn without_group(self) -> Self {
        Self { gid: None, ..self }
    }

    fn write(&self) -> io::Result<()> {
        write(c"/proc/self/uid_map", &self.uid)?;
        let Some(gid) = &self.gid else { return Ok(()) };
        write(c"/proc/self/setgroups", c"deny")?;
        write(c"/proc/self/gid_map", gid)
    }
}

/// Does all of them. An error is written to stderr, which reaches the caller with the program's own
/// output, and ends the process.
pub(super) fn run(steps: &[Step]) -> io::Result<()> {
    for step in steps {
        if let Err(error) = step.run() {
            give_up(step.words(), &error);
        }
    }
    Ok(())
}

impl Step {
    fn run(&self) -> io::Result<()> {
        match self {
            Self::Dumpable => prctl(libc::PR_SET_DUMPABLE, 1),
            Self::Namespaces(flags) => unshare(*flags),
            Self::Maps(maps) => maps.write(),
            Self::AllUserNamespaces(maps) => all_user_namespaces(maps),
            Self::Write(path, text) => write(path, text),
            Self::Mount(mount) => mount.run(),
            // SAFETY: a C string that lives through the call, as in the next ones.
            Self::Directory(path) => check(unsafe { libc::mkdir(path.as_ptr(), 0o755) }),
            Self::Symlink(content, path) => {
                // SAFETY: as above.
                check(unsafe { libc::symlink(content.as_ptr(), path.as_ptr()) })
            }
            // SAFETY: as above.
            Self::Root(path) => check(unsafe { libc::chroot(path.as_ptr()) }),
            // SAFETY: as above.
            Self::WorkingDirectory(path) => check(unsafe { libc::chdir(path.as_ptr()) }),
            Self::CapabilityBounds(unwanted) => bound_capabilities(unwanted),
            Self::Limit(resource, limit) => set_limit(*resource, *limit),
            Self::Filter(program) => seccomp::install(program),
            #[cfg(target_arch = "x86_64")]
            Self::Traced => super::tracer::split(),
        }
    }

    /// Texts of a step, made without allocating: names of steps, and paths.
    fn words(&self) -> [&CStr; 2] {
        match self {
            Self::Dumpable => [c"PR_SET_DUMPABLE", c""],
            Self::Namespaces(_) => [c"unshare", c""],
            Self::Maps(_) => [c"write the id maps", c""],
            Self::AllUserNamespaces(_) => [c"nest user namespaces", c""],
            Self::Write(path, _) => [c"write", path],
            Self::Mount(mount) => [c"mount at", &mount.target],
            Self::Directory(path) => [c"mkdir", path],
            Self::Symlink(_, path) => [c"symlink", path],
            Self::Root(path) => [c"chroot", path],
            Self::WorkingDirectory(path) => [c"chdir", path],
            Self::CapabilityBounds(_) => [c"drop capabilities", c""],
            Self::Limit(..) => [c"setrlimit", c""],
            Self::Filter(_) => [c"seccomp", c""],
            #[cfg(target_arch = "x86_64")]
            Self::Traced => [c"ptrace", c""],
        }
    }
}

impl Mount {
    fn run(&self) -> io::Result<()> {
        let (source, target) = (self.source.as_ptr(), self.target.as_ptr());
        // SAFETY: three C strings that live through the call; no options.
        let result = unsafe {
            libc::mount(source, target, self.kind.as_ptr(), self.flags, std::ptr::null())
        };
        check(result)
    }
}

fn all_user_namespaces(maps: &Maps) -> io::Result<()> {
    loop {
        match unshare(libc::CLONE_NEWUSER) {
            Ok(()) => maps.write()?,
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EUSERS))
}

/// From the bounding set, and from the inheritable one, which the first does not bound.
fn bound_capabilities(unwanted: &[u32]) -> io::Result<()> {
    const ALL: u32 = u32::MAX;
    for &number in unwanted {
        match prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number)) {
            // The kernel knows fewer.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            result => result?,
        }
    }
    // `struct __user_cap_header_struct`, version 3, of this process; two times effective,
    // permitted, inheritable.
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut sets = [[ALL; 3]; 2];
    // SAFETY: version 3 reads the header and writes two times three words.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) })?;
    for set in &mut sets {
        set[2] = 0;
    }
    // SAFETY: version 3 reads the header and two times three words.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) })
}

fn set_limit(resource: Resource, limit: libc::rlim_t) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    let resource = match resource {
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
    };
    // SAFETY: the limit lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: touches no memory; the process has one thread.
    check(unsafe { libc::unshare(flags) })
}

pub(super) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: the options used here take numbers and touch no memory.
    check(unsafe { libc::prctl(option, argument, none, none, none) })
}

/// With one write(2), as files in `/proc` want it. A file that is not there is made.
fn write(path: &CStr, text: &CStr) -> io::Result<()> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: a C string that lives through the call.
    let file = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
    check(file)?;
    let bytes = text.to_bytes();
    // SAFETY: so many bytes of `text` are there to read.
    let result = check(unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) });
    // SAFETY: the descriptor was opened above and is not used any more.
    unsafe { libc::close(file) };
    result
}

/// An error in `errno` if `result` is -1.
pub(super) fn check<T: Copy + PartialEq + From<i8>>(result: T) -> io::Result<()> {
    if result == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes the step and its errno, and ends the process.
pub(super) fn give_up(words: [&CStr; 2], error: &io::Error) -> ! {
    let mut digits = [b'0'; 4];
    let mut left = error.raw_os_error().unwrap_or(0);
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    let [what, on] = words.map(CStr::to_bytes);
    for part in [b"confine: ", what, b" ", on, b": errno ", &digits, b"\n"] {
        // SAFETY: so many bytes are there to read.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
    exit(FAILED)
}

/// Ends the process at once.
pub(super) fn exit(status: libc::c_int) -> ! {
    // SAFETY: `_exit` is always allowed; it does not return.
    unsafe { libc::_exit(status) }
}
