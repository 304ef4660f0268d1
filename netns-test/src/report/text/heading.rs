//! The first lines of a report: what failed, where, and why. Pure.

use std::time::Duration;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::explain::Cause;
use crate::report::escape::{escape, wrap};
use crate::report::source::Excerpt;
use crate::report::text::concern::panic_of;
use crate::report::text::page::{COLUMNS, Rank, Section};

/// Most causes with their proof, and lines of one.
const MOST_CAUSES: usize = 3;
const MOST_LINES: usize = 9;

/// Most lines of a message.
const MOST_MESSAGE: usize = 6;

/// Occasion of a text about a test that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It runs on, up to this limit.
    Meanwhile(Option<Duration>),
    /// The test runner has gone.
    Interrupted {
        /// Limit of the test itself.
        limit: Option<Duration>,
        is_nextest: bool,
    },
}

/// Returns the line that says which test failed, how and when.
pub(crate) fn headline(ending: &Ending, facts: &Facts) -> String {
    let how = match ending.kind {
        EndKind::TimedOut => "TIMED OUT",
        EndKind::Passed => "passed",
        _ => "FAILED",
    };
    let mut line = format!("netns-test: {} {how} after {}", ending.test, seconds(ending.after));
    match (ending.attempt, ending.attempts) {
        (0 | 1, 0 | 1) => {}
        (attempt, 0) => line += &format!(" (attempt {attempt})"),
        (attempt, attempts) => line += &format!(" (attempt {attempt} of {attempts})"),
    }
    let node = panic_of(ending, facts).map_or("", |event| event.node.as_str());
    if !node.is_empty() && ending.kind == EndKind::Panicked {
        line += &format!(", on node {node}");
    }
    line
}

/// Returns the lines that say how long a test has run that has not ended.
pub(crate) fn still_runs(ending: &Ending, occasion: Occasion) -> Vec<String> {
    let (test, after) = (&ending.test, seconds(ending.after));
    let start = format!("netns-test: {test}");
    match occasion {
        Occasion::Meanwhile(limit) => {
            let limit = limit.map_or("no limit".into(), |limit| format!("a limit of {limit:?}"));
            let end = "nextest may end it before (slow-timeout). It then has less time to say why.";
            vec![format!("{start} still runs after {after}, and has {limit}."), end.into()]
        }
        Occasion::Interrupted { limit, is_nextest } => {
            let limit = limit.map_or("The test has no limit: set one".into(), |limit| {
                format!("The test's limit is {limit:?}: set it")
            });
            let line = format!(
                "nextest has ended the test or the run. {limit} below nextest's slow-timeout."
            );
            let first = format!("{start} INTERRUPTED after {after}: the test run was ended");
            std::iter::once(first).chain(is_nextest.then_some(line)).collect()
        }
    }
}

/// Returns the beginning of the verdict's message.
pub(crate) fn message(ending: &Ending) -> impl Iterator<Item = String> + '_ {
    ending.message.lines().take(MOST_MESSAGE).map(|line| format!("  {line}"))
}

/// Returns the source around the panic.
pub(crate) fn source(excerpt: &Excerpt) -> Section {
    let row = |(number, text): &(usize, String)| {
        let mark = if *number == excerpt.line { '>' } else { ' ' };
        format!("{mark} {number:>4} | {text}")
    };
    let rows = excerpt.lines.iter().map(row).collect();
    Section { rows, least: 3, rank: Rank::Cause, ..Section::default() }
}

/// Returns the causes with proof and remedy. The best has most room.
pub(crate) fn causes(causes: &[Cause], is_utf8: bool) -> Vec<Section> {
    let some = causes.iter().take(MOST_CAUSES).enumerate();
    let mut sections: Vec<Section> = some
        .map(|(place, cause)| {
            let rank = if place == 0 { Rank::Cause } else { Rank::Topology };
            let mut rows = cause_rows(cause, is_utf8);
            rows.insert(0, String::new());
            Section { rows, least: MOST_LINES, rank, ..Section::default() }
        })
        .collect();
    if causes.len() > MOST_CAUSES {
        let rows = vec![format!("  ... {} more causes", causes.len() - MOST_CAUSES)];
        sections.push(Section { rows, ..Section::default() });
    }
    sections
}

fn cause_rows(cause: &Cause, is_utf8: bool) -> Vec<String> {
    let wrapped = |text: &str, first: &str| {
        let text = escape(text, is_utf8);
        let lines = wrap(&text, COLUMNS - 2 - first.len()).into_iter().enumerate();
        let lines = lines.map(|(at, line)| match at {
            0 => format!("{first}{line}"),
            _ => format!("{:indent$}{line}", "", indent = first.len().min(7)),
        });
        lines.collect::<Vec<_>>()
    };
    let mut rows = wrapped(&cause.text, &format!("Cause ({}): ", cause.certainty.word()));
    rows.extend(cause.proof.iter().flat_map(|text| wrapped(text, "  ")));
    rows.truncate(MOST_LINES - 2);
    let remedy = cause.remedy.iter().enumerate();
    let remedy =
        remedy.flat_map(|(at, text)| wrapped(text, if at == 0 { "  Try: " } else { "  or:  " }));
    rows.extend(remedy.take(4));
    rows
}

/// Formats a time as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
