//! How fast the kernel takes networks down: it does so after the last process of a test has ended, in
//! one thread for the whole machine, and nobody can make it faster.

use std::error::Error;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::floor::calls::{check, open_own};
use crate::floor::lab;
use crate::floor::test::loopback_up;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The time of one network alone and of so many at once, as lines of a list. Only where namespaces may
/// be made.
pub(crate) fn figures() -> Result<String> {
    let mut text = String::new();
    for count in [1, 10, 100, 1000] {
        let mut times: Vec<Duration> = (0..5).map(|_| taken_down(count)).collect::<Result<_>>()?;
        times.sort_unstable();
        let time = times[times.len() / 2].as_secs_f64() * 1e3;
        text += &format!(
            "- networks with `lo` up that are let go at once: {count}; gone after {time:.1} ms\n"
        );
    }
    Ok(text)
}

fn taken_down(count: usize) -> Result<Duration> {
    lab::wait_until_all_are_gone()?;
    // A thread that goes to a new namespace does not come back.
    let made = thread::spawn(move || -> std::io::Result<Vec<OwnedFd>> {
        (0..count).map(|_| network()).collect()
    });
    let made = made.join().expect("it does not panic")?;
    let start = Instant::now();
    drop(made);
    lab::wait_until_all_are_gone()?;
    Ok(start.elapsed())
}

fn network() -> std::io::Result<OwnedFd> {
    // SAFETY: touches no memory.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    loopback_up()?;
    open_own()
}

/// The kernel's version and the number of processors: what the figures are of.
pub(crate) fn machine() -> Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processors = thread::available_parallelism()?;
    Ok(format!("Linux {}, {processors} processors\n", release.trim()))
}
