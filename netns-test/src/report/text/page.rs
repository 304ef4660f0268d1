//! A page of sections that has a limit of lines and columns. Pure.

use crate::report::escape::{cut, escape};

/// Most lines of a report, and columns of a line.
pub(crate) const LINES: usize = 60;
pub(crate) const COLUMNS: usize = 100;

/// Section of a report: a title, and rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Empty for a section without a title.
    pub(crate) title: String,
    pub(crate) rows: Vec<String>,
    /// Number of rows that are kept if the page is full. The others go before any other section is
    /// dropped.
    pub(crate) least: usize,
    /// Sections of the lowest rank are shortened and dropped first.
    pub(crate) rank: Rank,
}

/// Rank of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    #[default]
    Gaps,
    Counters,
    Routes,
    Programs,
    Sockets,
    Topology,
    Timeline,
    Waits,
    /// Never dropped.
    Cause,
}

impl Section {
    fn lines(&self) -> usize {
        if self.rows.is_empty() { 0 } else { self.rows.len() + usize::from(!self.title.is_empty()) }
    }

    /// Shortens the rows by at most `excess`, down to the least number.
    fn shorten(&mut self, excess: usize) {
        let all = self.rows.len();
        let kept = self.least.max(1).max(all.saturating_sub(excess + 1));
        if kept + 1 < all {
            self.rows.truncate(kept);
            self.rows.push(format!("  ... {} more", all - kept));
        }
    }
}

/// Returns the lines of the sections, at most `room`, each safe to print.
pub(crate) fn fit(mut sections: Vec<Section>, room: usize, is_utf8: bool) -> Vec<String> {
    sections.retain(|section| !section.rows.is_empty());
    let mut order: Vec<usize> = (0..sections.len()).collect();
    order.sort_by_key(|&at| sections[at].rank);
    for &at in &order {
        let excess = excess(&sections, room);
        sections[at].shorten(excess);
    }
    for at in order {
        if excess(&sections, room) > 0 && sections[at].rank != Rank::Cause {
            sections[at].rows.clear();
        }
    }
    let mut lines = Vec::new();
    for section in sections.iter().filter(|section| !section.rows.is_empty()) {
        let title = Some(&section.title).filter(|title| !title.is_empty());
        lines.extend(title.into_iter().chain(&section.rows).map(|line| printable(line, is_utf8)));
    }
    lines.truncate(room);
    lines
}

/// Returns a line as it may be printed.
pub(crate) fn printable(line: &str, is_utf8: bool) -> String {
    // Not all of a text of megabytes is escaped.
    let some: String = line.chars().take(4 * COLUMNS).collect();
    cut(escape(&some, is_utf8).trim_end(), COLUMNS)
}

fn excess(sections: &[Section], room: usize) -> usize {
    sections.iter().map(Section::lines).sum::<usize>().saturating_sub(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &str, rows: usize, rank: Rank) -> Section {
        let rows = (0..rows).map(|row| format!("  {row}")).collect();
        Section { title: title.into(), rows, least: 2, rank }
    }

    #[test]
    fn a_page_that_fits_is_complete() {
        let sections = vec![section("a", 2, Rank::Cause), section("b", 1, Rank::Gaps)];
        assert_eq!(fit(sections, 5, true), ["a", "  0", "  1", "b", "  0"]);
    }

    #[test]
    fn the_lowest_rank_is_shortened_first_and_dropped_last() {
        let sections = || {
            vec![
                section("a", 2, Rank::Cause),
                section("b", 5, Rank::Sockets),
                section("c", 5, Rank::Gaps),
            ]
        };
        let of = |room| fit(sections(), room, true);
        assert_eq!(of(15).len(), 15);
        assert_eq!(
            of(13),
            [
                "a",
                "  0",
                "  1",
                "b",
                "  0",
                "  1",
                "  2",
                "  3",
                "  4",
                "c",
                "  0",
                "  1",
                "  ... 3 more"
            ]
        );
        assert_eq!(of(10), ["a", "  0", "  1", "b", "  0", "  1", "  ... 3 more"]);
        assert_eq!(of(3), ["a", "  0", "  1"]);
    }
}
