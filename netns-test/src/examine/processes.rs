//! Reads the processes of a test from `/proc`.

use std::os::fd::OwnedFd;

use crate::evidence::facts::Look;
use crate::evidence::facts::process::Process;
use crate::examine::Sources;
use crate::sys::fds;
use crate::sys::process;
use crate::sys::process::Pid;

/// Reads all processes in `proc` but init and its examiner.
pub(crate) fn read(sources: &Sources<'_>, look: &mut Look) {
    let Sources { proc, body, .. } = *sources;
    let own = [1, process::id()];
    let names = match fds::names_in(proc) {
        Ok(names) => names,
        Err(error) => return look.gaps.push(format!("the list of processes: {error}")),
    };
    let pids = names.iter().filter_map(|name| name.parse::<Pid>().ok());
    for pid in pids.filter(|pid| !own.contains(pid)) {
        look.processes.extend(process(proc, pid, body));
    }
}

/// Reads a process; none if it has ended.
fn process(proc: &OwnedFd, pid: Pid, body: Pid) -> Option<Process> {
    let name = fds::read_in(proc, &format!("{pid}/comm")).ok()?;
    Some(Process {
        pid: pid.unsigned_abs(),
        is_body: pid == body,
        name: name.trim_end().to_owned(),
        ..Process::default()
    })
}
