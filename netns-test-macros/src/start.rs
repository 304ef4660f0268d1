//! The place at which the user's code begins. For some tests it is not the first line of the
//! function that this macro sees.
//!
//! An attribute below may add code before the body, and `#[tokio::test]` makes of an `async fn` a
//! function that builds a runtime and runs the body as a future. A failure to build a runtime is no
//! failure of the test. So the first statement of the body, or of that future, is a call of
//! `__rt::begin`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

use crate::function::Function;
use crate::options::args::Args;

/// Start of the user's code.
pub(crate) struct Start {
    /// Option of `__rt::case!`; empty if the code begins with the call of the function.
    pub(crate) kind: TokenStream,
    /// Body, with a call of `begin` if it needs one.
    pub(crate) body: Group,
}

impl Start {
    pub(crate) fn of(args: &Args, function: &Function) -> Self {
        let body = function.body.clone();
        let path = args.path();
        let call = quote!(#path::__rt::begin(););
        if function.has_macros() {
            return Self { kind: quote!(begins: ByItself,), body: with_call_first(&body, &call) };
        }
        if function.is_async() {
            return Self { kind: quote!(begins: OnRuntime,), body };
        }
        match with_call_in_future(&body, &call) {
            Some(body) => Self { kind: quote!(begins: ByItself,), body },
            None => Self { kind: TokenStream::new(), body },
        }
    }
}

/// Returns the body with `call` as its first statement, after inner attributes (`#![..]`).
fn with_call_first(body: &Group, call: &TokenStream) -> Group {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    let mut first = 0;
    while is(first, "#") && is(first + 1, "!") {
        first += 3;
    }
    let (attributes, statements) = tokens.split_at(first.min(tokens.len()));
    spanned(quote!(#(#attributes)* #call #(#statements)*), body)
}

/// Message in the expansion of `#[tokio::test]`, by which it is recognized. A hand-written body
/// with it has the same meaning.
const TOKIO: &str = "\"Failed building the Runtime\"";

/// Returns the expansion of `#[tokio::test]`, `let body = async { .. }; ..`, with `call` as the
/// first statement of the block, or `None` for any other body.
fn with_call_in_future(body: &Group, call: &TokenStream) -> Option<Group> {
    let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    let is_bound = is(0, "let") && is(1, "body") && is(2, "=") && is(3, "async");
    if !is_bound || !holds(body, TOKIO) {
        return None;
    }
    let Some(TokenTree::Group(block)) = tokens.get(4) else { return None };
    if block.delimiter() != Delimiter::Brace {
        return None;
    }
    let inner = block.stream();
    tokens[4] = TokenTree::Group(spanned(quote!(#call #inner), block));
    Some(spanned(tokens.into_iter().collect(), body))
}

/// Returns a group like `old` with other tokens.
fn spanned(tokens: TokenStream, old: &Group) -> Group {
    let mut group = Group::new(old.delimiter(), tokens);
    group.set_span(old.span());
    group
}

/// Returns whether the group holds the literal, at any depth.
fn holds(group: &Group, literal: &str) -> bool {
    group.stream().into_iter().any(|token| match token {
        TokenTree::Group(group) => holds(&group, literal),
        TokenTree::Literal(other) => other.to_string() == literal,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(body: TokenStream) -> Option<String> {
        let body = Group::new(Delimiter::Brace, body);
        with_call_in_future(&body, &quote!(begin();)).map(|body| body.to_string())
    }

    #[test]
    fn a_call_comes_after_inner_attributes() {
        let with_call = |body: TokenStream| {
            let body = Group::new(Delimiter::Brace, body);
            with_call_first(&body, &quote!(begin();)).to_string()
        };
        assert_eq!(with_call(quote!()), "{ begin () ; }");
        assert_eq!(with_call(quote!(user() # 1)), "{ begin () ; user () # 1 }");
        let attributes = quote!(#![allow(unused)] #![warn(x)] user());
        assert_eq!(
            with_call(attributes),
            "{ # ! [allow (unused)] # ! [warn (x)] begin () ; user () }"
        );
    }

    #[test]
    fn the_expansion_of_tokio_begins_in_its_future() {
        let rest = quote! {
            ::tokio::pin!(body);
            { return ::tokio::runtime::Builder::new_current_thread().enable_all().build()
                .expect("Failed building the Runtime").block_on(body); }
        };
        let begun = begins(quote!(let body = async { user(); }; #rest)).unwrap();
        assert!(begun.contains("async { begin () ; user () ; }"), "{begun}");
        // Any other body is the user's own.
        assert_eq!(begins(quote!(user(); let body = async { user(); }; #rest)), None);
        assert_eq!(begins(quote!(let body = async { user(); }; runtime().block_on(body))), None);
        assert_eq!(begins(quote!(let body = async move { user(); }; #rest)), None);
    }
}
