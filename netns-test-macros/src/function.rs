//! The attributed function: its parts, its attributes, and the check that it can be a test.
//!
//! It becomes two functions: the outer one, which the test runner calls, and the body inside. The
//! [`Role`] of an attribute decides on which of them it is placed.
//!
//! `#[cfg_attr(..)]` needs no code here: the compiler expands every `cfg_attr` of an item before it
//! calls an attribute macro.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, FnArg, Result, ReturnType, Safety, Signature, Type, Visibility};

use crate::attributes::role::{self, Role};
use crate::errors::Errors;

/// Parts of a function. The body stays unparsed, so that it may hold syntax that `syn` does not
/// know yet.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// Returns whether the function returns a value other than `()`.
    pub(crate) fn returns_a_value(&self) -> bool {
        match &self.signature.output {
            ReturnType::Default => false,
            ReturnType::Type(_, output) => {
                !matches!(&**output, Type::Tuple(tuple) if tuple.elems.is_empty())
            }
        }
    }

    pub(crate) fn is_async(&self) -> bool {
        self.signature.asyncness.is_some()
    }

    /// Returns whether the attribute `name`, a single segment, is on the function in any form.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Returns the first attribute `name`, a single segment.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.path().is_ident(name))
    }

    /// Returns the attributes of this role.
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(move |a| Role::of(a) == role)
    }

    /// Returns the attributes of the function that the test runner calls, without `#[test]`.
    pub(crate) fn outer_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|a| matches!(Role::of(a), Role::Language | Role::Lock))
    }

    /// Returns the attributes of the body, in order. A macro among them is expanded inside, so that
    /// the code it adds runs in the sandbox, and a `#[test]` it adds registers nothing.
    pub(crate) fn body_attributes(&self) -> Vec<&Attribute> {
        let belongs = |attribute: &&Attribute| match Role::of(attribute) {
            Role::Language => self.has_foreign_test() && attribute.path().is_ident("should_panic"),
            Role::BuiltinTest => self.is_imported_test(attribute),
            Role::Lock | Role::Ours => false,
            _ => true,
        };
        self.attributes.iter().filter(belongs).collect()
    }

    /// Returns whether a macro that is not expanded yet may rewrite the body.
    pub(crate) fn has_macros(&self) -> bool {
        let is_macro = |a: &Attribute| matches!(Role::of(a), Role::Other | Role::ForeignTest);
        self.attributes.iter().any(is_macro)
    }

    pub(crate) fn has_foreign_test(&self) -> bool {
        self.with_role(Role::ForeignTest).next().is_some()
    }

    /// Returns whether this `#[test]` may be an imported macro, such as `test_log::test`. On the
    /// body of a sync function an imported one works, and the compiler's has no effect. On an
    /// `async fn` the compiler's is an error.
    fn is_imported_test(&self, attribute: &Attribute) -> bool {
        !self.is_async() && !self.has_foreign_test() && !role::is_full_path(attribute)
    }

    /// Reports a second `#[netns_test]`, which would isolate the isolated test.
    pub(crate) fn check_once(&self, errors: &mut Errors) {
        for attribute in self.with_role(Role::Ours) {
            errors.at(attribute.path(), "`#[netns_test]` is on this function twice; delete one");
        }
    }

    /// Reports all reasons for which the function cannot be a test, each on its token.
    pub(crate) fn check(&self, errors: &mut Errors) {
        self.check_qualifiers(errors);
        // A macro may remove parameters; otherwise the compiler reports the call.
        if !self.has_macros() {
            self.check_parameters(errors);
        }
        self.check_should_panic(errors);
    }

    /// Removes the test attributes, so that the function can be kept beside the reported errors
    /// without causing further ones.
    pub(crate) fn into_plain(mut self) -> Self {
        self.attributes.retain(|a| !matches!(Role::of(a), Role::Ours | Role::BuiltinTest));
        self
    }

    fn check_qualifiers(&self, errors: &mut Errors) {
        let signature = &self.signature;
        if let Some(token) = &signature.constness {
            errors.at(token, "a test cannot be a `const fn`");
        }
        if let Safety::Unsafe(token) = &signature.safety {
            errors.at(
                token,
                "a test cannot be an `unsafe fn`: the test runner keeps no contract; put `unsafe` into the body",
            );
        }
        if let Some(abi) = &signature.abi {
            errors.at(abi, "a test has the ABI of Rust; delete `extern`");
        }
        let has_runtime = cfg!(feature = "tokio") || self.has_macros();
        if let (Some(token), false) = (&signature.asyncness, has_runtime) {
            errors.at(
                token,
                "an `async fn` needs feature `tokio` of netns-test, or a `#[tokio::test]` of your own",
            );
        }
    }

    fn check_parameters(&self, errors: &mut Errors) {
        let signature = &self.signature;
        if !signature.generics.params.is_empty() {
            errors.at(
                &signature.generics,
                "a test cannot be generic: nothing would choose its parameters",
            );
        }
        if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
            errors.at(receiver, "only a free function can be a test: there would be no `self`");
        } else if !signature.inputs.is_empty() {
            errors.at(
                &signature.inputs,
                "a test has no parameters; for one test with many values add `#[rstest]` or `#[test_case]`",
            );
        }
        if let Some(variadic) = &signature.variadic {
            errors.at(variadic, "a test has no parameters");
        }
    }

    fn check_should_panic(&self, errors: &mut Errors) {
        if let ReturnType::Type(_, output) = &self.signature.output {
            if self.has("should_panic") && self.returns_a_value() {
                errors.at(output, "functions using `#[should_panic]` must return `()`");
            }
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: braced(input.parse()?)?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attribute in &self.attributes {
            attribute.to_tokens(tokens);
        }
        self.visibility.to_tokens(tokens);
        self.signature.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// Returns the body in its braces. A `$body:block` of `macro_rules!` is inside another group,
/// without delimiters.
fn braced(token: TokenTree) -> Result<Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Ok(group),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            syn::parse2(group.stream()).and_then(braced)
        }
        other => Err(Error::new(other.span(), "expected a body in braces")),
    }
}
