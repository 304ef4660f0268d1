//! Decides which `#[test]` registers the function with the test runner. With two the body would run
//! twice, without one it would silently not run.

use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Ident, Token};

use crate::attributes::role::Role;
use crate::function::Function;

/// Origin of the `#[test]` that registers the test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// A macro below that makes several tests, and must be expanded first. This attribute moves
    /// below it, with the mark `__adopted`, and is expanded again.
    ManyTests,
    /// `#[rstest]` below, which must be expanded first, too. It leaves the registration to this
    /// attribute if that is below it by the name `test`.
    Rstest,
    /// A macro below that does not change an `async fn` and adds `#[test]`, which the compiler
    /// refuses on one. It is expanded first, so that this attribute sees the `#[test]`.
    Waiting,
    /// A `#[test]` that is already expanded, or one of the attribute below which this one moved.
    Elsewhere,
    /// This attribute adds `#[test]`, and removes one that is not expanded yet.
    Ours,
}

impl Registration {
    pub(crate) fn of(function: &Function, adopted: bool) -> Self {
        let has = |role| function.with_role(role).next().is_some();
        let is_named_test = |a: &Attribute| a.path().segments.last().is_some_and(is_test_to_rstest);
        if has(Role::ManyTests) {
            Self::ManyTests
        } else if has(Role::Rstest) {
            let is_chosen = function.with_role(Role::ForeignTest).any(is_named_test);
            let is_registered = adopted || has(Role::BuiltinTest) || is_chosen;
            if is_registered { Self::ManyTests } else { Self::Rstest }
        } else if is_from_test_case(function) {
            // The crate test-case puts `#[test]` on top of the functions that it generates, where
            // it is expanded first; but not on an `async fn`.
            if function.is_async() { Self::Ours } else { Self::Elsewhere }
        } else if function.is_async() && has_only_a_waiting_test(function) {
            Self::Waiting
        } else if adopted && !has(Role::BuiltinTest) && !has(Role::ForeignTest) {
            Self::Elsewhere
        } else {
            Self::Ours
        }
    }

    /// Returns whether another attribute is expanded first, so that the function cannot be checked
    /// yet.
    pub(crate) fn is_handed_on(self) -> bool {
        matches!(self, Self::ManyTests | Self::Rstest | Self::Waiting)
    }
}

/// Returns whether `#[rstest]` leaves the registration to an attribute with this last segment.
fn is_test_to_rstest(last: &syn::PathSegment) -> bool {
    last.ident == "test" || last.ident == "test_attr"
}

/// Returns whether the only test attribute is of the crate googletest, or of test-log without
/// arguments.
fn has_only_a_waiting_test(function: &Function) -> bool {
    let mut tests = function.with_role(Role::ForeignTest);
    let (Some(test), None) = (tests.next(), tests.next()) else { return false };
    let names: Vec<String> = test.path().segments.iter().map(|s| s.ident.to_string()).collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [.., "gtest"] | [.., "googletest", "test"] => true,
        [.., "test_log", "test"] => matches!(test.meta, syn::Meta::Path(_)),
        _ => false,
    }
}

/// Returns whether `#[test_case(..)]` generated this function. It must have two marks, so that a
/// hand-written test does not lose its `#[test]`: an `allow` of one lint, and a first statement
/// `let _result = super::name(arguments)`.
fn is_from_test_case(function: &Function) -> bool {
    let first_statement = |input: ParseStream<'_>| {
        input.parse::<Token![let]>()?;
        let binding: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        input.parse::<Token![super]>()?;
        input.parse::<Token![::]>()?;
        input.parse::<Ident>()?;
        input.parse::<proc_macro2::Group>()?;
        input.parse::<proc_macro2::TokenStream>()?;
        Ok(binding == "_result")
    };
    is_marked_by_test_case(function)
        && first_statement.parse2(function.body.stream()).unwrap_or(false)
}

/// Returns whether the function has the `allow` of functions that `#[test_case(..)]` generates. It
/// remains after another macro, such as `#[tokio::test]`, has changed the body.
pub(crate) fn is_marked_by_test_case(function: &Function) -> bool {
    function.attributes.iter().any(allows_bool_comparison)
}

fn allows_bool_comparison(attribute: &Attribute) -> bool {
    let lint = |input: ParseStream<'_>| {
        let path = input.call(syn::Path::parse_mod_style)?;
        Ok(path.segments.last().is_some_and(|s| s.ident == "bool_assert_comparison"))
    };
    attribute.path().is_ident("allow") && attribute.parse_args_with(lint).unwrap_or(false)
}
