//! The options of one use of the attribute: their names, defaults and combinations.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Error, Path, Result};

use crate::errors::Errors;
use crate::options::argument::Argument;
use crate::options::user::User;

/// Names of the options, for errors.
const NAMES: &str =
    "`timeout`, `user`, `ids`, `network`, `crate`, `flavor`, `worker_threads`, `start_paused`";

/// Names of the options for the runtime of an `async fn`.
const RUNTIME_NAMES: [&str; 3] = ["flavor", "worker_threads", "start_paused"];

/// Names of the options that `defaults!` takes, for errors.
const DEFAULTS_NAMES: &str = "`timeout`, `user`, `ids`, `network`, `crate`";

/// Options of one use.
pub(crate) struct Args {
    /// Path of the runtime crate; `None` for `::netns_test`.
    pub(crate) path: Option<Path>,
    timeout: Option<Timeout>,
    user: Option<User>,
    ids: Option<Ids>,
    network: Option<Network>,
    pub(crate) flavor: Flavor,
    pub(crate) worker_threads: Option<usize>,
    pub(crate) start_paused: bool,
    /// Whether an earlier expansion moved this attribute below another test attribute; see
    /// [`Registration`](crate::registration::Registration).
    pub(crate) adopted: bool,
    names: Vec<Ident>,
}

/// Time limit of a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Timeout {
    Never,
    /// In milliseconds.
    After(u64),
}

/// Ids of the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    Own,
    Subordinate,
}

/// Network with which the body begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Loopback,
    Lan,
}

/// Flavor of the tokio runtime of an `async fn`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread,
}

impl Args {
    /// Reads the tokens between the parentheses of the attribute.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let mut is_valid = true;
        for argument in Argument::split(tokens, errors) {
            if let Err(error) = args.set(&argument) {
                errors.push(error);
                is_valid = false;
            }
        }
        if is_valid {
            args.check_flavor(errors);
        }
        args
    }

    /// Reports options for a runtime on a test for which this attribute makes none.
    pub(crate) fn check_no_runtime(&self, errors: &mut Errors) {
        let is_for_runtime =
            |name: &&Ident| RUNTIME_NAMES.iter().any(|runtime_name| name == runtime_name);
        for option in self.names.iter().filter(is_for_runtime) {
            errors.at(
                option,
                format!(
                    "`{option}` configures the runtime that `#[netns_test]` makes for an `async fn`; here there is none to configure"
                ),
            );
        }
    }

    /// Returns whether an option for the runtime is set.
    pub(crate) fn configures_runtime(&self) -> bool {
        RUNTIME_NAMES.iter().any(|runtime_name| self.names.iter().any(|name| name == runtime_name))
    }

    /// Reports options that `defaults!` does not take, and an empty list.
    pub(crate) fn check_defaults(&self, errors: &mut Errors) {
        let is_for_one_test =
            |name: &&Ident| RUNTIME_NAMES.iter().any(|runtime_name| name == runtime_name);
        for option in self.names.iter().filter(is_for_one_test) {
            errors.at(
                option,
                format!("`{option}` is an option of one test; `defaults!` takes {DEFAULTS_NAMES}"),
            );
        }
        if self.names.iter().all(|name| name == "crate") && errors.is_empty() {
            let message = "expected an option, as in `network = \"lan\"`";
            errors.push(Error::new(Span::call_site(), message));
        }
    }

    /// Returns the options that were set, except those of this crate, in the syntax of
    /// `__rt::case!`.
    pub(crate) fn options(&self) -> TokenStream {
        let timeout = self.timeout.map(|timeout| match timeout {
            Timeout::Never => quote!(timeout: Timeout::Never,),
            Timeout::After(limit) => quote!(timeout: Timeout::After(#limit),),
        });
        let user = self.user.as_ref().map(|user| match user {
            User::Caller => quote!(user: User::Caller,),
            User::Root => quote!(user: User::Root,),
            User::Id(uid) => quote!(user: User::Id(#uid),),
            User::Named(name) => quote!(user: User::Named(#name),),
        });
        let ids = self.ids.map(|ids| match ids {
            Ids::Own => quote!(ids: Ids::Own,),
            Ids::Subordinate => quote!(ids: Ids::Subordinate,),
        });
        let network = self.network.map(|network| match network {
            Network::Loopback => quote!(network: Network::Loopback,),
            Network::Lan => quote!(network: Network::Lan,),
        });
        quote!(#timeout #user #ids #network)
    }

    /// Returns the path of the runtime crate.
    pub(crate) fn path(&self) -> TokenStream {
        match &self.path {
            Some(path) => quote!(#path),
            None => quote!(::netns_test),
        }
    }

    fn set(&mut self, argument: &Argument) -> Result<()> {
        let name = &argument.name;
        if name == "__adopted" {
            self.adopted = true;
            return Ok(());
        }
        if self.names.contains(name) {
            return Err(Error::new(name.span(), format!("`{name}` is set twice")));
        }
        self.names.push(name.clone());
        match name.to_string().as_str() {
            "timeout" => {
                let limit = argument.duration()?;
                self.timeout = Some(limit.map_or(Timeout::Never, Timeout::After));
            }
            "user" => self.user = Some(argument.user()?),
            "ids" => {
                let words = (("own", Ids::Own), ("subordinate", Ids::Subordinate));
                self.ids = Some(argument.either(words.0, words.1)?);
            }
            "network" => {
                let words = (("loopback", Network::Loopback), ("lan", Network::Lan));
                self.network = Some(argument.either(words.0, words.1)?);
            }
            "crate" => {
                let path = argument.path()?;
                if path.is_ident("tokio") {
                    return Err(tokios(argument, "crate = \"tokio\""));
                }
                self.path = Some(path);
            }
            "name" => return Err(tokios(argument, "name = \"…\"")),
            "unhandled_panic" => return Err(tokios(argument, "unhandled_panic = \"…\"")),
            "flavor" if argument.is_text("local") => {
                return Err(tokios(argument, "flavor = \"local\""));
            }
            "flavor" => {
                self.flavor = argument.either(
                    ("current_thread", Flavor::CurrentThread),
                    ("multi_thread", Flavor::MultiThread),
                )?;
            }
            "worker_threads" => self.worker_threads = Some(argument.positive()?),
            "start_paused" => self.start_paused = argument.boolean()?,
            _ => {
                let message = format!("unknown option `{name}`; the options are {NAMES}");
                return Err(Error::new(name.span(), message));
            }
        }
        Ok(())
    }

    /// Checks tokio's own rules for options and flavors.
    fn check_flavor(&self, errors: &mut Errors) {
        let (option, needed) = match self.flavor {
            Flavor::CurrentThread => ("worker_threads", "multi_thread"),
            Flavor::MultiThread => ("start_paused", "current_thread"),
        };
        if let Some(option) = self.names.iter().find(|name| *name == option) {
            errors.at(option, format!("`{option}` needs `flavor = \"{needed}\"`"));
        }
    }
}

/// Returns the error for an option of `#[tokio::test]`, with the option as it is written there.
fn tokios(argument: &Argument, option: &str) -> Error {
    argument.error_at_value(&format!(
        "this is an option of `#[tokio::test]`: write `#[tokio::test({option})]` below `#[netns_test]`; it makes the runtime in the isolated body"
    ))
}

impl Default for Args {
    fn default() -> Self {
        Self {
            path: None,
            timeout: None,
            user: None,
            ids: None,
            network: None,
            flavor: Flavor::CurrentThread,
            worker_threads: None,
            start_paused: false,
            adopted: false,
            names: Vec::new(),
        }
    }
}
