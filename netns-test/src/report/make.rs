//! Makes the report of a test: from the evidence that init has sent to the text that follows the
//! verdict, and the files of its bundle.

use crate::env;
use crate::env::{Escape, Report};
use crate::evidence::code::Fact as _;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::explain;
use crate::explain::Cause;
use crate::report::bundle::contents::File;
use crate::report::bundle::{contents, place, result, write};
use crate::report::text::{Around, panic_of};
use crate::report::{rerun, source, text};

/// Returns the lines of the report, from the bytes that init has sent. Writes the bundle if it
/// `is_kept`.
pub(crate) fn report(ending: Ending, evidence: &[u8], is_kept: bool) -> Vec<String> {
    let facts = facts(evidence);
    let after = facts.began.map(|began| facts.ended.saturating_sub(began)).unwrap_or_default();
    let mut around = around(&ending, &facts);
    let lines = around.excerpt.iter().flat_map(|excerpt| &excerpt.lines);
    let source = lines.map(|(_, line)| line.clone()).collect();
    let statement = around.excerpt.as_ref().map(|excerpt| excerpt.statement.clone());
    let statement = statement.unwrap_or_default();
    let ending = Ending { after, source, statement, ..ending };
    let causes = match ending.kind {
        EndKind::Passed | EndKind::NotRun => Vec::new(),
        _ => explain::causes(&ending, &facts),
    };
    if is_kept {
        keep(&ending, &facts, &causes, &mut around);
    }
    match ending.kind {
        EndKind::Passed => {
            around.problems.iter().map(|text| format!("netns-test: {text}")).collect()
        }
        _ => text::lines(&ending, &facts, &causes, &around),
    }
}

/// Reads what init has sent. Without that there is none.
fn facts(evidence: &[u8]) -> Facts {
    if evidence.is_empty() {
        return Facts::default();
    }
    let unreadable = || Facts {
        gaps: vec!["what the test's init has collected".to_owned()],
        ..Facts::default()
    };
    Facts::decoded(evidence).unwrap_or_else(unreadable)
}

fn around(ending: &Ending, facts: &Facts) -> Around {
    let run = env::test_run();
    let panic = panic_of(ending, facts).filter(|_| ending.kind == EndKind::Panicked);
    let place = panic.and_then(|event| event.detail("place"));
    Around {
        excerpt: place.and_then(|place| source::at(place, run.manifest.as_deref())),
        again: rerun::command(run, &ending.binary, &ending.test),
        is_utf8: run.is_utf8,
        is_short: env::report() == Report::Short,
        hides_escapes: env::escape() == Escape::Off,
        ..Around::default()
    }
}

/// Writes the bundle, and notes where, or why not.
fn keep(ending: &Ending, facts: &Facts, causes: &[Cause], around: &mut Around) {
    let run = env::test_run();
    let Some(place) = place::of(ending, run) else { return };
    let mut files = contents::files(facts);
    for file in files.iter().filter(|file| file.left_out > 0) {
        let (name, left_out) = (&file.name, file.left_out);
        around.problems.push(format!("the evidence was cut: {name} lacks {left_out} bytes"));
    }
    around.evidence = place.shown(run);
    let alone = Around { has_message: true, ..around.clone() };
    let report = text::all_lines(ending, facts, causes, &alone).join("\n") + "\n";
    let result = result::json(ending, facts, causes, (run, &files));
    for (name, text) in [("report.txt", report), ("result.json", result)] {
        files.push(File { name: name.into(), content: text.into_bytes(), left_out: 0 });
    }
    if let Err(problem) = write::write(&place, &files) {
        around.problems = vec![problem];
        around.evidence.clear();
    }
}
