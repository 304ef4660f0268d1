//! What is printed: a line for each figure, which can be pasted into a document.

use std::fmt::Write as _;

use crate::figure::{Effort, Outcome, Quartiles};

/// All figures, as a table in Markdown.
pub(crate) fn of(outcomes: &[Outcome], effort: Effort) -> String {
    let mut text = String::from(
        "| figure | median (quartiles) | floor | median (quartiles) | ratio (quartiles) | target | |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for outcome in outcomes {
        let Outcome { name, floor_name, target, work, floor, ratio } = outcome;
        let verdict = match effort {
            _ if target.is_none() => "to look at",
            Effort::Quick => "not judged",
            Effort::Full if outcome.falls_short() => "falls short",
            Effort::Full => "pass",
        };
        let [work, floor] = [work, floor].map(microseconds);
        let ratio = spread(ratio, 1.0);
        let target = target.map_or_else(|| "none".to_owned(), |target| target.to_string());
        writeln!(
            text,
            "| {name} | {work} | {floor_name} | {floor} | {ratio} | {target} | {verdict} |"
        )
        .expect("a string takes all");
    }
    text
}

fn microseconds(seconds: &Quartiles) -> String {
    spread(seconds, 1e6) + " µs"
}

fn spread(values: &Quartiles, unit: f64) -> String {
    let [median, lower, upper] = [values.median, values.lower, values.upper].map(|v| v * unit);
    format!("{median:.2} ({lower:.2} to {upper:.2})")
}
