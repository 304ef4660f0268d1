//! Finds a `#[test]` above our attribute. The compiler has expanded it before it calls us and does
//! not show it, so the test would be registered, and run, twice.

use proc_macro2::Span;

use crate::source;

/// Whether `#[test]` stands above the attribute at `attribute`, also where both are written in a
/// `macro_rules!`. `false` if this cannot be told.
pub(crate) fn is_test_above(attribute: Span) -> bool {
    source::around(attribute).is_some_and(|(source, line)| stands_above(&source, line))
}

/// Whether, going up from `line` (the first is 1) over attributes, comments and empty lines, there
/// is a line `#[test]`. `line` itself has to look like an attribute of ours.
fn stands_above(source: &str, line: usize) -> bool {
    let lines: Vec<&str> = source.lines().take(line).map(str::trim).collect();
    let Some((own, above)) = lines.split_last() else {
        return false;
    };
    lines.len() == line
        && own.starts_with("#[")
        && own.contains("test")
        && above
            .iter()
            .rev()
            .take_while(|line| source::belongs_to_item(line))
            .any(|line| *line == "#[test]")
}

#[cfg(test)]
mod tests {
    use super::stands_above;

    #[test]
    fn finds_test_over_attributes_comments_and_empty_lines() {
        assert!(stands_above("#[test]\n#[netns_test]\nfn t() {}", 2));
        assert!(stands_above("    #[test]\r\n    #[netns_test(\r\n", 2));
        let source = "#[test]\n\n/// Doc.\n// note\n#[ignore = \"slow\"]\n#[netns_test::test]\n";
        assert!(stands_above(source, 6));
    }

    #[test]
    fn stops_at_the_item_before() {
        assert!(!stands_above("#[test]\nfn other() {}\n#[netns_test]\n", 3));
        assert!(!stands_above("#[test]\n#[cfg(\nunix)]\n#[netns_test]\n", 4));
    }

    #[test]
    fn looks_only_above() {
        assert!(!stands_above("#[netns_test]\n#[test]\nfn t() {}", 1));
    }

    #[test]
    fn is_silent_where_the_position_is_not_an_attribute() {
        assert!(!stands_above("#[test]\nmake_tests! { one }", 2));
        assert!(!stands_above("#[test]\n#[netns_test]", 0));
        assert!(!stands_above("#[test]\n#[netns_test]", 3));
        assert!(!stands_above("", 1));
    }
}
