//! The runner's watchdog for the server: notices and explains a server that is stopped or hangs.
//!
//! A test may wait long for namespaces or processes while others run. So there is no limit on a
//! server that runs, but one on a server that does nothing.

use std::time::{Duration, Instant};

use crate::harness::protocol::heartbeat::Heartbeat;
use crate::sys::fds;
use crate::sys::process::Pid;
use crate::sys::text::field;

/// Pause between two looks at the server. The watchdog counts looks instead of measuring time: a
/// runner that was stopped itself has not looked.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Looks at a stopped server after which a test that has not begun is given up.
const LOOKS_IF_STOPPED: u64 = 10;

/// Looks at a server that hangs for another reason after which such a test is given up. The kernel
/// may take long to create a namespace.
const LOOKS_IF_SILENT: u64 = 60;

/// Looks after the time limit of a test that has begun. Until then init enforces the limit, or the
/// server kills an init that does not.
const LOOKS_AFTER_LIMIT: u64 = 30;

/// Watchdog for one server, while the runner waits for a test.
#[derive(Debug)]
pub(crate) struct Watch {
    server: Pid,
    heartbeat: Heartbeat,
    limit: Option<Duration>,
    last: Instant,
    beats: u32,
    /// Looks in a row at a server that had not run since the look before.
    silent: u64,
}

impl Watch {
    /// Creates a watchdog for a test with this time limit.
    pub(crate) fn new(server: Pid, heartbeat: Heartbeat, limit: Option<Duration>) -> Self {
        Self { server, heartbeat, limit, last: Instant::now(), beats: heartbeat.beats(), silent: 0 }
    }

    /// Returns the reason for which the test is given up, if it is. Looks at most once each
    /// [`PAUSE`].
    pub(crate) fn look(&mut self, has_begun: impl FnOnce() -> bool) -> Option<String> {
        if self.last.elapsed() < PAUSE {
            return None;
        }
        self.last = Instant::now();
        let beats = self.heartbeat.beats();
        if beats != std::mem::replace(&mut self.beats, beats) {
            self.silent = 0;
            return None;
        }
        self.silent += 1;
        if self.silent < LOOKS_IF_STOPPED {
            return None;
        }
        let state = State::of(self.server);
        (self.silent >= self.looks_needed(state.is_stopped(), has_begun()))
            .then(|| state.explanation(self.server))
            .flatten()
    }

    /// Returns the number of looks after which the test is given up.
    fn looks_needed(&self, is_stopped: bool, has_begun: bool) -> u64 {
        let least = if is_stopped { LOOKS_IF_STOPPED } else { LOOKS_IF_SILENT };
        match self.limit {
            _ if !has_begun => least,
            // Init works without the server.
            Some(limit) => limit.as_secs().saturating_add(LOOKS_AFTER_LIMIT).max(least),
            None => LOOKS_IF_SILENT,
        }
    }
}

/// Returns an explanation if the server is still stopped.
pub(crate) fn still_stopped(server: Pid) -> Option<String> {
    let state = State::of(server);
    if state.is_stopped() { state.explanation(server) } else { None }
}

/// State and tracer of a process, from `/proc/<pid>/status`.
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
        let value = |name| field(status, name).map(str::to_owned);
        let tracer = value("TracerPid:").filter(|tracer| tracer != "0");
        Self { state: value("State:"), tracer }
    }

    fn is_stopped(&self) -> bool {
        self.tracer.is_none() && self.state.as_ref().is_some_and(|state| state.starts_with('T'))
    }

    /// Returns lines for the user, or `None` if a debugger holds the process, which is no fault.
    fn explanation(&self, pid: Pid) -> Option<String> {
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
    fn a_stopped_process_is_no_traced_and_no_waiting_one() {
        let stopped = state("T (stopped)", "0");
        assert!(stopped.is_stopped());
        let explanation = stopped.explanation(7).unwrap();
        assert!(
            explanation.contains("(process 7) is stopped") && explanation.contains("kill -CONT 7"),
            "{explanation}"
        );
        let traced = state("t (tracing stop)", "12");
        assert_eq!((traced.is_stopped(), traced.explanation(7)), (false, None));
        let waits = state("D (disk sleep)", "0");
        assert!(!waits.is_stopped());
        assert!(waits.explanation(7).unwrap().contains("= D (disk sleep)"));
        assert!(State::default().explanation(7).is_some());
    }

    #[test]
    fn a_test_that_has_begun_is_waited_for_as_long_as_its_own_time() {
        let watch = |limit| Watch::new(1, Heartbeat::new().unwrap(), limit);
        let five = watch(Some(Duration::from_secs(5)));
        assert_eq!(five.looks_needed(true, false), LOOKS_IF_STOPPED);
        assert_eq!(five.looks_needed(false, false), LOOKS_IF_SILENT);
        assert_eq!(five.looks_needed(true, true), 35);
        assert_eq!(watch(None).looks_needed(true, true), LOOKS_IF_SILENT);
        assert_eq!(watch(Some(Duration::MAX)).looks_needed(false, true), u64::MAX);
    }
}
