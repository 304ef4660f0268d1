//! One option of the attribute, `name = value`, as written. This file reads values;
//! [`args`](crate::options::args) knows the options.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::parse::{Parse, Parser as _};
use syn::{Error, LitBool, LitInt, LitStr, Path, Result};

use crate::errors::Errors;
use crate::options::user::User;

/// Option with its name and the tokens after `=`.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    value: TokenStream,
}

impl Argument {
    /// Splits the arguments of the attribute at their commas. Each part is read by itself, so that
    /// an error in one does not hide an error in the next.
    pub(crate) fn split(tokens: TokenStream, errors: &mut Errors) -> Vec<Self> {
        let mut arguments = Vec::new();
        let mut part = Vec::new();
        for token in tokens {
            if !is_punct(&token, ',') {
                part.push(token);
            } else if part.is_empty() {
                errors.at(token, "expected an option before this comma");
            } else {
                arguments.extend(Self::read(std::mem::take(&mut part), errors));
            }
        }
        if !part.is_empty() {
            arguments.extend(Self::read(part, errors));
        }
        arguments
    }

    /// Reads a time limit in milliseconds; `None` for `"none"`.
    pub(crate) fn duration(&self) -> Result<Option<u64>> {
        let expected = "a positive whole number and its unit, as in \"500ms\", \"5s\", \"2m\" or \"1h\", or with \"none\"";
        let text = self.value::<LitStr>(expected)?.value();
        if text == "none" {
            return Ok(None);
        }
        milliseconds(&text).map(Some).ok_or_else(|| self.error(expected))
    }

    /// Reads one of two words in quotes, each with its meaning.
    pub(crate) fn either<T>(&self, first: (&str, T), second: (&str, T)) -> Result<T> {
        let expected = format!("\"{}\" or \"{}\"", first.0, second.0);
        let word = self.value::<LitStr>(&expected)?.value();
        [first, second]
            .into_iter()
            .find_map(|(name, meaning)| (name == word).then_some(meaning))
            .ok_or_else(|| self.error(&expected))
    }

    /// Reads a user: the caller, root, a name, or a number, bare or in quotes.
    pub(crate) fn user(&self) -> Result<User> {
        let expected =
            "\"caller\", \"root\", the name of a user as in \"nobody\", or a uid as in 1000";
        if let Ok(number) = syn::parse2::<LitInt>(self.value.clone()) {
            return uid(number.base10_digits()).ok_or_else(|| self.error(expected));
        }
        let word = self.value::<LitStr>(expected)?.value();
        let user = match word.as_str() {
            "caller" => Some(User::Caller),
            "root" => Some(User::Root),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => uid(number),
            name => is_name(name).then(|| User::Named(name.to_owned())),
        };
        user.ok_or_else(|| self.error(expected))
    }

    /// Reads a path, bare or, as in other test attributes, in quotes.
    pub(crate) fn path(&self) -> Result<Path> {
        let expected = "a path, as in `::netns_test`";
        self.value::<LitStr>(expected)
            .and_then(|text| text.parse_with(Path::parse_mod_style))
            .or_else(|_| Path::parse_mod_style.parse2(self.value.clone()))
            .map_err(|_| self.error(expected))
    }

    /// Reads a positive whole number.
    pub(crate) fn positive(&self) -> Result<usize> {
        let expected = "a positive whole number";
        self.value::<LitInt>(expected)?
            .base10_parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| self.error(expected))
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&self) -> Result<bool> {
        Ok(self.value::<LitBool>("`true` or `false`")?.value)
    }

    /// Returns whether the value is this text in quotes.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        self.value::<LitStr>("").is_ok_and(|value| value.value() == text)
    }

    fn read(part: Vec<TokenTree>, errors: &mut Errors) -> Option<Self> {
        let mut tokens = part.into_iter();
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            other => {
                let part = other.into_iter().chain(tokens).collect::<TokenStream>();
                errors.at(part, "expected an option, as in `timeout = \"5s\"`");
                return None;
            }
        };
        let value = match tokens.next() {
            Some(token) if is_punct(&token, '=') => tokens.collect(),
            _ => TokenStream::new(),
        };
        Some(Self { name, value })
    }

    fn value<T: Parse>(&self, expected: &str) -> Result<T> {
        syn::parse2(self.value.clone()).map_err(|_| self.error(expected))
    }

    fn error(&self, expected: &str) -> Error {
        self.error_at_value(&format!("expected `{} = …` with {expected}", self.name))
    }

    /// Returns an error on the value, or on the name if there is no value.
    pub(crate) fn error_at_value(&self, message: &str) -> Error {
        if self.value.is_empty() {
            Error::new(self.name.span(), message)
        } else {
            Error::new_spanned(&self.value, message)
        }
    }
}

/// Reads `500ms`, `5s`, `2m` or `1h`. Refuses zero, with which no test could pass.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(factor).filter(|limit| *limit > 0)
}

/// Reads a uid. 0 is [`User::Root`]; the highest number is not a uid.
fn uid(digits: &str) -> Option<User> {
    match digits.parse().ok()? {
        0 => Some(User::Root),
        u32::MAX => None,
        uid => Some(User::Id(uid)),
    }
}

/// Returns whether this can be the name of a user (useradd(8)). Refuses `root` and `caller` in
/// other letter cases.
fn is_name(word: &str) -> bool {
    let stem = word.strip_suffix('$').unwrap_or(word);
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_misspelt = ["root", "caller"].iter().any(|known| word.eq_ignore_ascii_case(known));
    stem.starts_with(is_first) && stem.chars().all(is_inner) && !is_misspelt
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}
