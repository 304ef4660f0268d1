//! The report for machines: one JSON object. Later versions add keys, and remove none.

use serde_json::{Value, json};

use crate::doctor::attempt::{Attempt, Feature};
use crate::doctor::report::{Report, VERSION};
use crate::doctor::text;
use crate::error::Failure;

/// Formats the report as JSON.
pub(crate) fn print(report: &Report) -> String {
    let mode = report.success().map(mode);
    let facts: serde_json::Map<String, Value> =
        text::facts(&report.facts).into_iter().map(|(file, value)| (file, value.into())).collect();
    let object = json!({
        "version": VERSION,
        "isolated": report.is_isolated(),
        "mode": mode,
        "settings": report.settings.as_ref().map(failure),
        "refusal": report.refusal.as_ref().map(failure),
        "attempts": report.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "features": report.features.iter().map(feature).collect::<Vec<_>>(),
        "facts": facts,
    });
    format!("{object:#}\n")
}

fn mode(attempt: &Attempt) -> &'static str {
    if attempt.mode.is_privileged() { "privileged" } else { "full" }
}

fn attempt(attempt: &Attempt) -> Value {
    let namespaces: Vec<_> =
        attempt.mode.namespaces().iter().map(|namespace| namespace.name()).collect();
    let steps: Vec<_> = attempt
        .steps
        .iter()
        .map(|entry| json!({ "step": entry.step, "limitation": entry.limitation }))
        .collect();
    json!({
        "mode": mode(attempt),
        "namespaces": namespaces,
        "steps": steps,
        "failure": attempt.failure.as_ref().map(failure),
    })
}

fn failure(failure: &Failure) -> Value {
    let diagnosis = failure.diagnosis.as_ref().map(|diagnosis| {
        let evidence: Vec<_> = diagnosis
            .evidence
            .iter()
            .map(|(file, value)| json!({ "file": file, "value": value }))
            .collect();
        json!({
            "topic": diagnosis.topic,
            "cause": diagnosis.cause,
            "evidence": evidence,
            "until_reboot": diagnosis.until_reboot,
            "lasting": diagnosis.lasting,
        })
    });
    json!({
        "step": failure.step,
        "object": failure.object,
        "reason": failure.reason,
        "remedy": failure.remedy,
        "diagnosis": diagnosis,
    })
}

fn feature(feature: &Feature) -> Value {
    let missing = feature.missing.as_ref().map(|missing| {
        json!({ "reason": missing.reason, "module": missing.module, "advice": missing.advice })
    });
    json!({
        "name": feature.name,
        "what_for": feature.what_for,
        "available": feature.missing.is_none(),
        "missing": missing,
    })
}
