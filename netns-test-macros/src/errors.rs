//! Collects the errors of one use of the attribute, so that all of them are reported at once
//! instead of one for each compilation.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Error;

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds an error that is already made.
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    /// Adds an error on `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` for each error, through the runtime crate at `path`: `::core`, which
    /// `syn` writes, may be another package.
    pub(crate) fn to_tokens(&self, path: &TokenStream) -> TokenStream {
        let mut tokens = TokenStream::new();
        for error in self.0.iter().flat_map(|errors| errors.clone().into_iter()) {
            let by_core: Vec<TokenTree> = error.to_compile_error().into_iter().collect();
            let start = by_core.first().map_or_else(Span::call_site, TokenTree::span);
            tokens.extend(path.clone().into_iter().chain(quote!(::__rt::)).map(|mut token| {
                token.set_span(token.span().located_at(start));
                token
            }));
            // `compile_error`, the sign and the message are the last.
            tokens.extend(by_core.into_iter().rev().take(3).collect::<Vec<_>>().into_iter().rev());
        }
        tokens
    }
}
