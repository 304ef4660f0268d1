//! What the other attributes on the function are to us. A macro sees names, not what they resolve
//! to, so this is decided by the path as written.

use syn::Attribute;

/// The part an attribute has in making the function a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// This macro, by one of its two names.
    Ours,
    /// The compiler's `#[test]`.
    BuiltinTest,
    /// A macro that makes tests out of the function, with a `#[test]` of its own; or `test_attr`,
    /// in which `#[rstest]` is told of one.
    ForeignTest,
    /// `#[rstest]`, which takes the attribute whose path ends in `test` for the one that makes the
    /// test, and adds `#[test]` only if there is none. It refuses an `async fn` without one.
    Rstest,
    /// A case, `#[case(..)]` or `#[case::name(..)]`, of a `#[rstest]` or `#[test_case]` that is
    /// still to be expanded.
    Case,
    /// Not about being a test.
    Other,
}

impl Role {
    pub(crate) fn of(attribute: &Attribute) -> Self {
        let segments = &attribute.path().segments;
        let names: Vec<String> = segments.iter().map(|s| s.ident.to_string()).collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [.., "netns_test"] | [.., "netns_test", "test"] => Self::Ours,
            ["case", ..] => Self::Case,
            ["test"] => Self::BuiltinTest,
            ["core" | "std", "prelude", edition, "test"] if is_prelude(edition) => {
                Self::BuiltinTest
            }
            [.., "rstest"] => Self::Rstest,
            [.., "test" | "test_attr" | "test_case" | "test_matrix"] => Self::ForeignTest,
            _ => Self::Other,
        }
    }
}

/// `v1`, or the prelude of an edition such as `rust_2021`.
fn is_prelude(name: &str) -> bool {
    name == "v1" || name.starts_with("rust_20")
}
