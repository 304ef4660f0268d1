//! What is known of another process: its memory, and the unit of its times.

use std::io;
use std::time::Duration;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};

use crate::sys::process::Pid;

/// Reads the memory of a process from an address of it on. Returns the number of bytes.
pub(crate) fn read_memory(pid: Pid, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let base = usize::try_from(address).map_err(io::Error::other)?;
    let remote = [RemoteIoVec { base, len: buffer.len() }];
    let local = &mut [io::IoSliceMut::new(buffer)];
    Ok(process_vm_readv(nix::unistd::Pid::from_raw(pid), local, &remote)?)
}

/// Converts the ticks in which `/proc` counts processor time.
pub(crate) fn time_of_ticks(ticks: u64) -> Duration {
    let rate = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
    let rate = rate.ok().flatten().and_then(|rate| u64::try_from(rate).ok()).unwrap_or(100).max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / rate)
}
