//! Every error, and the text it points to. Several errors of one use come together.

use super::{check_errors, compile_errors, expand_str, pretty};
use crate::expand::defaults;

const TIMEOUT: &str = "expected `timeout = …` with a positive whole number and its unit, as in \"500ms\", \"5s\", \"2m\" or \"1h\", or with \"none\"";

#[test]
fn timeout_values() {
    for value in
        ["\"0s\"", "\"5\"", "\"1.5s\"", "\"-1s\"", "\" 5s\"", "\"\"", "\"s\"", "5", "\"5 s\""]
    {
        check_errors(&format!("timeout = {value}"), "fn t() {}", &[(value, TIMEOUT)]);
    }
    let most = u64::MAX;
    let overflow = format!("\"{most}s\"");
    check_errors(&format!("timeout = {overflow}"), "fn t() {}", &[(&overflow, TIMEOUT)]);
}

const USER: &str = "expected `user = …` with \"caller\", \"root\", the name of a user as in \"nobody\", or a uid as in 1000";

#[test]
fn user_values() {
    for value in [
        "\"\"",
        "\"Root\"",
        "\"CALLER\"",
        "\"-x\"",
        "\"a:b\"",
        "\"$\"",
        "\"12a\"",
        "-1",
        "4294967295",
        "\"4294967296\"",
        "nobody",
        "1.0",
    ] {
        check_errors(&format!("user = {value}"), "fn t() {}", &[(value, USER)]);
    }
    check_errors("user", "fn t() {}", &[("user", USER)]);
}

#[test]
fn defaults_that_are_none() {
    let check = |arguments: &str, expected: &[(&str, &str)]| {
        let errors = compile_errors(defaults(&arguments.parse().unwrap()));
        let found: Vec<_> = errors.iter().map(|(at, text)| (&**at, &**text)).collect();
        assert_eq!(found, expected, "{arguments}");
    };
    check("", &[("", "expected an option, as in `network = \"lan\"`")]);
    check("crate = a", &[("", "expected an option, as in `network = \"lan\"`")]);
    check("user = 1.0", &[("1.0", USER)]);
    let message = "`start_paused` is an option of one test; `defaults!` takes `timeout`, `user`, `ids`, `network`, `crate`";
    check("start_paused = true", &[("start_paused", message)]);
}

#[test]
fn options_without_a_value() {
    check_errors("timeout", "fn t() {}", &[("timeout", TIMEOUT)]);
    check_errors("timeout(\"5s\")", "fn t() {}", &[("timeout", TIMEOUT)]);
    check_errors("timeout =", "fn t() {}", &[("timeout", TIMEOUT)]);
}

#[test]
fn values_of_the_wrong_kind() {
    check_errors(
        "user = \"no body\", ids = \"all\", network = \"wan\", crate = \"a b\", flavor = local, worker_threads = 0, start_paused = 1",
        "async fn t() {}",
        &with_async_error(&[
            ("\"no body\"", USER),
            ("\"all\"", "expected `ids = …` with \"own\" or \"subordinate\""),
            ("\"wan\"", "expected `network = …` with \"loopback\" or \"lan\""),
            ("\"a b\"", "expected `crate = …` with a path, as in `::netns_test`"),
            ("local", "expected `flavor = …` with \"current_thread\" or \"multi_thread\""),
            ("0", "expected `worker_threads = …` with a positive whole number"),
            ("1", "expected `start_paused = …` with `true` or `false`"),
        ]),
    );
}

#[test]
fn unknown_repeated_and_misplaced_options() {
    check_errors(
        "time = 1, user = \"root\", user = \"root\", , \"5s\"",
        "fn t() {}",
        &[
            (",", "expected an option before this comma"),
            ("\"5s\"", "expected an option, as in `timeout = \"5s\"`"),
            (
                "time",
                "unknown option `time`; the options are `timeout`, `user`, `ids`, `network`, `crate`, `flavor`, `worker_threads`, `start_paused`",
            ),
            ("user", "`user` is set twice"),
        ],
    );
}

#[test]
fn runtime_options_that_do_not_fit() {
    check_errors(
        "worker_threads = 2",
        "async fn t() {}",
        &with_async_error(&[(
            "worker_threads",
            "`worker_threads` needs `flavor = \"multi_thread\"`",
        )]),
    );
    check_errors(
        "start_paused = true, flavor = \"multi_thread\"",
        "async fn t() {}",
        &with_async_error(&[(
            "start_paused",
            "`start_paused` needs `flavor = \"current_thread\"`",
        )]),
    );
    check_errors(
        "flavor = \"multi_thread\"",
        "fn t() {}",
        &[(
            "flavor",
            "`flavor` configures the runtime that `#[netns_test]` makes for an `async fn`; here there is none to configure",
        )],
    );
}

#[test]
fn options_of_tokios_attribute_stay_there() {
    for (option, at) in [
        ("flavor = \"local\"", "\"local\""),
        ("name = \"…\"", "\"…\""),
        ("unhandled_panic = \"…\"", "\"…\""),
        ("crate = \"tokio\"", "\"tokio\""),
    ] {
        let message = format!(
            "this is an option of `#[tokio::test]`: write `#[tokio::test({option})]` below `#[netns_test]`; it makes the runtime in the isolated body"
        );
        check_errors(option, "async fn t() {}", &with_async_error(&[(at, &message)]));
    }
}

#[test]
fn signatures_that_are_no_test() {
    check_errors(
        "",
        "const unsafe extern \"C\" fn t<'a, T: Copy, const N: usize>(a: &'a T, b: [u8; N]) {}",
        &[
            ("const", "a test cannot be a `const fn`"),
            (
                "unsafe",
                "a test cannot be an `unsafe fn`: the test runner keeps no contract; put `unsafe` into the body",
            ),
            ("extern \"C\"", "a test has the ABI of Rust; delete `extern`"),
            (
                "<'a, T: Copy, const N: usize>",
                "a test cannot be generic: nothing would choose its parameters",
            ),
            (
                "a: &'a T, b: [u8; N]",
                "a test has no parameters; for one test with many values add `#[rstest]` or `#[test_case]`",
            ),
        ],
    );
    check_errors(
        "",
        "fn t(&self) {}",
        &[("&self", "only a free function can be a test: there would be no `self`")],
    );
}

#[test]
fn should_panic_with_a_return_type() {
    check_errors(
        "",
        "#[should_panic(expected = \"x\")] fn t() -> Result<(), String> { Ok(()) }",
        &[("Result<(), String>", "functions using `#[should_panic]` must return `()`")],
    );
    check_errors("", "#[should_panic] fn t() -> () {}", &[]);
}

#[test]
fn the_attribute_twice() {
    let message = "`#[netns_test]` is on this function twice; delete one";
    check_errors("", "#[netns_test] fn t() {}", &[("netns_test", message)]);
    check_errors(
        "",
        "#[rstest] #[netns_test::test(user = \"root\")] fn t() {}",
        &[("netns_test::test", message)],
    );
}

#[test]
fn something_that_is_not_a_function() {
    check_errors(
        "oops",
        "struct S;",
        &[
            (
                "oops",
                "unknown option `oops`; the options are `timeout`, `user`, `ids`, `network`, `crate`, `flavor`, `worker_threads`, `start_paused`",
            ),
            ("", "`#[netns_test]` belongs on a function with a body"),
        ],
    );
}

#[test]
#[cfg(not(feature = "tokio"))]
fn async_without_the_feature() {
    check_errors("", "async fn t() {}", &with_async_error(&[]));
    check_errors("", "#[tokio::test] async fn t() {}", &[]);
}

#[test]
fn errors_of_options_and_signature_come_together_and_the_function_stays() {
    let tokens = expand_str(
        "user = true",
        "/// Doc.\n#[test] #[netns_test] #[should_panic] pub fn t(port: u16) {}",
    );
    let expected = r#"
::netns_test::__rt::compile_error! {
    "expected `user = …` with \"caller\", \"root\", the name of a user as in \"nobody\", or a uid as in 1000"
}
::netns_test::__rt::compile_error! {
    "`#[netns_test]` is on this function twice; delete one"
}
::netns_test::__rt::compile_error! {
    "a test has no parameters; for one test with many values add `#[rstest]` or `#[test_case]`"
}
#[allow(unused)]
/// Doc.
#[should_panic]
pub fn t(port: u16) {}
"#;
    assert_eq!(pretty(tokens).trim(), expected.trim());
}

/// Without feature `tokio` an `async fn` is an error too, after those of the options.
fn with_async_error<'a>(errors: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let message =
        "an `async fn` needs feature `tokio` of netns-test, or a `#[tokio::test]` of your own";
    let missing = (!cfg!(feature = "tokio")).then_some(("async", message));
    errors.iter().copied().chain(missing).collect()
}
