//! Resource limits, all of them, as one value (getrlimit(2)).

use std::io;

use nix::errno::Errno;

/// How many resources Linux limits.
const RESOURCES: usize = 16;

/// The soft and hard limits of a process, by the kernel's number of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits(pub(crate) [(u64, u64); RESOURCES]);

/// The limits of this process.
pub(crate) fn get() -> io::Result<Limits> {
    let mut limits = [(0, 0); RESOURCES];
    for (resource, limit) in limits.iter_mut().enumerate() {
        *limit = get_one(resource)?;
    }
    Ok(Limits(limits))
}

/// Sets those that differ from `now`, which this process has. A hard limit that may not be raised
/// stays, and bounds the soft one.
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

/// Raises the number of open files to what this process may have.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let resource = libc::RLIMIT_NOFILE as usize;
    let (_, hard) = get_one(resource)?;
    set_one(resource, hard, hard)
}

impl Limits {
    /// How many files may be open.
    pub(crate) fn open_files(&self) -> usize {
        let (soft, _) = self.0[libc::RLIMIT_NOFILE as usize];
        usize::try_from(soft).unwrap_or(usize::MAX)
    }
}

fn get_one(resource: usize) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64` to the pointer; no new limit is given.
    let result = unsafe { libc::prlimit64(0, resource as _, std::ptr::null(), &raw mut limit) };
    Errno::result(result)?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

fn set_one(resource: usize, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one `rlimit64` from the pointer; no old limit is asked for.
    let result =
        unsafe { libc::prlimit64(0, resource as _, &raw const limit, std::ptr::null_mut()) };
    Errno::result(result)?;
    Ok(())
}

/// How many seconds of a processor this process may take at the most; nothing where that is not
/// limited.
pub(crate) fn processor_time() -> Option<u64> {
    let (_, hard) = get_one(libc::RLIMIT_CPU as usize).ok()?;
    (hard != u64::MAX).then_some(hard)
}

/// The same of another process, which this one may look at: a child.
pub(crate) fn processor_time_of(pid: crate::sys::process::Pid) -> Option<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64` to the pointer; no new limit is given.
    let result =
        unsafe { libc::prlimit64(pid, libc::RLIMIT_CPU as _, std::ptr::null(), &raw mut limit) };
    Errno::result(result).ok()?;
    (limit.rlim_max != u64::MAX).then_some(limit.rlim_max)
}

/// How many files this process may have open. Allocates nothing.
pub(crate) fn open_files() -> u32 {
    let soft = get_one(libc::RLIMIT_NOFILE as usize).map_or(1 << 20, |(soft, _)| soft);
    u32::try_from(soft).unwrap_or(u32::MAX)
}
