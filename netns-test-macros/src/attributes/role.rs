//! Classifies the other attributes on the function. A macro sees paths, not the items that they
//! resolve to, so the path as written decides.

use syn::{Attribute, Meta};

/// Role of an attribute in the making of the test. It decides its place: on the function that the
/// test runner calls, or on the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `#[netns_test]`, by one of its two names.
    Ours,
    /// The compiler's `#[test]`.
    BuiltinTest,
    /// A macro that makes one test of the function. On the body only its other effects remain: a
    /// runtime, a logger. Also `test_attr`, which names one to `#[rstest]`.
    ForeignTest,
    /// A macro that makes several tests of the function. It must be expanded first.
    ManyTests,
    /// `#[rstest]`, which leaves the registration to an attribute whose path ends in `test`, and
    /// adds `#[test]` only if there is none. It refuses an `async fn` without one.
    Rstest,
    /// A case, `#[case(..)]` or `#[case::name(..)]`, of a `#[rstest]` or `#[test_case]` that is
    /// still to be expanded.
    Case,
    /// A lock of the crate `serial_test`. It has an effect only in the test runner, which all tests
    /// share. There the time limit does not run while a test waits for the lock.
    Lock,
    /// An attribute of the language for the function as a test or as a name, a lint, or an
    /// attribute of a tool.
    Language,
    /// An attribute of the language for the code of the body.
    Code,
    /// Any other attribute: a macro that may rewrite the function.
    Other,
}

/// Attributes of the language, also those that a function cannot have, which the compiler reports.
/// Lints, `#[cfg]` and `#[doc]` on the outer function cover the body inside it. `#[test]` is
/// [`Role::BuiltinTest`].
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

/// Attributes of the language for the code of the body.
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

/// Attributes of the crate `serial_test`.
const LOCKS: &[&str] = &["serial", "parallel", "file_serial", "file_parallel"];

/// Tools whose attributes the compiler ignores.
const TOOLS: &[&str] = &["clippy", "diagnostic", "miri", "rust_analyzer", "rustfmt"];

impl Role {
    pub(crate) fn of(attribute: &Attribute) -> Self {
        let segments = &attribute.path().segments;
        let names: Vec<String> = segments.iter().map(|s| s.ident.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match Self::of_path(&names) {
            // The compiler's `#[test]` takes no arguments, so this is an imported one.
            Self::BuiltinTest if !matches!(attribute.meta, Meta::Path(_)) => Self::ForeignTest,
            role => role,
        }
    }

    /// Returns the role of an attribute by the segments of its path.
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

/// Returns whether `#[test]` is written by a path that no import can change.
pub(crate) fn is_full_path(attribute: &Attribute) -> bool {
    attribute.path().segments.len() > 1
}

/// Returns whether this is `v1`, or the prelude of an edition such as `rust_2021`.
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
