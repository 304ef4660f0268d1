//! Finds a `#[case]` below `#[netns_test]`. `rstest`, expanded before, has removed it, and has put
//! `#[netns_test]` on that case alone, so the other cases would run without namespaces and pass.

use proc_macro2::Span;

use crate::attributes::role::Role;
use crate::attributes::source::{self, Around};

/// Returns whether a `#[case]` is below the attribute at `attribute`, and no `#[rstest]`, below
/// which this attribute would have moved itself. Returns `false` if this is unknown.
pub(crate) fn is_case_below(attribute: Span) -> bool {
    source::around(attribute).is_some_and(|around| is_on_one_case(&around))
}

fn is_on_one_case(around: &Around) -> bool {
    let below = &around.below;
    // A variable of `macro_rules!` may hold one.
    let may_be_rstest =
        |path: &Vec<String>| path.iter().any(|name| name.contains('$') || name == "rstest");
    below.iter().any(|path| source::role(path) == Role::Case) && !below.iter().any(may_be_rstest)
}

#[cfg(test)]
mod tests {
    use super::is_on_one_case;
    use crate::attributes::source::around_mark;

    fn found(source: &str) -> bool {
        is_on_one_case(&around_mark(source).expect("the attribute of this crate"))
    }

    #[test]
    fn finds_a_case_by_each_name_and_in_every_layout() {
        for source in [
            "#[rstest]\n>#[netns_test]\n#[case(1)]\nfn t() {}",
            "    >#[netns_test::test(user = \"root\")]\r\n    #[case::one(1)]",
            "#[case(1)]\n>#[::netns_test::netns_test]\n#[case(2)]\n",
            ">#[netns_test]\n#[case(\n    1,\n)]\n",
            "#[rstest] >#[netns_test] #[case(1)] #[case(2)] fn t() {}",
            ">#[netns_test] // note\n#[case(1)] fn t() {}",
            ">#[netns_test]\n/** doc */\n#[cfg(\nunix\n)]\n#[case(1)]",
            ">#[netns_test]\n\n/// Doc.\n// `rstest`\n#[ignore = \"slow\"]\n#[case(1)]\n",
            "  >#[netns_test(\n    user = \"root\",\n\n  )]\n  #[should_panic(\n    expected = \")]\"\n  )]\n  #[case(1)]\n",
        ] {
            assert!(found(source), "{source}");
        }
    }

    #[test]
    fn stops_at_the_item() {
        for source in [
            "#[case(1)]\n>#[netns_test]\nfn t(\n    #[case] n: u8,\n) {}",
            ">#[netns_test]\nfn t() {}\n#[rstest]\n#[case(1)]\n",
            ">#[netns_test] fn t(\n  #[case(opt)] n: u8,\n) {}\n#[case(1)]",
            ">#[netns_test]\n#[case_insensitive]\n#[test_case(1)]\nfn t() {}",
            ">#[netns_test]\n$(#[$any])*\n#[case(1)]",
        ] {
            assert!(!found(source), "{source}");
        }
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
            assert!(!found(&format!(">#[netns_test]\n{rstest}\n#[case(1)]")), "{rstest}");
        }
    }
}
