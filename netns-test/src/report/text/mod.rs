//! The report as text: conclusion, proof and remedy first. Pure.

mod concern;
mod files;
mod heading;
mod network;
mod page;
mod programs;
mod sockets;
#[cfg(test)]
mod tests;
mod timeline;
mod topology;
mod waits;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::evidence::facts::event::EventKind;
use crate::explain::Cause;
use crate::report::escape::{escape, width, wrap};
use crate::report::source::Excerpt;
use crate::report::text::concern::Concern;
use crate::report::text::page::{COLUMNS, LINES, Rank, Section, fit, printable};

pub(crate) use crate::report::text::concern::panic_of;
pub(crate) use crate::report::text::heading::Occasion;

/// Lines of a short report, without those about the evidence.
const SHORT: usize = 12;

/// Parts of a report that follow from the test run, not from the test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Around {
    pub(crate) excerpt: Option<Excerpt>,
    /// Directory of the files, as the user would name it; empty for none.
    pub(crate) evidence: String,
    /// Sentences about files that were not kept.
    pub(crate) problems: Vec<String>,
    /// Command that runs the test again.
    pub(crate) again: String,
    pub(crate) is_utf8: bool,
    pub(crate) is_short: bool,
    /// Whether the report has the message of the verdict, which a terminal has shown before.
    pub(crate) has_message: bool,
    /// Whether sends without a route are left out.
    pub(crate) hides_escapes: bool,
    /// Occasion of a report about a test that has not ended.
    pub(crate) occasion: Option<Occasion>,
}

/// Returns the lines of the report: at most 60 of 100 columns, each safe to print. There are none
/// if nothing is known that the verdict does not say.
pub(crate) fn lines(
    ending: &Ending,
    facts: &Facts,
    causes: &[Cause],
    around: &Around,
) -> Vec<String> {
    if !says_more(ending, facts, causes, around) {
        return problems(around);
    }
    if !around.is_short {
        return all_lines(ending, facts, causes, around);
    }
    let mut lines = fit(sections(ending, facts, causes, around), LINES, around.is_utf8);
    lines.truncate(SHORT);
    lines.extend(tail(around));
    lines
}

/// Returns the lines about a test that still runs.
pub(crate) fn so_far(
    ending: &Ending,
    facts: &Facts,
    causes: &[Cause],
    (occasion, is_utf8): (Occasion, bool),
) -> Vec<String> {
    let rows = heading::still_runs(ending, occasion);
    let mut sections = vec![Section { rows, least: 3, rank: Rank::Cause, ..Section::default() }];
    sections.extend(heading::causes(&causes[..causes.len().min(2)], is_utf8));
    sections.push(waits::section(ending, facts));
    fit(sections, SHORT + SHORT, is_utf8)
}

/// Returns the lines of a report that has all sections, also if little is known.
pub(crate) fn all_lines(
    ending: &Ending,
    facts: &Facts,
    causes: &[Cause],
    around: &Around,
) -> Vec<String> {
    let mut tail = tail(around);
    tail.extend(labelled("Again     ", &around.again, ' ', around.is_utf8).into_iter().take(3));
    let room = LINES - tail.len() - 1;
    let mut lines = fit(sections(ending, facts, causes, around), room, around.is_utf8);
    lines.push(String::new());
    lines.extend(tail);
    lines
}

/// Returns the lines about the evidence.
fn tail(around: &Around) -> Vec<String> {
    let mut tail = problems(around);
    tail.extend(labelled("Evidence  ", &around.evidence, '/', around.is_utf8).into_iter().take(4));
    tail
}

fn problems(around: &Around) -> Vec<String> {
    let sentences = around.problems.iter().map(|text| format!("netns-test: {text}"));
    let lines = sentences.flat_map(|text| wrap(&escape(&text, around.is_utf8), COLUMNS));
    lines.take(3).collect()
}

fn sections(ending: &Ending, facts: &Facts, causes: &[Cause], around: &Around) -> Vec<Section> {
    let concern = Concern::of(ending, facts, causes);
    let mut rows = match around.occasion {
        Some(occasion) => heading::still_runs(ending, occasion),
        None => vec![heading::headline(ending, facts)],
    };
    if around.has_message {
        rows.extend(heading::message(ending));
    }
    let mut sections = vec![Section { rows, least: 2, rank: Rank::Cause, ..Section::default() }];
    sections.extend(around.excerpt.as_ref().map(heading::source));
    sections.extend(heading::causes(causes, around.is_utf8));
    let rest = [
        topology::section(facts, &concern),
        timeline::section(ending, facts, causes),
        waits::section(ending, facts),
        sockets::section(facts, &concern),
        programs::section(ending, facts),
        network::counters(facts),
        network::routes(facts, &concern),
        if around.hides_escapes { Section::default() } else { network::escapes(facts) },
        network::gaps(facts),
    ];
    // A blank line sets off the first one and the larger ones.
    let some = rest.into_iter().filter(|section| !section.rows.is_empty());
    for (place, mut section) in some.enumerate() {
        if place == 0 || section.rank >= Rank::Topology {
            let title = std::mem::take(&mut section.title);
            section.rows.splice(0..0, [String::new(), title]);
            section.least += 2;
        }
        sections.push(section);
    }
    sections
}

/// Returns whether there is something to say besides the verdict and the panic's own message.
fn says_more(ending: &Ending, facts: &Facts, causes: &[Cause], around: &Around) -> bool {
    let panics = facts.events.iter().filter(|event| event.kind == EventKind::Panic).count();
    let own = usize::from(ending.kind == EndKind::Panicked && panics > 0);
    let looks = || facts.looks.iter();
    let has_sockets = looks()
        .flat_map(|look| &look.networks)
        .any(|network| network.sockets.iter().any(files::is_of_network));
    let has_programs = looks().flat_map(|look| &look.processes).any(|process| !process.is_body);
    let waits = !waits::section(ending, facts).rows.is_empty();
    let escapes = !around.hides_escapes && !network::escapes(facts).rows.is_empty();
    let is_known = !facts.labs.is_empty() || has_sockets || has_programs || waits || escapes;
    let has_files = !facts.artifacts.is_empty();
    is_known || has_files || !causes.is_empty() || facts.events.len() > own
}

/// Returns a value with its label, on several lines if it is long: parted after `separator`. Lines
/// of a command can be copied together.
fn labelled(label: &str, value: &str, separator: char, is_utf8: bool) -> Vec<String> {
    if value.is_empty() {
        return Vec::new();
    }
    let value = escape(value, is_utf8);
    let mut lines = Vec::new();
    let mut line = label.to_owned();
    let mut is_quoted = false;
    for part in value.split_inclusive(separator) {
        if width(&line) + width(part) >= COLUMNS && line.trim() != label.trim() {
            if separator == ' ' && !is_quoted {
                line.push('\\');
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(label.len())));
        }
        line.push_str(part);
        is_quoted ^= part.matches('\'').count() % 2 == 1;
    }
    lines.push(line);
    lines.iter().map(|line| printable(line, is_utf8)).collect()
}
