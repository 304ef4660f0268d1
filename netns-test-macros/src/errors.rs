//! Collects the errors of one use of the attribute, so that one compilation reports all of them.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::{Error, Path};

/// Errors found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds an error.
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

    /// Returns one `compile_error!` for each error, through the runtime crate, by default at
    /// `::netns_test`: the `::core` that `syn` writes may be another package.
    pub(crate) fn to_tokens(&self, path: Option<&Path>) -> TokenStream {
        let mut tokens = TokenStream::new();
        for error in self.0.iter().flat_map(|errors| errors.clone().into_iter()) {
            let by_core: Vec<TokenTree> = error.to_compile_error().into_iter().collect();
            let at = by_core.first().map_or_else(Span::call_site, TokenTree::span);
            match path {
                Some(path) => tokens.extend(located_at(path.to_token_stream(), at)),
                None => tokens.extend(quote_spanned!(at=> ::netns_test)),
            }
            tokens.extend(quote_spanned!(at=> ::__rt::));
            // The last three tokens are `compile_error`, `!` and the message.
            tokens.extend(by_core.into_iter().rev().take(3).collect::<Vec<_>>().into_iter().rev());
        }
        tokens
    }
}

/// Returns the tokens with the same name resolution, reported at another place.
pub(crate) fn located_at(tokens: TokenStream, place: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        token.set_span(token.span().located_at(place));
        token
    };
    tokens.into_iter().map(locate).collect()
}
