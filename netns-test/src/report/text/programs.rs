//! The programs of a test, with their last lines. Pure.

use std::collections::HashSet;
use std::time::Duration;

use crate::evidence::ending::Ending;
use crate::evidence::facts::Facts;
use crate::evidence::facts::event::{Event, EventKind};
use crate::report::text::concern::{failed_at, file_name, is_killed_by_end};
use crate::report::text::page::{Rank, Section};

/// Most programs, and lines of one.
const MOST: usize = 4;
const MOST_LINES: usize = 5;

/// Most programs that are counted.
const MOST_KNOWN: usize = 1_000;

/// A program, by the events about it.
struct Program<'a> {
    node: &'a str,
    pid: &'a str,
    name: &'a str,
    end: Option<&'a str>,
    lines: Vec<(&'a str, &'a str)>,
}

/// Returns the programs that have failed or printed something, and the other processes.
pub(crate) fn section(ending: &Ending, facts: &Facts) -> Section {
    let mut programs = programs(&facts.events, failed_at(ending, facts));
    programs.retain(|one| one.has_failed() || !one.lines.is_empty());
    programs.sort_by_key(|one| !one.has_failed());
    let count = programs.len();
    let mut rows: Vec<String> = programs.iter().take(MOST).flat_map(Program::rows).collect();
    if count > MOST {
        rows.push(format!("  ... {} more", count - MOST));
    }
    rows.extend(others(facts));
    Section { title: "Programs".into(), rows, least: 4, rank: Rank::Programs }
}

fn programs(events: &[Event], failed: Option<Duration>) -> Vec<Program<'_>> {
    let kinds = [EventKind::Spawn, EventKind::Exit, EventKind::Log];
    let mut programs: Vec<Program<'_>> = Vec::new();
    let events = events.iter().filter(|event| !is_killed_by_end(event, failed));
    for event in events.filter(|event| kinds.contains(&event.kind)) {
        let pid = event.detail("pid").unwrap_or_default();
        // A process id may be used again.
        let is_it = |one: &Program<'_>| {
            one.pid == pid && one.node == event.node && event.kind != EventKind::Spawn
        };
        let known = programs.iter().rposition(is_it);
        if known.is_none() && programs.len() >= MOST_KNOWN {
            continue;
        }
        let at = known.unwrap_or(programs.len());
        if known.is_none() {
            let name = file_name(event.detail("program").unwrap_or_default());
            let node = event.node.as_str();
            programs.push(Program { node, pid, name, end: None, lines: Vec::new() });
        }
        let program = &mut programs[at];
        match event.kind {
            EventKind::Exit => program.end = Some(event.detail("status").unwrap_or(&event.text)),
            EventKind::Log => {
                program.lines.push((event.detail("stream").unwrap_or_default(), &event.text));
            }
            _ => {}
        }
    }
    programs
}

impl Program<'_> {
    fn has_failed(&self) -> bool {
        self.end.is_some_and(|end| !end.ends_with(" 0"))
    }

    fn rows(&self) -> Vec<String> {
        let node = if self.node.is_empty() { String::new() } else { format!("{}  ", self.node) };
        let end = self.end.map_or_else(|| "has not ended".to_owned(), str::to_owned);
        let mut rows = vec![format!("  {node}{} (pid {}): {end}", self.name, self.pid)];
        let left_out = self.lines.len().saturating_sub(MOST_LINES);
        if left_out > 0 {
            rows.push(format!("    ... {left_out} lines before"));
        }
        let last = self.lines.iter().skip(left_out);
        rows.extend(last.map(|(stream, line)| format!("    {stream:6} | {line}")));
        rows
    }
}

/// Returns the processes that the test has started by itself.
fn others(facts: &Facts) -> Vec<String> {
    let Some(look) = facts.look() else { return Vec::new() };
    let known: HashSet<&str> =
        facts.events.iter().filter_map(|event| event.detail("pid")).collect();
    let others = look.processes.iter().filter(|one| !one.is_body);
    let others = others.filter(|one| !known.contains(one.pid.to_string().as_str()));
    let names: Vec<String> = others.map(|one| format!("{} (pid {})", one.name, one.pid)).collect();
    let more = match names.len().checked_sub(MOST) {
        Some(more @ 1..) => format!(", {more} more"),
        _ => String::new(),
    };
    let some: Vec<String> = names.into_iter().take(MOST).collect();
    if some.is_empty() {
        return Vec::new();
    }
    vec![format!("  also running: {}{more}", some.join(", "))]
}
