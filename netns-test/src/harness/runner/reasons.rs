//! Reasons for which a test has failed, as sentences. Pure.

use crate::error::Failure;
use crate::evidence::escapes;
use crate::harness::protocol::death;
use crate::harness::protocol::messages::End;
use crate::harness::protocol::report::{Ended, Record};
use crate::harness::protocol::stage::Stage;
use crate::sys::process::Status;
use crate::sys::process::signals;

pub(crate) fn lost(end: End) -> String {
    let init = "the test was lost: the init process of its namespaces";
    if end.overdue {
        return format!("{init} did not report within 15 s of the test's timeout, and was killed");
    }
    format!("{init} {} without a report{}", describe(end.status), death::of_harness(end.status))
}

pub(crate) fn not_isolated(failure: &Failure) -> String {
    format!("the test was not started: {failure}")
}

/// Describes the end of a test's function, as a part of a sentence about the test.
pub(crate) fn end_of(record: &Record) -> String {
    match record {
        Record::Passed => "passed".into(),
        Record::Returned(1) => "returned an error, or the exit status 1".into(),
        Record::Returned(code) => format!("returned the exit status {code}"),
        Record::Panicked(message) | Record::PanickedUnseen(message) => {
            format!("panicked: {message}")
        }
        Record::PanickedWithValue => "panicked with a value of a type that is not a string".into(),
        Record::NotStarted(failure) | Record::Lacked(failure) => {
            format!("could not go on: {failure}")
        }
    }
}

/// Describes a process whose exit status does not match its record.
pub(crate) fn died_at_exit(record: &Record, status: Status) -> String {
    let status = describe(status);
    let died = format!("the test's process {status} while it exited, after the test had ended");
    with_end(died, record)
}

/// Appends the end of the test's function, unless it passed.
fn with_end(text: String, record: &Record) -> String {
    match record {
        Record::Passed => text,
        _ => format!("{text}\n  the test {}", end_of(record)),
    }
}

/// Describes the end of a process whose test had not begun, whatever its record is.
pub(crate) fn not_begun(ended: &Ended) -> String {
    let (step, object) = ended.stage.step();
    let reason = match &ended.record {
        Some(record) => format!("it {}", end_of(record)),
        None => format!("the process {}", describe(ended.status)),
    };
    not_isolated(&Failure::new(step, object, reason))
}

pub(crate) fn timed_out(after: u64, ended: &Ended) -> String {
    let limit = duration(after);
    match &ended.record {
        None if ended.stage == Stage::Body => {
            format!("the test did not end within its timeout of {limit}")
        }
        Some(record) if ended.stage == Stage::Body => {
            let late = format!(
                "the test ended, but its process did not exit within the test's timeout of {limit}"
            );
            with_end(late, record)
        }
        _ => {
            let (step, object) = ended.stage.step();
            let reason =
                format!("not done within {limit}, and the test's function was not entered");
            not_isolated(&Failure::new(step, object, reason))
        }
    }
}

/// Describes a test that has passed, but has left its network.
pub(crate) fn escaped(count: u64) -> String {
    let sends = escapes::sentence(count);
    format!("the test has passed, but {sends} in its own network, and NETNS_TEST_ESCAPE=fail")
}

pub(crate) fn killed(signal: i32, ended: &Ended) -> String {
    let name = signals::name(signal);
    if let (Some(limit), "SIGKILL") = (ended.used_up, name.as_str()) {
        return format!(
            "the test's process was killed by SIGKILL: it has used up the {limit} s of processor \
             time that it may have\n  raise the limit: `ulimit -t` (RLIMIT_CPU)"
        );
    }
    if ended.stack_overflow {
        return format!("the test's process was killed by {name}: the test overflowed its stack");
    }
    let hint = match name.as_str() {
        "SIGSEGV" => ": invalid memory access, or stack overflow in another thread",
        "SIGABRT" => ": abort, as from a second panic during a panic",
        "SIGKILL" => ": by the test itself, or by the kernel's OOM killer",
        "SIGXCPU" => ": it has used up its processor time; raise `ulimit -t` (RLIMIT_CPU)",
        "SIGXFSZ" => ": it has written a file beyond `ulimit -f` (RLIMIT_FSIZE)",
        "SIGSYS" => ": a system call that a seccomp filter refuses",
        _ => "",
    };
    format!("the test's process was killed by {name}{hint}")
}

pub(crate) fn describe(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exited with status {code}"),
        Status::Signaled(signal) => format!("was killed by {}", signals::name(signal)),
    }
}

/// Formats a duration in the largest unit that divides it, as in the attribute.
fn duration(milliseconds: u64) -> String {
    match milliseconds {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_the_attribute() {
        assert_eq!(duration(60_000), "1m");
        assert_eq!(duration(5_000), "5s");
        assert_eq!(duration(1_500), "1500ms");
    }
}
