//! From what init and server report to what libtest is told. Pure: the table of the
//! README, as code.

use super::wire::{End, Ended, Record, Report};
use crate::error::Failure;
use crate::sys::process::Status;
use crate::sys::signals;

/// What is known of a test when it is no longer waited for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Init has reported that it is the last, and is on its way out.
    Ended(Report),
    /// The server has reaped init; the report is what init said before, if anything.
    Gone { report: Option<Report>, end: End },
    /// Init has reported, but the kernel does not come to the end of the test's processes.
    Lingers(Option<Report>),
    /// The server ended before it could say anything; this is what is known of it.
    ServerLost(String),
    /// The request was not taken.
    NotRequested(Failure),
    /// There is nobody to take it, since this machine allows no sandbox.
    Refused(Failure),
}

/// What libtest is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The body ran to its end and said so.
    Passed,
    /// The body panicked with this message, which it has reported itself.
    Panicked(String),
    /// The body panicked with a value that is no text, which it has reported itself.
    PanickedWithValue,
    /// This machine allows no sandbox.
    Refused(Failure),
    /// The same, and that has been told to whoever wanted such tests to be skipped.
    Skipped,
    /// Anything else, with the reason.
    Failed(String),
}

/// A verdict, and lines for the person who reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) notes: Vec<String>,
}

/// Judges a test.
pub(super) fn judge(outcome: Outcome) -> Judgement {
    match outcome {
        Outcome::NotRequested(failure) => Judgement::failed(not_isolated(&failure)),
        Outcome::Refused(failure) => Judgement::refused(failure),
        Outcome::ServerLost(reason) => Judgement::failed(format!("the test was lost: {reason}")),
        Outcome::Ended(report) => judge_report(&report),
        Outcome::Gone { report, end } => {
            let judgement = match report {
                Some(report) => judge_report(&report),
                None => Judgement::failed(lost(end)),
            };
            if end.remains { judgement.with_a_process_left() } else { judgement }
        }
        Outcome::Lingers(Some(report)) => judge_report(&report).with_a_process_left(),
        Outcome::Lingers(None) => Judgement::failed("the report of the test makes no sense".into()),
    }
}

fn judge_report(report: &Report) -> Judgement {
    match report {
        Report::NotStarted(failure) => Judgement::failed(not_isolated(failure)),
        Report::Refused(failure) => Judgement::refused(failure.clone()),
        Report::Ended(ended) => judge_end(ended),
    }
}

fn lost(end: End) -> String {
    let init = "the test was lost: the init process of its namespaces";
    if end.overdue {
        return format!("{init} did not report within 15 s of the test's timeout, and was killed");
    }
    format!("{init} {} without a report", describe(end.status))
}

impl Judgement {
    pub(super) fn failed(reason: String) -> Self {
        Self { verdict: Verdict::Failed(reason), notes: Vec::new() }
    }

    /// One in an uninterruptible wait, as for a device or a file system that does not answer.
    fn with_a_process_left(mut self) -> Self {
        let note = "a process of the test cannot be ended, and is left with its namespaces";
        self.notes.push(note.into());
        self
    }

    fn refused(failure: Failure) -> Self {
        Self { verdict: Verdict::Refused(failure), notes: Vec::new() }
    }
}

fn not_isolated(failure: &Failure) -> String {
    format!("the test was not started: {failure}")
}

fn judge_end(ended: &Ended) -> Judgement {
    let verdict = verdict(ended);
    let mut notes = Vec::new();
    match &ended.record {
        Some(Record::PanickedUnseen(message)) => {
            notes.push(format!("the test panicked, without a stderr to say so: {message}"));
        }
        Some(Record::PanickedWithValue) => {
            notes.push("the test panicked with a value of a type that is not a string".into());
        }
        _ => {}
    }
    if !ended.left.is_empty() {
        notes
            .push(format!("the test left processes behind, now killed: {}", ended.left.join(", ")));
    }
    if verdict != Verdict::Passed {
        notes.extend(ended.limitations.iter().map(|what| format!("not isolated: {what}")));
    }
    Judgement { verdict, notes }
}

fn verdict(ended: &Ended) -> Verdict {
    if let Some(after) = ended.timed_out {
        return Verdict::Failed(timed_out(after, ended.record.as_ref()));
    }
    match (&ended.record, ended.status) {
        (Some(Record::NotStarted(failure)), _) => Verdict::Failed(not_isolated(failure)),
        (Some(Record::Panicked(message) | Record::PanickedUnseen(message)), _) => {
            Verdict::Panicked(message.clone())
        }
        (Some(Record::PanickedWithValue), _) => Verdict::PanickedWithValue,
        (Some(Record::Returned(1)), _) => {
            Verdict::Failed("the test returned an error, or the exit status 1".into())
        }
        (Some(Record::Returned(code)), _) => {
            Verdict::Failed(format!("the test returned the exit status {code}"))
        }
        (Some(Record::Passed), Status::Exited(0)) => Verdict::Passed,
        (Some(Record::Passed), status) => Verdict::Failed(format!(
            "the test's process {} while it exited, after the test had ended",
            describe(status),
        )),
        (None, Status::Exited(_)) => Verdict::Failed(format!(
            "the test's process {} before the test had ended",
            describe(ended.status),
        )),
        (None, Status::Signaled(signal)) => Verdict::Failed(killed(signal, ended)),
    }
}

fn timed_out(after: u64, record: Option<&Record>) -> String {
    let limit = duration(after);
    match record {
        None => format!("the test did not end within its timeout of {limit}"),
        Some(_) => format!(
            "the test ended, but its process did not exit within the test's timeout of {limit}"
        ),
    }
}

fn killed(signal: i32, ended: &Ended) -> String {
    let name = signals::name(signal);
    if ended.stack_overflow {
        return format!("the test's process was killed by {name}: the test overflowed its stack");
    }
    if let (Some(limit), "SIGKILL") = (ended.used_up, name.as_str()) {
        return format!(
            "the test's process was killed by SIGKILL: it has used up the {limit} s of processor \
             time that it may have\n  raise the limit: `ulimit -t` (RLIMIT_CPU)"
        );
    }
    let hint = match name.as_str() {
        "SIGSEGV" => ": invalid memory access, or stack overflow in another thread",
        "SIGABRT" => ": abort, as from a second panic during a panic",
        "SIGKILL" => ": by the test itself, or by the kernel for want of memory",
        "SIGXCPU" => ": it has used up its processor time; raise `ulimit -t` (RLIMIT_CPU)",
        "SIGXFSZ" => ": it has written a file beyond `ulimit -f` (RLIMIT_FSIZE)",
        "SIGSYS" => ": a system call that a seccomp filter refuses",
        _ => "",
    };
    format!("the test's process was killed by {name}{hint}")
}

fn describe(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exited with status {code}"),
        Status::Signaled(signal) => format!("was killed by {}", signals::name(signal)),
    }
}

/// In the largest unit that divides it, as it is written in the attribute.
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

    fn ended(status: Status, record: Option<Record>) -> Ended {
        Ended {
            status,
            record,
            timed_out: None,
            stack_overflow: false,
            left: Vec::new(),
            is_alone: true,
            limitations: Vec::new(),
            used_up: None,
        }
    }

    fn judged(ended: Ended) -> Verdict {
        let end = End { status: Status::Exited(0), overdue: false, remains: false };
        judge(Outcome::Gone { report: Some(Report::Ended(ended)), end }).verdict
    }

    #[test]
    fn only_a_record_and_a_clean_exit_pass() {
        assert_eq!(judged(ended(Status::Exited(0), Some(Record::Passed))), Verdict::Passed);
        let records = [
            None,
            Some(Record::Returned(0)),
            Some(Record::Panicked(String::new())),
            Some(Record::PanickedUnseen(String::new())),
            Some(Record::PanickedWithValue),
            Some(Record::NotStarted(Failure::new("a", "b", "c"))),
        ];
        for record in records {
            assert_ne!(judged(ended(Status::Exited(0), record)), Verdict::Passed);
        }
        for status in [Status::Exited(1), Status::Signaled(11)] {
            assert_ne!(judged(ended(status, Some(Record::Passed))), Verdict::Passed);
        }
        let mut late = ended(Status::Exited(0), Some(Record::Passed));
        late.timed_out = Some(5_000);
        assert_ne!(judged(late), Verdict::Passed);
    }

    #[test]
    fn a_limit_on_processor_time_is_no_want_of_memory() {
        let told = |signal, used_up| {
            let Verdict::Failed(told) =
                judged(Ended { used_up, ..ended(Status::Signaled(signal), None) })
            else {
                panic!("it has not failed");
            };
            told
        };
        assert!(told(9, None).contains("for want of memory"));
        assert!(told(9, Some(2)).contains("used up the 2 s of processor time"));
        assert!(told(24, Some(2)).contains("SIGXCPU: it has used up its processor time"));
    }

    #[test]
    fn a_test_without_a_report_fails() {
        for status in [Status::Exited(0), Status::Signaled(9)] {
            for overdue in [false, true] {
                let end = End { status, overdue, remains: false };
                let verdict = judge(Outcome::Gone { report: None, end }).verdict;
                assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
            }
        }
        assert!(matches!(judge(Outcome::Lingers(None)).verdict, Verdict::Failed(_)));
        let lost = judge(Outcome::ServerLost("it was killed".into())).verdict;
        assert_eq!(lost, Verdict::Failed("the test was lost: it was killed".into()));
    }

    #[test]
    fn what_cannot_be_ended_is_told() {
        let report = || Some(Report::Ended(ended(Status::Exited(0), Some(Record::Passed))));
        for remains in [false, true] {
            let end = End { status: Status::Signaled(9), overdue: true, remains };
            for report in [None, report()] {
                let notes = judge(Outcome::Gone { report, end }).notes;
                assert_eq!(notes.iter().any(|note| note.contains("is left")), remains);
            }
        }
        assert!(judge(Outcome::Lingers(report())).notes[0].contains("is left"));
    }

    /// Only that is what a policy may skip.
    #[test]
    fn a_refusal_is_no_failure_of_another_kind() {
        let failure = || Failure::new("clone", "user namespace", "EPERM");
        let end = End { status: Status::Exited(0), overdue: false, remains: false };
        for report in [Report::Refused(failure()), Report::NotStarted(failure())] {
            let is_refusal = matches!(report, Report::Refused(_));
            let verdict = judge(Outcome::Gone { report: Some(report), end }).verdict;
            assert_eq!(matches!(verdict, Verdict::Refused(_)), is_refusal, "{verdict:?}");
            assert!(is_refusal || matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
        }
        assert_eq!(judge(Outcome::Refused(failure())).verdict, Verdict::Refused(failure()));
    }

    #[test]
    fn limitations_are_told_with_failures_only() {
        let mut passed = ended(Status::Exited(0), Some(Record::Passed));
        passed.limitations = vec!["/proc".into()];
        let mut failed = ended(Status::Exited(1), None);
        failed.limitations = vec!["/proc".into()];
        assert_eq!(judge_end(&passed).notes, Vec::<String>::new());
        assert_eq!(judge_end(&failed).notes, ["not isolated: /proc"]);
    }

    #[test]
    fn durations_are_written_as_in_the_attribute() {
        assert_eq!(duration(60_000), "1m");
        assert_eq!(duration(5_000), "5s");
        assert_eq!(duration(1_500), "1500ms");
    }
}
