//! Classifies the other attributes on the function. A macro sees names, not the items that they
//! resolve to, so the path as written decides.

use syn::{Attribute, Meta};

/// The part that an attribute has in making the function a test, and so its place: on the function
/// that the test runner calls, or on the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// This macro, by one of its two names.
    Ours,
    /// The compiler's `#[test]`.
    BuiltinTest,
    /// A macro that makes one test of the function. On the body it does what it does besides: it
    /// makes a runtime, or sets a logger up. Also `test_attr`, which names one to `#[rstest]`.
    ForeignTest,
    /// A macro that makes several tests of the function: it has to be expanded first.
    ManyTests,
    /// `#[rstest]`, which takes the attribute whose path ends in `test` for the one that makes the
    /// test, and adds `#[test]` only if there is none. It refuses an `async fn` without one.
    Rstest,
    /// A case, `#[case(..)]` or `#[case::name(..)]`, of a `#[rstest]` or `#[test_case]` that is
    /// still to be expanded.
    Case,
    /// A lock that tests share, of the crate `serial_test`. It has an effect only in the process
    /// that all tests share, and there the body's time does not run while a test waits for it.
    Lock,
    /// An attribute of the language that is about the function as a test or as a name, a lint, or an
    /// attribute of a tool.
    Language,
    /// An attribute of the language that is about the code of the body.
    Code,
    /// Any other: a macro that may rewrite the function.
    Other,
}

/// The attributes of the language that a function can carry (and those that it cannot: the compiler
/// reports them). Lints, `#[cfg]` and `#[doc]` on the outer function cover the body inside it.
/// `#[test]` is [`Role::BuiltinTest`].
const LANGUAGE: &[&str] = &[
    "allow",
    "automatically_derived",
    "bench",
    "cfg",
    "cfg_attr",
    "cfg_eval",
    "cfg_accessible",
    "coroutine",
    "coverage",
    "debugger_visualizer",
    "define_opaque",
    "deny",
    "deprecated",
    "derive",
    "doc",
    "expect",
    "export_name",
    "feature",
    "ffi_const",
    "ffi_pure",
    "forbid",
    "global_allocator",
    "ignore",
    "link",
    "link_name",
    "link_ordinal",
    "link_section",
    "linkage",
    "macro_export",
    "macro_use",
    "must_use",
    "naked",
    "no_builtins",
    "no_mangle",
    "non_exhaustive",
    "panic_handler",
    "path",
    "proc_macro",
    "proc_macro_attribute",
    "proc_macro_derive",
    "repr",
    "should_panic",
    "stable",
    "unstable",
    "used",
    "warn",
];

/// The attributes of the language that are about the code of the body.
const CODE: &[&str] = &[
    "cold",
    "inline",
    "instruction_set",
    "no_sanitize",
    "optimize",
    "sanitize",
    "target_feature",
    "track_caller",
];

/// The attributes of the crate `serial_test`.
const LOCKS: &[&str] = &["serial", "parallel", "file_serial", "file_parallel"];

/// The tools whose attributes the compiler passes over.
const TOOLS: &[&str] = &["clippy", "diagnostic", "miri", "rust_analyzer", "rustfmt"];

impl Role {
    pub(crate) fn of(attribute: &Attribute) -> Self {
        let segments = &attribute.path().segments;
        let names: Vec<String> = segments.iter().map(|s| s.ident.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match Self::of_path(&names) {
            // The compiler's takes no arguments: an import hides it.
            Self::BuiltinTest if !matches!(attribute.meta, Meta::Path(_)) => Self::ForeignTest,
            role => role,
        }
    }

    /// The role of an attribute by the segments of its path.
    pub(crate) fn of_path(names: &[&str]) -> Self {
        match names {
            [.., "netns_test"] | [.., "netns_test", "test"] => Self::Ours,
            ["case", ..] => Self::Case,
            ["test"] => Self::BuiltinTest,
            ["core" | "std", "prelude", edition, "test"] if is_prelude(edition) => {
                Self::BuiltinTest
            }
            [.., "rstest"] => Self::Rstest,
            [.., "test_case" | "test_matrix"] => Self::ManyTests,
            [.., "test" | "test_attr" | "gtest" | "quickcheck" | "proptest" | "property_test"] => {
                Self::ForeignTest
            }
            ["serial_test", name] | [name] if LOCKS.contains(name) => Self::Lock,
            // `#[unsafe(..)]` holds an attribute of the language.
            ["unsafe"] => Self::Language,
            [name] if CODE.contains(name) => Self::Code,
            [name] if LANGUAGE.contains(name) || name.starts_with("rustc_") => Self::Language,
            [tool, _, ..] if TOOLS.contains(tool) => Self::Language,
            _ => Self::Other,
        }
    }
}

/// Whether `#[test]` is written by a path that no import can change.
pub(crate) fn is_full_path(attribute: &Attribute) -> bool {
    attribute.path().segments.len() > 1
}

/// `v1`, or the prelude of an edition such as `rust_2021`.
fn is_prelude(name: &str) -> bool {
    name == "v1" || name.starts_with("rust_20")
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn attributes_have_a_place_by_their_path() {
        for (path, role) in [
            ("netns_test", Role::Ours),
            ("a::netns_test::test", Role::Ours),
            ("test", Role::BuiltinTest),
            ("core::prelude::v1::test", Role::BuiltinTest),
            ("std::prelude::rust_2024::test", Role::BuiltinTest),
            ("tokio::test", Role::ForeignTest),
            ("gtest", Role::ForeignTest),
            ("googletest::gtest", Role::ForeignTest),
            ("test_case::test_case", Role::ManyTests),
            ("serial_test::serial", Role::Lock),
            ("serial", Role::Lock),
            ("my::serial", Role::Other),
            ("should_panic", Role::Language),
            ("track_caller", Role::Code),
            ("rustc_dummy", Role::Language),
            ("clippy::cognitive_complexity", Role::Language),
            ("unsafe", Role::Language),
            ("clippy", Role::Other),
            ("tracing::instrument", Role::Other),
            ("traced_test", Role::Other),
            ("my::inline", Role::Other),
        ] {
            let names: Vec<&str> = path.split("::").collect();
            assert_eq!(Role::of_path(&names), role, "{path}");
        }
    }
}
