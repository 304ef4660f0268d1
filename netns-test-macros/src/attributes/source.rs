//! Reads the attributes around `#[netns_test]` from the source text: the compiler has expanded
//! those above before, and does not show them. Since Rust 1.88 a macro can ask for its position.
//! Uncertain cases are left to the run, in which the harness detects a test that is registered
//! twice.

use std::cell::RefCell;
use std::fs;
use std::ops::Range;

use proc_macro2::Span;

use crate::attributes::role::Role;
use crate::attributes::scan;

/// Attributes of an item as written, each as the paths in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// Whether the path of `#[netns_test]` ends in `test`.
    pub(crate) is_named_test: bool,
    pub(crate) above: Vec<Vec<String>>,
    pub(crate) below: Vec<Vec<String>>,
}

/// Returns the attributes around the one at `attribute`. Returns `None` with an older compiler, if
/// there is no file, or if the text there is not this attribute: the output of a procedural macro
/// mostly has the position of its call.
pub(crate) fn around(attribute: Span) -> Option<Around> {
    thread_local! {
        static LAST: RefCell<Source> = RefCell::default();
    }
    let text = fs::read_to_string(attribute.local_file()?).ok()?;
    let start = attribute.start();
    LAST.with_borrow_mut(|last| {
        if last.text != text {
            *last = Source::new(text);
        }
        last.around(start.line, start.column)
    })
}

/// Source text with its attributes, kept for the next use in the same file.
#[derive(Default)]
struct Source {
    text: String,
    /// Offset of the start of each line.
    lines: Vec<usize>,
    groups: Vec<Vec<Range<usize>>>,
}

impl Source {
    fn new(text: String) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { groups: scan::groups(&text), lines, text }
    }

    /// Returns the attributes around the one at this line (from 1) and column (from 0).
    fn around(&self, line: usize, column: usize) -> Option<Around> {
        let line = *self.lines.get(line.checked_sub(1)?)?;
        let (column, _) = self.text[line..].char_indices().nth(column)?;
        let at = line + column;
        let own = |range: &Range<usize>| range.contains(&at);
        let (group, index) = self
            .groups
            .iter()
            .find_map(|group| group.iter().position(own).map(|index| (group, index)))?;
        let paths = |ranges: &[Range<usize>]| -> Vec<Vec<String>> {
            ranges.iter().flat_map(|range| scan::paths(&self.text[range.clone()])).collect()
        };
        let own = paths(&group[index..=index]);
        let own = own.iter().find(|path| role(path) == Role::Ours)?;
        Some(Around {
            is_named_test: own.last().is_some_and(|name| name == "test"),
            above: paths(&group[..index]),
            below: paths(&group[index + 1..]),
        })
    }
}

/// Returns the role of an attribute by the segments of its path.
pub(crate) fn role(path: &[String]) -> Role {
    Role::of_path(&path.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns the attributes around the one that `>` marks, for tests.
#[cfg(test)]
pub(crate) fn around_mark(source: &str) -> Option<Around> {
    let at = source.find('>').expect("a mark");
    let line = source[..at].matches('\n').count() + 1;
    let column = source[..at].chars().rev().take_while(|&c| c != '\n').count();
    Source::new(source.replacen('>', "", 1)).around(line, column)
}

#[cfg(test)]
mod tests {
    use super::around_mark;

    #[test]
    fn attributes_are_above_or_below() {
        let found =
            around_mark("fn a() {}\n#[ä] #[b]\n >#[netns_test::test(c)] // d\n#[e] fn f() {}");
        let found = found.expect("the attribute of this crate");
        let path = |name: &str| vec![name.to_owned()];
        assert_eq!(found.above, [path("ä"), path("b")]);
        assert_eq!(found.below, [path("e")]);
        assert!(found.is_named_test);
        let found = around_mark("#[a]\n#[cfg_attr(all(), >netns_test)]")
            .expect("the attribute of this crate");
        assert_eq!((found.above, found.is_named_test), (vec![path("a")], false));
    }

    #[test]
    fn other_attributes_are_not_found() {
        for source in [
            ">#[our_own_netns_test]\n#[case(1)]",
            ">#[my::test]\n#[case(1)]",
            ">make_tests! { netns_test }\n#[case(1)]",
            "#[netns_test]>",
            "#[cfg_attr(all(), >other)]",
            ">",
        ] {
            assert_eq!(around_mark(source), None, "{source}");
        }
    }
}
