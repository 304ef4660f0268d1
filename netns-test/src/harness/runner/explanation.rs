//! The explanation of a test that has not passed: whether there is one, and of which end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::env;
use crate::env::{Keep, Report};
use crate::evidence::ending::{EndKind, Ending};
use crate::harness::runner::verdict::Verdict;
use crate::registry::case::{Case, ShouldPanic};
use crate::report::make;

/// Returns the lines of the report, and writes the bundle. `kind` is the end of a test that has not
/// passed, `error` what its function has returned. Nothing of that changes the verdict.
pub(crate) fn of(
    case: &Case,
    verdict: &Verdict,
    (kind, error): (EndKind, Option<&str>),
    evidence: &[u8],
) -> Vec<String> {
    let Ok(settings) = env::settings() else { return Vec::new() };
    if settings.report == Report::Off {
        return Vec::new();
    }
    let kind = match verdict {
        Verdict::Refused(_) | Verdict::Skipped => return Vec::new(),
        Verdict::Passed => EndKind::Passed,
        Verdict::Panicked(_) | Verdict::PanickedWithValue
            if case.should_panic != ShouldPanic::No =>
        {
            EndKind::Passed
        }
        _ => kind,
    };
    let is_kept = match settings.keep {
        Keep::All => true,
        Keep::Failed => kind != EndKind::Passed,
        Keep::None => false,
    };
    let is_kept = is_kept && (kind != EndKind::NotRun || !evidence.is_empty());
    if kind == EndKind::Passed && !is_kept {
        return Vec::new();
    }
    let explained =
        AssertUnwindSafe(|| make::report(ending(case, verdict, (kind, error)), evidence, is_kept));
    let failed = |_| vec!["netns-test: the report could not be made".to_owned()];
    catch_unwind(explained).unwrap_or_else(failed)
}

fn ending(case: &Case, verdict: &Verdict, (kind, error): (EndKind, Option<&str>)) -> Ending {
    let message = match (verdict, error) {
        (Verdict::Failed(message), Some(error)) => format!("{message}: {error}"),
        (Verdict::Panicked(message) | Verdict::Failed(message), _) => message.clone(),
        _ => String::new(),
    };
    Ending { kind, message, ..make::named(case.path()) }
}
