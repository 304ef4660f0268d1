//! Finds a `#[case]` below our attribute. `rstest`, expanded before us, has removed it, and has
//! given us to that case alone, so the other cases would run without namespaces and pass.

use proc_macro2::Span;

use crate::source;

/// Whether a `#[case]` stands below the attribute at `attribute`, and no `#[rstest]` between them:
/// with one, we were handed on to stand below it. `false` if this cannot be told.
pub(crate) fn is_case_below(attribute: Span) -> bool {
    source::around(attribute).is_some_and(|(source, line)| stands_below(&source, line))
}

/// Whether, going down from `line` (the first is 1) over attributes, comments and empty lines,
/// there is a line that begins with `#[case(` or `#[case::`. `line` itself has to begin with our
/// attribute, since another one may have made both ours and `#[rstest]`.
///
/// An attribute of many lines is passed if it is laid out as by rustfmt, with its end alone on a
/// line and only what is inside indented, so that no other item can be taken for a part of it.
fn stands_below(source: &str, line: usize) -> bool {
    let lines: Vec<&str> = source.lines().skip(line.saturating_sub(1)).collect();
    if line == 0 || !lines.first().is_some_and(|line| is_ours(line.trim())) {
        return false;
    }
    let mut open = None;
    for line in lines {
        let text = line.trim();
        let indentation = line.len() - line.trim_start().len();
        let is_understood = match open {
            None if is_case(text) => return true,
            None if text.starts_with("#[") && text.ends_with('(') => {
                open = Some(indentation);
                true
            }
            None => source::belongs_to_item(text),
            Some(outer) if text == ")]" && indentation == outer => {
                open = None;
                true
            }
            Some(outer) => text.is_empty() || indentation > outer,
        };
        if !is_understood || may_be_rstest(text) {
            return false;
        }
    }
    false
}

fn is_ours(line: &str) -> bool {
    let segments: Vec<&str> = path(line).split("::").collect();
    matches!(segments[..], [.., "netns_test"] | [.., "netns_test", "test"])
}

fn is_case(line: &str) -> bool {
    path(line).split("::").next() == Some("case")
}

/// Also in a `cfg_attr`, or as a variable of `macro_rules!`.
fn may_be_rstest(line: &str) -> bool {
    line.starts_with("#[$") || (line.contains("rstest") && !line.starts_with("//"))
}

/// The path of the attribute that `line` begins with, or nothing.
fn path(line: &str) -> &str {
    let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    line.strip_prefix("#[").and_then(|rest| rest.split(end).next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::stands_below;

    #[test]
    fn finds_a_case_by_each_name() {
        assert!(stands_below("#[rstest]\n#[netns_test]\n#[case(1)]\nfn t() {}", 2));
        assert!(stands_below("    #[netns_test::test(user = \"root\")]\r\n    #[case::one(1)]", 1));
        assert!(stands_below("#[case(1)]\n#[::netns_test::netns_test]\n#[case(2)]\n", 2));
        assert!(stands_below("#[netns_test]\n#[case(\n    1,\n)]\n", 1));
    }

    #[test]
    fn finds_a_case_over_attributes_comments_and_empty_lines() {
        let source = "#[netns_test]\n\n/// Doc.\n// `rstest`\n#[ignore = \"slow\"]\n#[case(1)]\n";
        assert!(stands_below(source, 1));
        let source = "  #[netns_test(\n    user = \"root\",\n\n  )]\n  #[should_panic(\n    expected = \")]\"\n  )]\n  #[case(1)]\n";
        assert!(stands_below(source, 1));
    }

    #[test]
    fn stops_at_the_item() {
        assert!(!stands_below("#[case(1)]\n#[netns_test]\nfn t(\n    #[case] n: u8,\n) {}", 2));
        assert!(!stands_below("#[netns_test]\nfn t() {}\n#[rstest]\n#[case(1)]\n", 1));
        assert!(!stands_below("#[netns_test] fn t(\n  #[case(opt)] n: u8,\n) {}\n#[case(1)]", 1));
        assert!(!stands_below("#[netns_test]\n#[case_insensitive]\n#[test_case(1)]\nfn t() {}", 1));
    }

    #[test]
    fn stops_at_an_attribute_that_is_laid_out_otherwise() {
        assert!(!stands_below("#[netns_test]\n#[cfg(\nunix\n)]\n#[case(1)]", 1));
        assert!(!stands_below("#[netns_test]\n#[cfg(\n  unix)]\nfn t() {}\n#[case(1)]", 1));
        assert!(!stands_below("#[netns_test]\n#[cfg(unix)] // note\nfn t() {}\n#[case(1)]", 1));
        assert!(!stands_below("#[netns_test]\n$(#[$any])*\n#[case(1)]", 1));
    }

    #[test]
    fn is_silent_where_rstest_is_below_too() {
        for rstest in [
            "#[rstest]",
            "#[rstest::rstest]",
            "#[cfg_attr(unix, rstest)]",
            "#[cfg_attr(\n    unix,\n    rstest\n)]",
            "#[$any]",
        ] {
            assert!(!stands_below(&format!("#[netns_test]\n{rstest}\n#[case(1)]"), 1), "{rstest}");
        }
    }

    #[test]
    fn is_silent_where_the_position_is_not_our_attribute() {
        assert!(!stands_below("#[our_own_netns_test]\n#[case(1)]", 1));
        assert!(!stands_below("#[my::test]\n#[case(1)]", 1));
        assert!(!stands_below("make_tests! { netns_test }\n#[case(1)]", 1));
        assert!(!stands_below("#[netns_test]\n#[case(1)]", 0));
        assert!(!stands_below("#[netns_test]\n#[case(1)]", 3));
        assert!(!stands_below("", 1));
    }
}
