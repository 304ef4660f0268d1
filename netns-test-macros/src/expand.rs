//! Expands an attributed item. All of the run time is behind one call, `__rt::case!`.
//!
//! The test becomes a function without a return value, which the test runner calls, with the
//! user's function inside:
//!
//! ```text
//! #[::netns_test::__rt::test]
//! fn name() {
//!     #[instrument]
//!     fn name() -> Result<(), Error> { .. }
//!     ::netns_test::__rt::case! {
//!         name: "name", options: { .. }, .., body: || ::netns_test::__rt::report(name()),
//!     }
//! }
//! ```
//!
//! Every path begins with the crate `netns_test`: a package may be called `core`, or have no
//! prelude.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Meta, MetaNameValue, ReturnType, Token};

use crate::attributes::above;
use crate::attributes::below;
use crate::attributes::role::Role;
use crate::errors::{Errors, located_at};
use crate::function::Function;
use crate::options::args::{Args, Flavor};
use crate::registration::{Registration, is_marked_by_test_case};
use crate::start::Start;

/// Expands `#[netns_test(arguments)]` on `item`.
pub(crate) fn expand(arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(arguments.clone(), &mut errors);
    let Ok(function) = syn::parse2::<Function>(item.clone()) else {
        errors.push(Error::new(
            Span::call_site(),
            "`#[netns_test]` belongs on a function with a body",
        ));
        return rejected(&errors, &args, item);
    };
    let registration = Registration::of(&function, args.adopted);
    check(&args, &function, registration, &mut errors);
    if !errors.is_empty() {
        return rejected(&errors, &args, &function.into_plain());
    }
    let path = args.path();
    match registration {
        Registration::ManyTests => {
            handed_on(&function, &quote!(#path::netns_test(__adopted, #arguments)))
        }
        Registration::Rstest => handed_on(&function, &quote!(#path::test(#arguments))),
        Registration::Waiting => handed_on(&function, &quote!(#path::netns_test(#arguments))),
        _ => test(&args, &function, registration),
    }
}

/// Expands `defaults! { arguments }`.
pub(crate) fn defaults(arguments: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(arguments.clone(), &mut errors);
    args.check_defaults(&mut errors);
    if !errors.is_empty() {
        return errors.to_tokens(args.path.as_ref());
    }
    let (path, options) = (args.path(), args.options());
    quote!(#path::__rt::defaults! { #options })
}

fn check(args: &Args, function: &Function, registration: Registration, errors: &mut Errors) {
    function.check_once(errors);
    if is_for_one_case(args, function) {
        errors.push(Error::new(
            Span::call_site(),
            "put `#[netns_test]` after the last `#[case]`: `rstest` puts an attribute that is before a `#[case]` on that case alone",
        ));
    }
    if registration.is_handed_on() {
        return;
    }
    function.check(errors);
    if !function.is_async() || function.has_foreign_test() {
        args.check_no_runtime(errors);
    }
    let is_ours = registration == Registration::Ours && !args.adopted;
    if is_ours && function.with_role(Role::BuiltinTest).next().is_none() {
        let message = above::error(Span::call_site(), function);
        message.into_iter().for_each(|text| errors.push(Error::new(Span::call_site(), text)));
    }
}

/// Returns whether `rstest` has put this attribute on one case and not on the others. The `#[case]`
/// below it in the source is then gone. The source does not show the place of an adopted attribute.
/// The crate test-case, which has a `#[case]` too, puts this attribute on all cases.
fn is_for_one_case(args: &Args, function: &Function) -> bool {
    !args.adopted
        && !is_marked_by_test_case(function)
        && function.with_role(Role::Case).next().is_none()
        && below::is_case_below(Span::call_site())
}

/// Returns the errors with the item, so that references to it cause no further errors.
fn rejected(errors: &Errors, args: &Args, item: &impl ToTokens) -> TokenStream {
    let errors = errors.to_tokens(args.path.as_ref());
    quote! {
        #errors
        #[allow(unused)]
        #item
    }
}

/// Returns the function unchanged, with this attribute as its last one.
fn handed_on(function: &Function, own: &TokenStream) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    quote! {
        #(#attributes)*
        #[#own]
        #visibility #signature #body
    }
}

fn test(args: &Args, function: &Function, registration: Registration) -> TokenStream {
    let Function { visibility, signature, .. } = function;
    let path = args.path();
    let Start { kind, body } = Start::of(args, function);
    let is_ours = registration == Registration::Ours;
    let register = is_ours.then(|| quote!(#[#path::__rt::test]));
    let ignore = (is_ours && !function.has("ignore")).then(ignored_elsewhere);
    let outer_attributes = function.outer_attributes();
    let body_attributes = function.body_attributes();
    // A `#[test]` on the body registers nothing, as intended.
    let is_test = |a: &&&Attribute| matches!(Role::of(a), Role::ForeignTest | Role::BuiltinTest);
    let unnameable =
        body_attributes.iter().find(is_test).map(|_| quote!(#[allow(unnameable_test_items)]));
    let name = &signature.ident;
    let case = case(args, function, &kind);
    let mut inside = quote! {
        #(#body_attributes)*
        #signature #body
        #case
    };
    if function.has_macros() {
        inside = guarded(name, &path, &inside);
    }
    quote! {
        #register
        #ignore
        #(#outer_attributes)*
        #unnameable
        #visibility fn #name() {
            #inside
        }
    }
}

/// Adds a compile error for the case that a macro on the body leaves no function of this name.
/// Otherwise the name would resolve to the outer function, which would call itself.
fn guarded(name: &Ident, path: &TokenStream, inside: &TokenStream) -> TokenStream {
    quote! {
        #[allow(dead_code, non_upper_case_globals)]
        const #name: #path::__rt::FunctionRemovedByAnAttribute = #path::__rt::FunctionRemovedByAnAttribute;
        {
            #inside
        }
    }
}

/// Returns attributes that ignore the test, with the reason, on systems where it cannot run.
fn ignored_elsewhere() -> TokenStream {
    quote! {
        #[cfg_attr(not(target_os = "linux"), ignore = "network namespaces need Linux")]
        #[cfg_attr(all(target_os = "linux", miri), ignore = "Miri cannot fork")]
    }
}

/// Returns the option for `#[should_panic]`. The compiler reports a malformed attribute.
fn should_panic(function: &Function) -> TokenStream {
    match function.attribute("should_panic") {
        None => quote!(No),
        Some(attribute) => match expected_message(&attribute.meta) {
            None => quote!(Yes),
            Some(message) => quote!(With(#message)),
        },
    }
}

/// Returns the message in `should_panic(expected = "message")` or `should_panic = "message"`.
fn expected_message(attribute: &Meta) -> Option<TokenStream> {
    match attribute {
        Meta::Path(_) => None,
        Meta::NameValue(pair) => Some(pair.value.to_token_stream()),
        Meta::List(list) => {
            let pairs = Punctuated::<MetaNameValue, Token![,]>::parse_terminated;
            let pairs = list.parse_args_with(pairs).ok()?;
            let pair = pairs.first().filter(|pair| pair.path.is_ident("expected"))?;
            Some(pair.value.to_token_stream())
        }
    }
}

fn case(args: &Args, function: &Function, begins: &TokenStream) -> TokenStream {
    let path = args.path();
    // The `r#` of a raw identifier is part of the test runner's name, too.
    let name = function.signature.ident.to_string();
    let options = args.options();
    let should_panic = should_panic(function);
    let outcome = outcome(args, function);
    let returns = function.returns_a_value().then(|| quote!(returns: Value,));
    quote! {
        #path::__rt::case! {
            name: #name,
            options: { #options },
            should_panic: #should_panic,
            #returns
            #begins
            body: || #outcome,
        }
    }
}

/// Returns the call of the user's function and of `report`, which judges its value. Their span is
/// the return type, which is the error if the value cannot be judged.
fn outcome(args: &Args, function: &Function) -> TokenStream {
    let (first, last) = output_ends(function);
    let at = Span::call_site().located_at(first);
    let call = |callee: TokenStream, arguments: TokenStream| {
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(Span::call_site().located_at(last));
        quote!(#callee #arguments)
    };
    let path = located_at(args.path(), at);
    let mut name = function.signature.ident.clone();
    name.set_span(at);
    let mut value = call(quote!(#name), TokenStream::new());
    if function.is_async() && cfg!(feature = "tokio") {
        let runtime = runtime(args, &path, at);
        if function.has_macros() && !args.configures_runtime() {
            return quote_spanned! {at=> #path::__rt::report_either!(#value, #runtime) };
        }
        let block_on = quote_spanned!(at=> #path::__rt::block_on);
        value = call(block_on, quote!(#runtime, #value));
    }
    call(quote_spanned!(at=> #path::__rt::report), value)
}

fn runtime(args: &Args, path: &TokenStream, at: Span) -> TokenStream {
    let flavor = match args.flavor {
        Flavor::CurrentThread => quote_spanned!(at=> CurrentThread),
        Flavor::MultiThread => quote_spanned!(at=> MultiThread),
    };
    let worker_threads = option(args.worker_threads, path);
    let start_paused = args.start_paused;
    quote_spanned! {at=>
        #path::__rt::Runtime {
            flavor: #path::__rt::Flavor::#flavor,
            worker_threads: #worker_threads,
            start_paused: #start_paused,
        }
    }
}

/// Returns the spans of the first and the last token of the return type, which stable Rust cannot
/// join. Without a return type it is the span of the name.
fn output_ends(function: &Function) -> (Span, Span) {
    let name = function.signature.ident.span();
    let ReturnType::Type(_, output) = &function.signature.output else {
        return (name, name);
    };
    let mut tokens = output.to_token_stream().into_iter().map(|token| token.span());
    let first = tokens.next().unwrap_or(name);
    (first, tokens.last().unwrap_or(first))
}

fn option(value: Option<impl ToTokens>, path: &TokenStream) -> TokenStream {
    match value {
        Some(value) => quote!(#path::__rt::Option::Some(#value)),
        None => quote!(#path::__rt::Option::None),
    }
}
