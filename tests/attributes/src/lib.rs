//! Attribute macros as other crates have them, for tests of what `#[netns_test]` makes of a function
//! that carries one: each does to the function one thing that such macros do.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// Puts `#[test]` on top, where it is expanded first, and calls `crate::set_up()` in the body.
#[proc_macro_attribute]
pub fn test(_: TokenStream, item: TokenStream) -> TokenStream {
    parse("#[::core::prelude::v1::test]").into_iter().chain(with_set_up(item)).collect()
}

/// As [`macro@set_up`], of an `async fn` that becomes a sync one.
#[proc_macro_attribute]
pub fn block(_: TokenStream, item: TokenStream) -> TokenStream {
    let sync = item.into_iter().filter(|token| token.to_string() != "async").collect();
    let body = change_body(sync, |body| {
        let call = "::tokio::runtime::Builder::new_current_thread().build().unwrap().block_on";
        let future = parse("async").into_iter().chain([TokenTree::Group(body)]).collect();
        let argument = Group::new(Delimiter::Parenthesis, future);
        parse(call).into_iter().chain([TokenTree::Group(argument)]).collect()
    });
    with_set_up(body)
}

/// Calls `crate::set_up()` in the body first.
#[proc_macro_attribute]
pub fn set_up(_: TokenStream, item: TokenStream) -> TokenStream {
    with_set_up(item)
}

/// Runs the body on a thread of its own, and waits for the end of that.
#[proc_macro_attribute]
pub fn on_a_thread(_: TokenStream, item: TokenStream) -> TokenStream {
    change_body(item, |body| {
        let closure = parse("||").into_iter().chain([TokenTree::Group(body)]).collect();
        let argument = Group::new(Delimiter::Parenthesis, closure);
        let call = parse("::std::thread::spawn").into_iter().chain([TokenTree::Group(argument)]);
        call.chain(parse(".join().unwrap()")).collect()
    })
}

/// Adds a second function, isolated, that calls this one.
#[proc_macro_attribute]
pub fn also_isolated(_: TokenStream, item: TokenStream) -> TokenStream {
    let name = name(&item);
    let second = format!("#[::netns_test::netns_test] fn {name}_isolated() {{ {name}() }}");
    item.into_iter().chain(parse(&second)).collect()
}

/// Makes a test, ignored, that calls the function with all its attributes three times.
#[proc_macro_attribute]
pub fn repeat(_: TokenStream, item: TokenStream) -> TokenStream {
    let name = name(&item);
    let calls = parse(&format!("{name}(); {name}(); {name}();"));
    let attributes = "#[allow(unnameable_test_items)] #[::core::prelude::v1::test] #[ignore]";
    let mut test = parse(&format!("{attributes} fn {name}()"));
    let body = Group::new(Delimiter::Brace, item.into_iter().chain(calls).collect());
    test.extend([TokenTree::Group(body)]);
    test
}

/// Changes the name of the function.
#[proc_macro_attribute]
pub fn rename(_: TokenStream, item: TokenStream) -> TokenStream {
    let name = name(&item);
    let changed = item.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if ident.to_string() == name => {
            TokenTree::Ident(Ident::new("another", Span::call_site()))
        }
        token => token,
    });
    changed.collect()
}

fn parse(source: &str) -> TokenStream {
    source.parse().expect("the source is valid Rust")
}

fn with_set_up(item: TokenStream) -> TokenStream {
    change_body(item, |body| parse("crate::set_up();").into_iter().chain(body.stream()).collect())
}

/// Replaces what is in the braces at the end.
fn change_body(item: TokenStream, change: impl FnOnce(Group) -> TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.pop() {
        tokens.push(TokenTree::Group(Group::new(Delimiter::Brace, change(body))));
    }
    tokens.into_iter().collect()
}

/// The name that follows `fn`.
fn name(item: &TokenStream) -> String {
    let mut tokens = item.clone().into_iter().skip_while(|token| token.to_string() != "fn");
    tokens.nth(1).expect("it is a function").to_string()
}
