//! Tests of the expansion as an ordinary function. `expansions` compares whole results as formatted
//! source, `rejections` every error with the text to which it points.

mod expansions;
mod rejections;

use std::str::FromStr as _;

use proc_macro2::{Span, TokenStream, TokenTree};

use crate::expand::expand;

fn expand_str(arguments: &str, item: &str) -> TokenStream {
    let parse = |source| TokenStream::from_str(source).expect("a test's source is valid Rust");
    expand(&parse(arguments), &parse(item))
}

fn pretty(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).expect("an expansion is a list of items"))
}

/// Asserts the expansion of `#[netns_test(arguments)]` on `item`. Ignores surrounding white space.
#[track_caller]
fn check(arguments: &str, item: &str, expected: &str) {
    let found = pretty(expand_str(arguments, item));
    assert_eq!(found.trim(), expected.trim(), "\nfound:\n{found}");
}

/// Asserts the errors, each as the text it points to and its message, and that a plain function
/// is left beside them.
#[track_caller]
fn check_errors(arguments: &str, item: &str, expected: &[(&str, &str)]) {
    let errors = compile_errors(expand_str(arguments, item));
    let found: Vec<_> = errors.iter().map(|(at, text)| (&**at, &**text)).collect();
    assert_eq!(found, expected);
}

/// Returns the text and message of each `::netns_test::__rt::compile_error! { "message" }`. The
/// text is empty for an error on the attribute as a whole.
fn compile_errors(tokens: TokenStream) -> Vec<(String, String)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let errors = tokens.windows(3).filter_map(|window| match window {
        [TokenTree::Ident(name), _, TokenTree::Group(body)] if name == "compile_error" => {
            let message: syn::LitStr = syn::parse2(body.stream()).expect("a message");
            Some((text(name.span(), body.span()), message.value()))
        }
        _ => None,
    });
    errors.collect()
}

fn text(first: Span, last: Span) -> String {
    let span = first.join(last).expect("both ends are in one source");
    span.source_text().unwrap_or_default()
}
