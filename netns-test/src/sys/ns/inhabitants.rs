//! The processes in a network namespace: signals to all of them, and waits for their end.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use crate::error::{Failure, Kind};
use crate::sys::fds::{Until, wait};
use crate::sys::ns::ns_set::{Other, names, others_in};
use crate::sys::process;
use crate::sys::process::Pid;

/// Longest time until all processes have stopped after SIGSTOP.
const ALL_STOPPED: Duration = Duration::from_secs(10);

/// Pause between two looks at processes that stop or begin.
const PAUSE: Duration = Duration::from_millis(1);

/// Longest wait for the end of known processes before a look for new ones, which these may have
/// started.
const NEXT_LOOK: Duration = Duration::from_millis(20);

/// Stops all other processes in a network by SIGSTOP, and returns when none of them runs.
///
/// # Errors
///
/// A process that runs ten seconds later; one that may not be signalled; a failure to list them.
pub(crate) fn stop_all(network: BorrowedFd<'_>) -> Result<(), Failure> {
    let (start, mut sent) = (Instant::now(), HashSet::new());
    loop {
        let mut running = inhabitants(network)?;
        // A process that waits in the kernel and has the signal runs no instruction before it
        // stops.
        running.retain(|one| !is_halted(one.listed, sent.contains(&one.pid)));
        if running.is_empty() {
            return Ok(());
        }
        for one in &running {
            send(one.pid, libc::SIGSTOP)?;
            sent.insert(one.pid);
        }
        if start.elapsed() > ALL_STOPPED {
            let names = running.iter().map(name).collect::<Vec<_>>().join(", ");
            let why = format!("{names} still running after {} seconds", ALL_STOPPED.as_secs());
            let failure = Failure::new("stop", "all processes on a node", why);
            return Err(failure.of(Kind::Timeout));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Continues all other processes in a network by SIGCONT. One that may not be signalled is an
/// error, and does not keep the others from it.
pub(crate) fn continue_all(network: BorrowedFd<'_>) -> Result<(), Failure> {
    let sent = inhabitants(network)?.into_iter().map(|one| send(one.pid, libc::SIGCONT));
    sent.fold(Ok(()), Result::and)
}

/// Sends SIGTERM once to each other process in a network, also to those that start meanwhile, and
/// to the processes `more`. Waits until all have ended, at most for `timeout`. Returns the names of
/// those that still run.
pub(crate) fn terminate_all(
    network: BorrowedFd<'_>,
    more: impl Fn() -> Vec<Pid>,
    timeout: Duration,
) -> Result<Vec<String>, Failure> {
    let (start, mut sent) = (Instant::now(), HashSet::new());
    loop {
        let mut all = inhabitants(network)?;
        let known: HashSet<Pid> = all.iter().map(|one| one.pid).collect();
        let beside = more().into_iter().filter(|pid| !known.contains(pid));
        all.extend(beside.map(|pid| Other { listed: pid, pid }));
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(all.iter().map(name).collect());
        }
        for one in &all {
            if sent.insert(one.pid) {
                send(one.pid, libc::SIGTERM)?;
            }
        }
        wait_for_end(&all, left.min(NEXT_LOOK));
    }
}

/// Waits until one of these processes has ended, for at most `timeout`.
fn wait_for_end(all: &[Other], timeout: Duration) {
    let ends: Vec<_> = all.iter().filter_map(|one| process::descriptor_of(one.pid).ok()).collect();
    let events: Vec<_> = ends.iter().map(|end| Until::Readable(end.as_fd())).collect();
    if events.len() < all.len() || wait(&events, Some(timeout)).is_err() {
        // One has just ended, or there is no free descriptor.
        std::thread::sleep(PAUSE);
    }
}

/// Returns whether a process is stopped.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    is_halted(pid, false)
}

fn inhabitants(network: BorrowedFd<'_>) -> Result<Vec<Other>, Failure> {
    let all = others_in(&names(&[network]));
    all.map_err(|error| crate::sys::errno::failure("list", "the processes of a node", &error))
}

/// Returns whether each thread of a process is stopped or has ended; with `is_sent`, also one that
/// waits in the kernel and cannot be interrupted.
fn is_halted(pid: Pid, is_sent: bool) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let Ok(stat) = std::fs::read_to_string(thread.path().join("stat")) else { return true };
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        match after.chars().next() {
            Some('T' | 't' | 'Z' | 'X') => true,
            Some('D') => is_sent,
            _ => false,
        }
    })
}

/// Sends a signal. A process that has ended needs none.
fn send(pid: Pid, signal: i32) -> Result<(), Failure> {
    let number = u32::try_from(pid).unwrap_or(0);
    match process::signal(number, signal) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
            let step = "send a signal to";
            Err(crate::sys::errno::failure(step, format!("process {pid} of a node"), &error))
        }
        _ => Ok(()),
    }
}

/// Returns the name of a process for a message: `nginx (process 12)`.
fn name(one: &Other) -> String {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", one.listed));
    let name = name.map_or_else(|_| "?".to_owned(), |name| name.trim_end().to_owned());
    format!("{name} (process {})", one.pid)
}
