//! The kind of a test's end, from the reports of init and server. Pure.

use crate::evidence::ending::EndKind;
use crate::harness::protocol::report::{Ended, FAILED, PASSED, Record, Report};
use crate::harness::protocol::stage::Stage;
use crate::harness::runner::verdict::Outcome;
use crate::sys::process::Status;

/// Returns how a test that has not passed has ended.
pub(crate) fn kind(outcome: &Outcome) -> EndKind {
    let report = match outcome {
        Outcome::Ended(report) => Some(report),
        Outcome::Gone { report, .. } | Outcome::Lingers { report, .. } => report.as_ref(),
        Outcome::ServerLost(_) | Outcome::NotRequested(_) | Outcome::Refused(_) => None,
    };
    match report {
        Some(Report::Ended(ended)) => of_process(ended),
        Some(Report::NotStarted(_) | Report::Refused(_)) | None => EndKind::NotRun,
    }
}

fn of_process(ended: &Ended) -> EndKind {
    if ended.stage != Stage::Body {
        return EndKind::NotRun;
    }
    if ended.timed_out.is_some() {
        return EndKind::TimedOut;
    }
    match (&ended.record, ended.status) {
        (Some(Record::Passed), Status::Exited(PASSED)) if ended.escaped > 0 => EndKind::Escaped,
        (Some(Record::NotStarted(_) | Record::Lacked(_)), _) => EndKind::NotRun,
        (Some(Record::Returned(_)), Status::Exited(FAILED)) => EndKind::Returned,
        (
            Some(Record::Panicked(_) | Record::PanickedUnseen(_) | Record::PanickedWithValue),
            Status::Exited(FAILED),
        ) => EndKind::Panicked,
        (_, Status::Exited(_)) => EndKind::Exited,
        (_, Status::Signaled(_)) => EndKind::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;
    use crate::harness::runner::verdict::tests::ended;

    fn kind_of(status: Status, record: Option<Record>) -> EndKind {
        kind(&Outcome::Ended(Report::Ended(ended(status, record))))
    }

    #[test]
    fn each_end_has_its_kind() {
        let failed = Status::Exited(FAILED);
        let panicked = || Some(Record::Panicked("text".into()));
        assert_eq!(kind_of(failed, panicked()), EndKind::Panicked);
        assert_eq!(kind_of(failed, Some(Record::PanickedWithValue)), EndKind::Panicked);
        assert_eq!(kind_of(failed, Some(Record::Returned(1))), EndKind::Returned);
        assert_eq!(kind_of(failed, None), EndKind::Exited);
        assert_eq!(kind_of(Status::Exited(0), panicked()), EndKind::Exited);
        assert_eq!(kind_of(Status::Signaled(6), panicked()), EndKind::Killed);
        assert_eq!(kind_of(Status::Signaled(11), None), EndKind::Killed);
        assert_eq!(kind_of(Status::Exited(1), Some(Record::Passed)), EndKind::Exited);
    }

    #[test]
    fn a_test_that_was_over_time_has_timed_out_if_it_had_begun() {
        let late =
            |stage| Ended { timed_out: Some(300), stage, ..ended(Status::Signaled(9), None) };
        let of = |stage| {
            let report = Some(Report::Ended(late(stage)));
            kind(&Outcome::Lingers { report, server: None })
        };
        assert_eq!(of(Stage::Body), EndKind::TimedOut);
        assert_eq!(of(Stage::Runtime), EndKind::NotRun);
    }

    #[test]
    fn a_test_without_a_body_was_not_run() {
        let failure = || Failure::new("a", "b", "c");
        let outcomes = [
            Outcome::Lingers { report: None, server: None },
            Outcome::ServerLost(String::new()),
            Outcome::NotRequested(failure()),
            Outcome::Refused(failure()),
            Outcome::Ended(Report::NotStarted(failure())),
        ];
        assert!(outcomes.iter().all(|outcome| kind(outcome) == EndKind::NotRun));
        let lacked = Some(Record::Lacked(failure()));
        assert_eq!(kind_of(Status::Exited(FAILED), lacked), EndKind::NotRun);
    }
}
