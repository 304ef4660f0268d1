//! The report for people.

use std::fmt::Write as _;

use crate::diagnose::Facts;
use crate::doctor::attempt::{Attempt, Feature};
use crate::doctor::report::{Report, VERSION};

/// Formats the report as text.
pub(crate) fn print(report: &Report) -> String {
    let mut text = format!("netns-test {VERSION}\n");
    for attempt in &report.attempts {
        text += &transcript(attempt);
    }
    text += &verdict(report);
    if !report.features.is_empty() {
        text += "\nWhat labs can use of this kernel:\n";
        text.extend(report.features.iter().map(feature));
    }
    text += "\nFacts:\n";
    text.extend(
        facts(&report.facts).into_iter().map(|(file, value)| format!("  {file} = {value}\n")),
    );
    text
}

/// Returns the facts that have a value.
pub(crate) fn facts(facts: &Facts) -> Vec<(String, String)> {
    let mut all = facts.all();
    all.retain(|(_, value)| value != "(none)");
    all
}

fn transcript(attempt: &Attempt) -> String {
    let mut text = if attempt.mode.is_privileged() {
        "\nA sandbox without a user namespace, which the caller has the rights to make:\n"
            .to_owned()
    } else {
        "\nA sandbox as for a test:\n".to_owned()
    };
    for step in &attempt.steps {
        let mark = if step.limitation.is_none() { "ok     " } else { "lacks  " };
        text += &format!("  {mark} {}\n", step.limitation.as_deref().unwrap_or(&step.step));
    }
    if let Some(failure) = &attempt.failure {
        let (step, object, reason) = (&failure.step, &failure.object, &failure.reason);
        text += &format!("  FAILED  {step} {object}: {reason}\n");
    }
    text
}

fn verdict(report: &Report) -> String {
    if let Some(failure) = &report.settings {
        return format!("\nTests FAIL: {failure}\n");
    }
    if let Some(failure) = &report.refusal {
        return format!("\nTests cannot be isolated here: {failure}\n");
    }
    match report.success() {
        Some(attempt) if attempt.mode.is_privileged() => {
            "\nTests can be isolated here, with the caller's rights over the machine.\n".into()
        }
        _ => "\nTests can be isolated here.\n".into(),
    }
}

fn feature(feature: &Feature) -> String {
    let Feature { name, what_for, missing } = feature;
    let mark = if missing.is_none() { "ok     " } else { "missing" };
    let mut text = format!("  {mark} {name:<10} {what_for}\n");
    if let Some(missing) = missing {
        let _infallible = writeln!(text, "          {}", missing.reason);
        let _infallible = writeln!(text, "          {}", missing.advice);
    }
    text
}
