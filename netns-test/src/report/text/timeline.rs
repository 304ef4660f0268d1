//! What happened: events and recorded packets in the order of time. Pure.

use std::time::Duration;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::{Attempt, AttemptKind};
use crate::explain::Cause;
use crate::explain::scene::last_panic;
use crate::report::text::concern::{failed_at, file_name, is_killed_by_end};
use crate::report::text::page::{Rank, Section};

/// Most rows, and those of them that are the first and the last ones.
const MOST: usize = 20;
const FIRST: usize = 4;

/// Most rows between these that a cause mentions or that explain much.
const MOST_KEPT: usize = 6;

/// Columns of a node's name.
const NODE: usize = 12;

struct Row {
    at: Duration,
    node: String,
    kind: &'static str,
    text: String,
    /// Whether it is kept if rows are left out.
    stays: bool,
    /// Number of equal rows one after the other.
    times: usize,
}

/// Returns the timeline.
pub(crate) fn section(ending: &Ending, facts: &Facts, causes: &[Cause]) -> Section {
    let rows = rows(ending, facts, causes);
    // The panic alone is what the test has printed.
    if rows.iter().all(|row| row.kind == EventKind::Panic.word()) && rows.len() < 2 {
        return Section::default();
    }
    let rows = shown(&rows, facts.began.unwrap_or_default());
    let title = "What happened (seconds since the test began)".to_owned();
    Section { title, rows, least: 6, rank: Rank::Timeline }
}

fn rows(ending: &Ending, facts: &Facts, causes: &[Cause]) -> Vec<Row> {
    let cited: Vec<usize> = causes.iter().flat_map(|cause| cause.events.clone()).collect();
    let panic = last_panic(ending, facts).filter(|_| ending.kind == EndKind::Panicked);
    let failed = failed_at(ending, facts);
    let is_after = |at: Duration| failed.is_some_and(|failed| at > failed);
    let events = facts.events.iter().enumerate();
    let events = events.filter(|(_, event)| match event.kind {
        EventKind::Status => false,
        EventKind::Drop => !is_after(event.at),
        _ => !is_killed_by_end(event, failed),
    });
    let events = events.map(|(at, event)| {
        let mut row = of_event(event, cited.contains(&at));
        // The message is above, and longer.
        let place = event.detail("place").filter(|_| panic == Some(at));
        row.text = place.map_or(row.text, str::to_owned);
        if let Some(path) = event.detail("program").filter(|_| event.kind != EventKind::Log) {
            row.text = row.text.replacen(path, file_name(path), 1);
        }
        row
    });
    let networks = facts.look().into_iter().flat_map(|look| &look.networks);
    let attempts = networks.flat_map(|network| {
        let attempts = network.attempts.iter().flatten();
        // The end of the test closes its connections.
        let attempts = attempts.filter(|one| !(is_answer(one) && one.at.is_some_and(is_after)));
        attempts.filter_map(|attempt| of_attempt(&network.node, attempt))
    });
    let mut rows: Vec<Row> = events.chain(attempts).collect();
    rows.sort_by_key(|row| row.at);
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        match merged.last_mut() {
            Some(last) if last.is_like(&row) => last.times += 1,
            _ => merged.push(row),
        }
    }
    merged
}

impl Row {
    fn is_like(&self, other: &Self) -> bool {
        (&self.node, self.kind, &self.text) == (&other.node, other.kind, &other.text)
    }
}

fn of_event(event: &Event, is_cited: bool) -> Row {
    let explains = match event.kind {
        EventKind::Panic
        | EventKind::Link
        | EventKind::Partition
        | EventKind::Power
        | EventKind::Rules
        | EventKind::Dns => true,
        EventKind::Exit => event.detail("status").is_some_and(|status| !status.ends_with(" 0")),
        _ => false,
    };
    Row {
        at: event.at,
        node: event.node.clone(),
        kind: event.kind.word(),
        text: event.text.clone(),
        stays: explains || is_cited,
        times: 1,
    }
}

/// Returns whether it has come in answer to something.
fn is_answer(attempt: &Attempt) -> bool {
    matches!(attempt.kind, AttemptKind::Reset | AttemptKind::IcmpError | AttemptKind::Closed)
}

fn of_attempt(node: &str, attempt: &Attempt) -> Option<Row> {
    let mut text = attempt.protocol.word().to_owned();
    text += &attempt.from.map(|from| format!(" {from}")).unwrap_or_default();
    text += &attempt.to.map(|to| format!(" -> {to}")).unwrap_or_default();
    if !attempt.text.is_empty() {
        text += &format!(": {}", attempt.text);
    }
    if attempt.count > 1 {
        text += &format!(" ({} packets)", attempt.count);
    }
    let kind = attempt.kind.word();
    Some(Row { at: attempt.at?, node: node.to_owned(), kind, text, stays: true, times: 1 })
}

fn shown(rows: &[Row], began: Duration) -> Vec<String> {
    let kept = choice(rows);
    let mut lines = Vec::new();
    let mut left_out = 0;
    let names = rows.iter().map(|row| row.node.chars().count()).max().unwrap_or(0).min(NODE);
    for (row, is_kept) in rows.iter().zip(kept) {
        if !is_kept {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            lines.push(format!("       ... {left_out} more"));
            left_out = 0;
        }
        let times = if row.times > 1 { format!(" ({} times)", row.times) } else { String::new() };
        let node: String = row.node.chars().take(NODE).collect();
        let (at, kind, text) = (relative(row.at, began), row.kind, &row.text);
        lines.push(format!("  {at:>9}  {node:names$}  {kind:9} {text}{times}"));
    }
    lines
}

/// Chooses the rows to show: the first, the last, and between them those that explain much.
fn choice(rows: &[Row]) -> Vec<bool> {
    let count = rows.len();
    if count <= MOST {
        return vec![true; count];
    }
    let last = MOST - FIRST;
    let is_outer = |at: usize| at < FIRST || at >= count - last;
    let inner = (0..count).rev().filter(|&at| !is_outer(at) && rows[at].stays);
    let inner: Vec<usize> = inner.take(MOST_KEPT).collect();
    // They take the place of the oldest of the last ones.
    let is_late = |at: usize| at >= count - last + inner.len();
    (0..count)
        .map(|at| {
            at < FIRST || is_late(at) || inner.contains(&at) || is_outer(at) && rows[at].stays
        })
        .collect()
}

fn relative(at: Duration, began: Duration) -> String {
    match at.checked_sub(began) {
        Some(after) => format!("{:.4}", after.as_secs_f64()),
        None => format!("-{:.4}", began.saturating_sub(at).as_secs_f64()),
    }
}
