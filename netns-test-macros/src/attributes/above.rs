//! Finds a test attribute above `#[netns_test]`. The compiler has expanded it before and does not
//! show it, so the test would be registered, and run, twice.

use proc_macro2::Span;

use crate::attributes::role::Role;
use crate::attributes::source::{self, Around};
use crate::function::Function;

/// Returns the error about a test attribute above the one at `attribute`, also if both are written
/// in a `macro_rules!`. Returns `None` if there is none, or if this is unknown.
pub(crate) fn error(attribute: Span, function: &Function) -> Option<String> {
    // A macro above may generate a second function, and put this attribute on it.
    let name = &function.signature.ident;
    let is_as_written = name.span().source_text().is_some_and(|text| name == &text);
    source::around(attribute).filter(|_| is_as_written).and_then(|around| message(&around))
}

fn message(around: &Around) -> Option<String> {
    let role = |path: &&Vec<String>| source::role(path);
    if around.above.iter().any(|path| role(&path) == Role::BuiltinTest) {
        return Some(
            "`#[test]` is above `#[netns_test]`, which adds it itself: the test would run twice; delete `#[test]` or put it below".into(),
        );
    }
    let is_second = |path: &&Vec<String>| {
        role(path) == Role::ForeignTest && !(around.is_named_test && may_wait(path))
    };
    let path = around.above.iter().find(is_second)?.join("::");
    Some(format!(
        "put `#[{path}]` below `#[netns_test]`: above it, it makes a test of its own, and the test would run twice"
    ))
}

/// Returns whether this test attribute may leave the registration to an attribute below it whose
/// path ends in `test`. Those of some crates are known not to.
fn may_wait(path: &[String]) -> bool {
    let register = ["async_std", "actix", "actix_rt", "actix_web", "futures_test", "smol_potat"];
    !path.first().is_some_and(|name| register.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{Around, message};
    use crate::attributes::source::around_mark;

    fn found(source: &str) -> Option<String> {
        let around: Around = around_mark(source).expect("the attribute of this crate");
        message(&around)
    }

    fn finds(source: &str, attribute: &str) {
        let message = found(source).unwrap_or_else(|| panic!("{source}"));
        assert!(message.contains(attribute), "{message}");
    }

    #[test]
    fn finds_test_in_every_layout() {
        for source in [
            "#[test]\n>#[netns_test]\nfn t() {}",
            "    #[test]\r\n    >#[netns_test(\r\n a)]",
            "#[test]\n\n/// Doc.\n// note\n#[ignore = \"slow\"]\n>#[netns_test::test]\n",
            "#[test] // the plain way\n>#[netns_test]\nfn t() {}",
            "#[test] >#[netns_test] fn t() {}",
            "#[test] #[ignore]\n>#[netns_test]\nfn t() {}",
            "#[test]\n#[cfg_attr(\n  all(),\n  allow(unused)\n)]\n>#[netns_test]\nfn t() {}",
            "#[core::prelude::v1::test]\n>#[netns_test]\nfn t() {}",
            "#[cfg_attr(all(), test)]\n>#[netns_test]\nfn t() {}",
            "/** a\ndoc */\n#[test]\n/** b\ndoc */\n>#[netns_test]\nfn t() {}",
            "#[test]\n#[cfg_attr(all(), >netns_test)]\nfn t() {}",
        ] {
            finds(source, "`#[test]` is above");
        }
    }

    #[test]
    fn finds_test_attributes_of_others() {
        finds("#[async_std::test] >#[netns_test] async fn t() {}", "`#[async_std::test]` below");
        finds("#[my::test(x)]\n>#[netns_test]\nasync fn t() {}", "`#[my::test]` below");
        finds("#[smol_potat::test]\n>#[netns_test::test]", "`#[smol_potat::test]` below");
        assert_eq!(found("#[my::test]\n>#[netns_test::test]"), None);
    }

    #[test]
    fn stops_at_the_item_before_and_looks_only_above() {
        assert_eq!(found("#[test]\nfn other() {}\n>#[netns_test]\n"), None);
        assert_eq!(found("#[test] fn other() {} >#[netns_test] fn t() {}"), None);
        assert_eq!(found("// #[test]\n>#[netns_test]\n#[test]\nfn t() {}"), None);
        assert_eq!(found("\"#[test]\";\n/* #[test] */ >#[netns_test]\nfn t() {}"), None);
    }
}
