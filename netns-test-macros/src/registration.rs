//! Decides which `#[test]` makes the function known to the test runner. Two would run the body twice,
//! none would leave it out in silence.

use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Ident, Token};

use crate::attributes::role::Role;
use crate::function::Function;

/// The owner of the `#[test]` that registers the test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// A macro below ours that makes several tests and has to be expanded first. We put ourselves
    /// below it, with the mark `__adopted`, and are called again.
    ManyTests,
    /// `#[rstest]` below ours, which has to be expanded first too. It leaves the registration to
    /// us if we put ourselves below it by our name `test`.
    Rstest,
    /// A macro below ours that leaves an `async fn` as it is and adds `#[test]`, which the compiler
    /// refuses on one. It goes first, so that the `#[test]` is for us to see.
    Waiting,
    /// A `#[test]` that is expanded already, or one that the attribute which adopted us brings.
    Elsewhere,
    /// We add `#[test]`. One that is still to be expanded is left out.
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
            // The crate test-case puts `#[test]` on top of what it generates, where it is expanded
            // before us; but on an `async fn` it puts none.
            if function.is_async() { Self::Ours } else { Self::Elsewhere }
        } else if function.is_async() && has_only_a_waiting_test(function) {
            Self::Waiting
        } else if adopted && !has(Role::BuiltinTest) && !has(Role::ForeignTest) {
            Self::Elsewhere
        } else {
            Self::Ours
        }
    }

    /// Whether another attribute goes first, so that nothing can be said about the function yet.
    pub(crate) fn is_handed_on(self) -> bool {
        matches!(self, Self::ManyTests | Self::Rstest | Self::Waiting)
    }
}

/// Whether `#[rstest]` takes an attribute with this last segment for the one that makes the test.
fn is_test_to_rstest(last: &syn::PathSegment) -> bool {
    last.ident == "test" || last.ident == "test_attr"
}

/// Whether the one test attribute is of the crate googletest, or of test-log without arguments.
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

/// Whether `#[test_case(..)]` generated this function. It is known by two marks, because a test
/// that a person wrote must not be taken for one and lose its `#[test]`: an `allow` of one lint,
/// and a first statement `let _result = super::name(arguments)`.
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

/// Whether the function has the `allow` that `#[test_case(..)]` puts on what it generates. It
/// stays when another macro, such as `#[tokio::test]`, has changed the body.
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
