//! All resource limits of a process as one value (getrlimit(2)).

use std::io;

use nix::errno::Errno;

/// Number of resources with a limit on Linux.
const RESOURCES: usize = 16;

/// Soft and hard limits of a process, by the kernel's number of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits(pub(crate) [(u64, u64); RESOURCES]);

/// Returns the limits of this process.
pub(crate) fn get() -> io::Result<Limits> {
    let mut limits = [(0, 0); RESOURCES];
    for (resource, limit) in limits.iter_mut().enumerate() {
        *limit = get_one(resource)?;
    }
    Ok(Limits(limits))
}

/// Sets the limits that differ from `now`, the present ones. If a hard limit may not be raised, it
/// stays, and the soft limit is at most as high.
pub(crate) fn set(limits: &Limits, now: &Limits) -> io::Result<()> {
    let pairs = limits.0.iter().zip(&now.0).enumerate();
    for (resource, (&(soft, hard), now)) in pairs.filter(|(_, (wanted, now))| wanted != now) {
        match set_one(resource, soft, hard) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                set_one(resource, soft.min(now.1), now.1)?;
            }
            other => other?,
        }
    }
    Ok(())
}

/// Raises the soft limit of open files to the hard limit.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let resource = libc::RLIMIT_NOFILE as usize;
    let (_, hard) = get_one(resource)?;
    set_one(resource, hard, hard)
}

impl Limits {
    /// Returns the soft limit of open files.
    pub(crate) fn open_files(&self) -> usize {
        let (soft, _) = self.0[libc::RLIMIT_NOFILE as usize];
        usize::try_from(soft).unwrap_or(usize::MAX)
    }
}

fn get_one(resource: usize) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64` to the pointer; no new limit is set.
    let result = unsafe { libc::prlimit64(0, resource as _, std::ptr::null(), &raw mut limit) };
    Errno::result(result)?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

fn set_one(resource: usize, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one `rlimit64` from the pointer; the old limit is not returned.
    let result =
        unsafe { libc::prlimit64(0, resource as _, &raw const limit, std::ptr::null_mut()) };
    Errno::result(result)?;
    Ok(())
}

/// Returns the hard limit of this process's processor time in seconds, or `None` if there is none.
pub(crate) fn processor_time() -> Option<u64> {
    let (_, hard) = get_one(libc::RLIMIT_CPU as usize).ok()?;
    (hard != u64::MAX).then_some(hard)
}

/// Returns the hard limit of a child's processor time in seconds, or `None` if there is none.
pub(crate) fn processor_time_of(pid: crate::sys::process::Pid) -> Option<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64` to the pointer; no new limit is set.
    let result =
        unsafe { libc::prlimit64(pid, libc::RLIMIT_CPU as _, std::ptr::null(), &raw mut limit) };
    Errno::result(result).ok()?;
    (limit.rlim_max != u64::MAX).then_some(limit.rlim_max)
}

/// Returns the soft limit of this process's open files. Does not allocate memory.
pub(crate) fn open_files() -> u32 {
    let soft = get_one(libc::RLIMIT_NOFILE as usize).map_or(1 << 20, |(soft, _)| soft);
    u32::try_from(soft).unwrap_or(u32::MAX)
}
