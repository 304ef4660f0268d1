//! The time in which the kernel frees networks. One kernel thread does so for the whole machine,
//! after the last process of a test has ended.

use std::error::Error;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::floor::calls::{check, open_own};
use crate::floor::lab;
use crate::floor::test::loopback_up;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Returns the times for one network and for several at once, as lines of a list. The caller must
/// be allowed to make namespaces.
pub(crate) fn figures() -> Result<String> {
    let mut text = String::new();
    for count in [1, 10, 100, 1000] {
        let mut times: Vec<Duration> = (0..5).map(|_| taken_down(count)).collect::<Result<_>>()?;
        times.sort_unstable();
        let time = times[times.len() / 2].as_secs_f64() * 1e3;
        text += &format!(
            "- networks with `lo` up, released at once: {count}; freed after {time:.1} ms\n"
        );
    }
    Ok(text)
}

fn taken_down(count: usize) -> Result<Duration> {
    lab::wait_until_all_are_gone()?;
    // A temporary thread, since it moves into the new namespaces.
    let made = thread::spawn(move || -> std::io::Result<Vec<OwnedFd>> {
        (0..count).map(|_| network()).collect()
    });
    let made = made.join().expect("the thread does not panic")?;
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

/// Describes the machine: kernel version and number of processors.
pub(crate) fn machine() -> Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processors = thread::available_parallelism()?;
    Ok(format!("Linux {}, {processors} processors\n", release.trim()))
}
