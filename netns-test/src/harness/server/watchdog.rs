//! The runner's own limit: a server that is stopped, or hangs, is noticed and told.
//!
//! A test that waits for namespaces or processes may wait long, while others run. So the limit is
//! on a server that does nothing: one that goes on is waited for.

use std::time::{Duration, Instant};

use crate::harness::protocol::heartbeat::Pulse;
use crate::sys::fds;
use crate::sys::process::Pid;

/// How often the runner looks. The looks are counted, and not the time: a runner that was stopped
/// itself has not looked.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// After so many looks at a server that is stopped no test is waited for that has not begun.
const LOOKS_IF_STOPPED: u64 = 10;

/// The same for one that hangs for another reason: the kernel may take long to make a namespace.
const LOOKS_IF_SILENT: u64 = 60;

/// What a test that has begun may take longer than its time limit: init keeps the time, and the
/// server kills an init that does not.
const LOOKS_AFTER_LIMIT: u64 = 30;

/// Looks at one server, while a test is waited for.
#[derive(Debug)]
pub(crate) struct Watch {
    server: Pid,
    pulse: Pulse,
    limit: Option<Duration>,
    last: Instant,
    beats: u32,
    /// Looks in a row at a server that had done nothing since the one before.
    silent: u64,
}

impl Watch {
    /// For a test with this time limit.
    pub(crate) fn new(server: Pid, pulse: Pulse, limit: Option<Duration>) -> Self {
        Self { server, pulse, limit, last: Instant::now(), beats: pulse.beats(), silent: 0 }
    }

    /// Why the test is no longer waited for, if so; looks no more often than it should.
    pub(crate) fn look(&mut self, has_begun: impl FnOnce() -> bool) -> Option<String> {
        if self.last.elapsed() < PAUSE {
            return None;
        }
        self.last = Instant::now();
        let beats = self.pulse.beats();
        if beats != std::mem::replace(&mut self.beats, beats) {
            self.silent = 0;
            return None;
        }
        self.silent += 1;
        if self.silent < LOOKS_IF_STOPPED {
            return None;
        }
        let state = State::of(self.server);
        (self.silent >= self.patience(state.is_stopped(), has_begun()))
            .then(|| state.told(self.server))
            .flatten()
    }

    /// How many looks are enough.
    fn patience(&self, is_stopped: bool, has_begun: bool) -> u64 {
        let least = if is_stopped { LOOKS_IF_STOPPED } else { LOOKS_IF_SILENT };
        match self.limit {
            _ if !has_begun => least,
            // Its init can do without a server.
            Some(limit) => limit.as_secs().saturating_add(LOOKS_AFTER_LIMIT).max(least),
            None => LOOKS_IF_SILENT,
        }
    }
}

/// Why a server that has been seen to be stopped before is not asked, if it still is.
pub(crate) fn still_stopped(server: Pid) -> Option<String> {
    let state = State::of(server);
    if state.is_stopped() { state.told(server) } else { None }
}

/// What `/proc` says of a process: `T (stopped)`, and who traces it.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    state: Option<String>,
    tracer: Option<String>,
}

impl State {
    fn of(pid: Pid) -> Self {
        let status = fds::read_small(&format!("/proc/{pid}/status"));
        status.map_or_else(|_| Self::default(), |status| Self::in_status(&status))
    }

    fn in_status(status: &str) -> Self {
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().to_owned())
        };
        let tracer = field("TracerPid:").filter(|tracer| tracer != "0");
        Self { state: field("State:"), tracer }
    }

    fn is_stopped(&self) -> bool {
        self.tracer.is_none() && self.state.as_ref().is_some_and(|state| state.starts_with('T'))
    }

    /// As lines for a person; nothing where a debugger holds the process, for as long as it likes.
    fn told(&self, pid: Pid) -> Option<String> {
        if self.tracer.is_some() {
            return None;
        }
        let state = self.state.as_deref().unwrap_or("(unknown)");
        let shown = format!("    State in /proc/{pid}/status = {state}");
        Some(if self.is_stopped() {
            format!(
                "the fork server (process {pid}) is stopped, as by SIGSTOP\n{shown}\n  \
                 let it go on: kill -CONT {pid}"
            )
        } else {
            format!(
                "the fork server (process {pid}) does not go on\n{shown}\n  \
                 see what it waits for: sudo cat /proc/{pid}/stack; a control group that is \
                 frozen is thawed by its freezer.state or cgroup.freeze"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &str, tracer: &str) -> State {
        State::in_status(&format!("Name:\tx\nState:\t{state}\nTracerPid:\t{tracer}\n"))
    }

    #[test]
    fn a_stopped_process_is_told_from_one_that_is_traced_or_waits() {
        let stopped = state("T (stopped)", "0");
        assert!(stopped.is_stopped());
        let told = stopped.told(7).unwrap();
        assert!(told.contains("(process 7) is stopped") && told.contains("kill -CONT 7"), "{told}");
        let traced = state("t (tracing stop)", "12");
        assert_eq!((traced.is_stopped(), traced.told(7)), (false, None));
        let waits = state("D (disk sleep)", "0");
        assert!(!waits.is_stopped());
        assert!(waits.told(7).unwrap().contains("= D (disk sleep)"));
        assert!(State::default().told(7).is_some());
    }

    #[test]
    fn a_test_that_has_begun_is_waited_for_as_long_as_its_own_time() {
        let watch = |limit| Watch::new(1, Pulse::new().unwrap(), limit);
        let five = watch(Some(Duration::from_secs(5)));
        assert_eq!(five.patience(true, false), LOOKS_IF_STOPPED);
        assert_eq!(five.patience(false, false), LOOKS_IF_SILENT);
        assert_eq!(five.patience(true, true), 35);
        assert_eq!(watch(None).patience(true, true), LOOKS_IF_SILENT);
        assert_eq!(watch(Some(Duration::MAX)).patience(false, true), u64::MAX);
    }
}
