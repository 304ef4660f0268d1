//! The printed table, in Markdown, with a row for each figure.

use super::figure::{Effort, Outcome, Quartiles};

/// Head of the table; [`row`] formats the others.
pub(crate) const HEAD: &str = "\
| figure | median (quartiles) | floor | median (quartiles) | ratio (quartiles) | target | |
| --- | --- | --- | --- | --- | --- | --- |";

/// Formats the row of a figure.
pub(crate) fn row(outcome: &Outcome, effort: Effort) -> String {
    let Outcome { name, floor_name, target, work, floor, ratio } = outcome;
    let verdict = match effort {
        _ if target.is_none() => "",
        Effort::Quick => "not judged",
        Effort::Full if outcome.misses_target() => "misses",
        Effort::Full => "pass",
    };
    let [work, floor] = [work, floor].map(time);
    let ratio = spread(ratio, 1.0);
    let target = target.map_or_else(|| "none".to_owned(), |target| target.to_string());
    format!("| {name} | {work} | {floor_name} | {floor} | {ratio} | {target} | {verdict} |")
}

fn time(seconds: &Quartiles) -> String {
    if seconds.median < 0.01 { spread(seconds, 1e6) + " µs" } else { spread(seconds, 1e3) + " ms" }
}

fn spread(values: &Quartiles, unit: f64) -> String {
    let [median, lower, upper] = [values.median, values.lower, values.upper].map(|v| v * unit);
    format!("{median:.2} ({lower:.2} to {upper:.2})")
}
