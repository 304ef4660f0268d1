//! Makes the report of a test: from the evidence that init has sent to the text that follows the
//! verdict, and the files of its bundle.

use crate::env;
use crate::env::{Escape, Keep, Report};
use crate::evidence::code::Fact as _;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::explain;
use crate::explain::Cause;
use crate::report::bundle::contents::File;
use crate::report::bundle::{contents, place, result, write};
use crate::report::text::{Around, Occasion, panic_of};
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

/// Returns an end of the test with this name, as it is named in texts and paths.
pub(crate) fn named(test: String) -> Ending {
    let run = env::test_run();
    let binary = binary().unwrap_or_default();
    let package = run.package.clone().unwrap_or_else(|| binary.clone());
    let (attempt, attempts) = (run.attempt.max(1), run.attempts);
    Ending { test, binary, package, attempt, attempts, ..Ending::default() }
}

/// Returns the whole report of a test whose runner has gone.
pub(crate) fn interrupted(ending: &Ending, facts: &Facts, occasion: Occasion) -> String {
    let causes = explain::causes(ending, facts);
    let around = Around { occasion: Some(occasion), ..around(ending, facts) };
    text::all_lines(ending, facts, &causes, &around).join("\n") + "\n"
}

/// Keeps such a report, if the user wants it: the only file of its bundle. Returns a line about
/// that.
pub(crate) fn keep_interrupted(test: String, report: &str) -> Option<String> {
    if env::settings().ok()?.keep == Keep::None {
        return None;
    }
    let run = env::test_run();
    let place = place::of(&named(test), run)?;
    let content = report.as_bytes().to_vec();
    let file = File { name: "report.txt".into(), content, left_out: 0 };
    Some(match write::write(&place, &[file]) {
        Ok(()) => format!("Evidence  {}", place.shown(run)),
        Err(problem) => format!("netns-test: {problem}"),
    })
}

/// Returns the name of the test binary, without the hash that cargo appends.
fn binary() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let is_hash =
        |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(match name.rsplit_once('-') {
        Some((name, hash)) if is_hash(hash) => name.to_owned(),
        _ => name,
    })
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
        again: rerun::command(run, env::seed(), &ending.binary, &ending.test),
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
