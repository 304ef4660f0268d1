//! Whose `#[test]` makes the function known to the test runner. Two would run the body twice, none
//! would leave it out without a word.

use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Ident, Token};

use crate::function::Function;
use crate::role::Role;

/// Who registers the test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// A foreign test attribute below ours, which has to be expanded first. We put ourselves below
    /// it, with the mark `__adopted`, and are called again.
    Foreign,
    /// `#[rstest]` below ours, which has to be expanded first too. It leaves the registration to
    /// us if we put ourselves below it by our name `test`.
    Rstest,
    /// A `#[test]` among the attributes that are still to be expanded.
    Visible,
    /// A `#[test]` that is expanded already, or one that the attribute which adopted us brings.
    Elsewhere,
    /// Nobody else: we add `#[test]`.
    Ours,
}

impl Registration {
    pub(crate) fn of(function: &Function, adopted: bool) -> Self {
        let has = |role| function.with_role(role).next().is_some();
        let registered = has(Role::BuiltinTest) || adopted;
        if has(Role::ForeignTest) || (has(Role::Rstest) && registered) {
            Self::Foreign
        } else if has(Role::Rstest) {
            Self::Rstest
        } else if has(Role::BuiltinTest) {
            Self::Visible
        } else if is_from_test_case(function) {
            // The crate test-case puts `#[test]` on top of what it generates, where it is expanded
            // before us; but on an `async fn` it puts none.
            if function.is_async() { Self::Ours } else { Self::Elsewhere }
        } else if adopted {
            Self::Elsewhere
        } else {
            Self::Ours
        }
    }

    /// Whether another attribute goes first, so that nothing can be said about the function yet.
    pub(crate) fn is_handed_on(self) -> bool {
        matches!(self, Self::Foreign | Self::Rstest)
    }

    /// Whether `#[test]` is still to be expanded, and so will read attributes that we add.
    pub(crate) fn is_pending(self) -> bool {
        matches!(self, Self::Visible | Self::Ours)
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
