//! The verdict for libtest, from the reports of init and server. Pure: the table of verdicts in
//! the README, as code.

use crate::error::Failure;
use crate::harness::protocol::messages::End;
use crate::harness::protocol::report::{Ended, FAILED, PASSED, Record, Report};
use crate::harness::protocol::stage::Stage;
use crate::harness::runner::reasons::{
    describe, died_at_exit, end_of, escaped, killed, lost, not_begun, not_isolated, timed_out,
};
use crate::sys::process::Status;

/// Facts about a test when the runner stops waiting for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Init has reported that it is the last process, and is ending.
    Ended(Report),
    /// The server has reaped init. The report is the one that init sent before, if any.
    Gone { report: Option<Report>, end: End },
    /// Init has reported, but the end of the test's processes is not known: they do not end, or the
    /// `server` does not run, for this reason.
    Lingers { report: Option<Report>, server: Option<String> },
    /// The server ended before the end of the test; with the reason, as far as it is known.
    ServerLost(String),
    /// The request was not sent.
    NotRequested(Failure),
    /// There is no server: this machine allows no sandbox.
    Refused(Failure),
}

/// Verdict on a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body has run to its end and recorded a success.
    Passed,
    /// The body panicked with this message, which it has printed.
    Panicked(String),
    /// The body panicked with a value that is not a string, and has printed so.
    PanickedWithValue,
    /// This machine allows no sandbox.
    Refused(Failure),
    /// This machine allows no sandbox; the test was skipped, and the skip reported.
    Skipped,
    /// Any other failure, with the reason.
    Failed(String),
}

/// Verdict, and notes for the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) notes: Vec<String>,
}

/// Returns the verdict on a test.
pub(crate) fn judge(outcome: Outcome) -> Judgement {
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
        Outcome::Lingers { report: Some(report), server: None } => {
            judge_report(&report).with_a_process_left()
        }
        Outcome::Lingers { report: Some(report), server: Some(reason) } => {
            let mut judgement = judge_report(&report);
            judgement.notes.push(format!(
                "it is not known whether the test's last processes have ended: {reason}"
            ));
            judgement
        }
        Outcome::Lingers { report: None, .. } => {
            Judgement::failed("the test was lost: the report of its init cannot be decoded".into())
        }
    }
}

fn judge_report(report: &Report) -> Judgement {
    match report {
        Report::NotStarted(failure) => Judgement::failed(not_isolated(failure)),
        Report::Refused(failure) => Judgement::refused(failure.clone()),
        Report::Ended(ended) => judge_end(ended),
    }
}

impl Judgement {
    pub(crate) fn failed(reason: String) -> Self {
        Self { verdict: Verdict::Failed(reason), notes: Vec::new() }
    }

    /// Notes a process in an uninterruptible wait, as for a device or a file system that does not
    /// answer.
    fn with_a_process_left(mut self) -> Self {
        let note = "a process of the test cannot be ended, and is left with its namespaces";
        self.notes.push(note.into());
        self
    }

    fn refused(failure: Failure) -> Self {
        Self { verdict: Verdict::Refused(failure), notes: Vec::new() }
    }
}

fn judge_end(ended: &Ended) -> Judgement {
    let verdict = verdict(ended);
    let mut notes = Vec::new();
    match (&ended.record, &verdict) {
        // The reason of the failure contains it.
        (_, Verdict::Failed(_)) => {}
        (Some(Record::PanickedUnseen(message)), _) => {
            notes.push(format!("the test panicked, without a stderr to say so: {message}"));
        }
        (Some(Record::PanickedWithValue), _) => {
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

/// Returns `Passed` or a panic only if the exit status of the process matches its record.
fn verdict(ended: &Ended) -> Verdict {
    if let Some(after) = ended.timed_out {
        return Verdict::Failed(timed_out(after, ended));
    }
    let failed = Status::Exited(FAILED);
    match (&ended.record, ended.status) {
        (None, _) if ended.stage != Stage::Body => Verdict::Failed(not_begun(ended)),
        (None, Status::Exited(_)) => Verdict::Failed(format!(
            "the test's process {} before the test had ended",
            describe(ended.status),
        )),
        (None, Status::Signaled(signal)) => Verdict::Failed(killed(signal, ended)),
        (Some(Record::NotStarted(failure)), _) => Verdict::Failed(not_isolated(failure)),
        (Some(Record::Lacked(failure)), _) => {
            Verdict::Failed(format!("the test could not go on: {failure}"))
        }
        (Some(Record::Panicked(_) | Record::PanickedUnseen(_) | Record::PanickedWithValue), _)
            if ended.stage != Stage::Body =>
        {
            Verdict::Failed(not_begun(ended))
        }
        (Some(Record::Passed), Status::Exited(PASSED)) if ended.escaped > 0 => {
            Verdict::Failed(escaped(ended.escaped))
        }
        (Some(Record::Passed), Status::Exited(PASSED)) => Verdict::Passed,
        (Some(Record::Panicked(message) | Record::PanickedUnseen(message)), status)
            if status == failed =>
        {
            Verdict::Panicked(message.clone())
        }
        (Some(Record::PanickedWithValue), status) if status == failed => Verdict::PanickedWithValue,
        (Some(record @ Record::Returned(_)), status) if status == failed => {
            Verdict::Failed(format!("the test {}", end_of(record)))
        }
        (Some(record), status) => Verdict::Failed(died_at_exit(record, status)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn ended(status: Status, record: Option<Record>) -> Ended {
        Ended {
            status,
            record,
            stage: Stage::Body,
            timed_out: None,
            stack_overflow: false,
            left: Vec::new(),
            is_alone: true,
            limitations: Vec::new(),
            used_up: None,
            escaped: 0,
        }
    }

    fn lingers(report: Option<Report>, server: Option<String>) -> Outcome {
        Outcome::Lingers { report, server }
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
        let mut escaped = ended(Status::Exited(0), Some(Record::Passed));
        escaped.escaped = 1;
        assert_ne!(judged(escaped), Verdict::Passed);
    }

    fn every_record() -> [Record; 7] {
        let failure = || Failure::new("a", "b", "c");
        [
            Record::Passed,
            Record::Returned(1),
            Record::Panicked("the message".into()),
            Record::PanickedUnseen("the message".into()),
            Record::PanickedWithValue,
            Record::NotStarted(failure()),
            Record::Lacked(failure()),
        ]
    }

    /// Only the exit status 101 makes a panic the test's, which passes a `#[should_panic]` test.
    #[test]
    fn each_record_goes_with_one_status() {
        let wrong = [
            Status::Exited(PASSED),
            Status::Exited(1),
            Status::Exited(FAILED),
            Status::Signaled(6),
            Status::Signaled(9),
        ];
        for record in every_record() {
            let is_panic = matches!(
                record,
                Record::Panicked(_) | Record::PanickedUnseen(_) | Record::PanickedWithValue
            );
            for status in wrong {
                let is_right = match record {
                    Record::Passed => status == Status::Exited(PASSED),
                    _ => status == Status::Exited(FAILED),
                };
                let text = format!("{record:?}, {status:?}");
                let verdict = verdict(&ended(status, Some(copy(&record))));
                let is_success = !matches!(verdict, Verdict::Failed(_));
                let may_be = is_right && (is_panic || record == Record::Passed);
                assert_eq!(is_success, may_be, "{text}: {verdict:?}");
                let Verdict::Failed(reason) = verdict else { continue };
                if !is_right && !matches!(record, Record::NotStarted(_) | Record::Lacked(_)) {
                    assert!(reason.contains(&describe(status)), "{text}: {reason}");
                }
                if matches!(record, Record::Panicked(_) | Record::PanickedUnseen(_)) {
                    assert!(reason.contains("the message"), "{text}: {reason}");
                }
            }
        }
    }

    fn copy(record: &Record) -> Record {
        let (kind, text) = record.to_parts();
        Record::from_parts(kind, &text).unwrap()
    }

    /// A record or exit before the test's function is not the test's.
    #[test]
    fn a_test_that_has_not_begun_neither_panics_nor_runs_late() {
        let before = [Stage::Surroundings, Stage::Constructors, Stage::Thread, Stage::Runtime];
        for stage in before.into_iter().chain([Stage::Attribute]) {
            let records = every_record().into_iter().filter(|record| *record != Record::Passed);
            for record in records.map(Some).chain([None]) {
                for timed_out in [None, Some(12_000)] {
                    let is_record = record.is_some();
                    let record = record.as_ref().map(copy);
                    let status = Status::Exited(FAILED);
                    let judged = verdict(&Ended { stage, timed_out, ..ended(status, record) });
                    let Verdict::Failed(reason) = judged else { panic!("{stage:?}: {judged:?}") };
                    let (step, object) = stage.step();
                    let text = format!("the test was not started: {step} {object}: ");
                    assert!(is_record || reason.contains(&text), "{reason}");
                }
            }
        }
    }

    #[test]
    fn a_limit_on_processor_time_is_no_want_of_memory() {
        let text = |signal, used_up| {
            let Verdict::Failed(text) =
                judged(Ended { used_up, ..ended(Status::Signaled(signal), None) })
            else {
                panic!("it has not failed");
            };
            text
        };
        assert!(text(9, None).contains("OOM killer"));
        assert!(text(9, Some(2)).contains("used up the 2 s of processor time"));
        assert!(text(24, Some(2)).contains("SIGXCPU: it has used up its processor time"));
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
        assert!(matches!(judge(lingers(None, None)).verdict, Verdict::Failed(_)));
        let lost = judge(Outcome::ServerLost("it was killed".into())).verdict;
        assert_eq!(lost, Verdict::Failed("the test was lost: it was killed".into()));
    }

    #[test]
    fn processes_that_cannot_be_ended_are_noted() {
        let report = || Some(Report::Ended(ended(Status::Exited(0), Some(Record::Passed))));
        for remains in [false, true] {
            let end = End { status: Status::Signaled(9), overdue: true, remains };
            for report in [None, report()] {
                let notes = judge(Outcome::Gone { report, end }).notes;
                assert_eq!(notes.iter().any(|note| note.contains("is left")), remains);
            }
        }
        assert!(judge(lingers(report(), None)).notes[0].contains("is left"));
        let stopped = judge(lingers(report(), Some("it is stopped".into())));
        assert_eq!(stopped.verdict, Verdict::Passed);
        assert!(!stopped.notes[0].contains("is left"), "{stopped:?}");
        assert!(stopped.notes[0].contains("not known") && stopped.notes[0].contains("is stopped"));
    }

    /// The policy may skip a refusal only.
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
    fn limitations_are_noted_with_failures_only() {
        let mut passed = ended(Status::Exited(0), Some(Record::Passed));
        passed.limitations = vec!["/proc".into()];
        let mut failed = ended(Status::Exited(1), None);
        failed.limitations = vec!["/proc".into()];
        assert_eq!(judge_end(&passed).notes, Vec::<String>::new());
        assert_eq!(judge_end(&failed).notes, ["not isolated: /proc"]);
    }
}
