//! The processes that a test has left running, as PID 1 of its PID namespace sees them in `/proc`.

use std::os::fd::OwnedFd;

use crate::sys::fds;
use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::text::field;

/// Number of processes that are listed by name.
const NAMED: usize = 20;

/// Lists the processes in `proc` besides init and `body`, by name and id.
pub(crate) fn list(proc: &OwnedFd, body: Pid) -> Vec<String> {
    let names = fds::names_in(proc).unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.parse().ok());
    let others = pids.filter(|&pid: &Pid| pid != process::id() && pid != body);
    let mut left: Vec<String> = others.filter_map(|pid| describe(proc, pid)).collect();
    if left.len() > NAMED {
        let more = left.split_off(NAMED).len();
        left.push(format!("and {more} more"));
    }
    left
}

/// Returns `sleep (process 12)`, or `None` for a process that has ended.
fn describe(proc: &OwnedFd, pid: Pid) -> Option<String> {
    let status = fds::read_in(proc, &format!("{pid}/status")).ok()?;
    let name = field(&status, "Name:")?;
    if !has_ended(&status)? {
        return Some(format!("{name} (process {pid})"));
    }
    let is_left = has_living_thread(proc, pid);
    is_left.then(|| format!("{name} (process {pid}, whose main thread has ended)"))
}

/// Returns whether a process that `/proc` lists as ended still runs: that state is the main
/// thread's.
fn has_living_thread(proc: &OwnedFd, pid: Pid) -> bool {
    let directory = fds::open_in(proc, &format!("{pid}/task"));
    let threads = directory.and_then(|directory| fds::names_in(&directory)).unwrap_or_default();
    let status = |thread: &String| fds::read_in(proc, &format!("{pid}/task/{thread}/status")).ok();
    threads.iter().filter_map(status).any(|status| has_ended(&status) == Some(false))
}

/// Returns whether the thread with this `status` file (`proc_pid_status(5)`) has ended.
fn has_ended(status: &str) -> Option<bool> {
    Some(field(status, "State:")?.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_has_ended_and_a_stopped_process_has_not() {
        let status = |state| has_ended(&format!("Name:\tsleep\nState:\t{state}\n"));
        assert_eq!(status("Z (zombie)"), Some(true));
        assert_eq!(status("X (dead)"), Some(true));
        assert_eq!(status("T (stopped)"), Some(false));
        assert_eq!(has_ended(""), None);
    }
}
