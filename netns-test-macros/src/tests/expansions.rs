//! Whole expansions, for each way a function can become a test.

use super::{check, expand_str, pretty};
use crate::expand::defaults;

/// What follows the attributes of a plain test with default options.
const PLAIN: &str = r#"
fn t() {
    fn t() {}
    ::netns_test::__rt::case! {
        name : "t", options : {}, should_panic : No, body : ||
        ::netns_test::__rt::report(t()),
    }
}
"#;

const IGNORE: &str = r#"
#[cfg_attr(not(target_os = "linux"), ignore = "network namespaces need Linux")]
#[cfg_attr(all(target_os = "linux", miri), ignore = "Miri cannot fork")]
"#;

/// The plain test below these attributes.
fn plain(attributes: &[&str]) -> String {
    let lines: Vec<&str> = attributes.iter().map(|part| part.trim()).collect();
    format!("{}\n{}", lines.join("\n"), PLAIN.trim())
}

const TEST: &str = "#[::core::prelude::v1::test]";

#[test]
fn plain_function() {
    check("", "fn t() {}", &plain(&[TEST, IGNORE]));
}

#[test]
fn all_that_a_function_can_carry() {
    check(
        "timeout = \"500ms\", user = \"root\", crate = my::netns,",
        "/// Doc.\n#[ignore] #[should_panic(expected = \"boom\",)] #[cfg(unix)] pub(crate) fn r#try() -> () { #![allow(unused)] body() }",
        r#"
#[::core::prelude::v1::test]
/// Doc.
#[ignore]
#[should_panic(expected = "boom")]
#[cfg(unix)]
pub(crate) fn r#try() {
    fn r#try() -> () {
        #![allow(unused)]
        body()
    }
    my::netns::__rt::case! {
        name : "r#try", options : { timeout : Timeout::After(500u64), user : User::Root,
        }, should_panic : With("boom"), body : || my::netns::__rt::report(r#try()),
    }
}
"#,
    );
}

#[test]
fn timeouts() {
    let limits = [
        ("none", "Timeout::Never"),
        ("500ms", "Timeout::After(500u64)"),
        ("5s", "Timeout::After(5000u64)"),
        ("2m", "Timeout::After(120000u64)"),
        ("1h", "Timeout::After(3600000u64)"),
    ];
    for (text, tokens) in limits {
        check_option(&format!("timeout = \"{text}\""), &format!("timeout: {tokens},"));
    }
}

#[test]
fn users_ids_and_networks() {
    let users = [
        ("\"caller\"", "Caller"),
        ("\"root\"", "Root"),
        ("0", "Root"),
        ("\"0\"", "Root"),
        ("1000", "Id(1000u32)"),
        ("\"1000\"", "Id(1000u32)"),
        ("4294967294", "Id(4294967294u32)"),
        ("\"nobody\"", "Named(\"nobody\")"),
        ("\"_apt\"", "Named(\"_apt\")"),
        ("\"www-data\"", "Named(\"www-data\")"),
        ("\"host$\"", "Named(\"host$\")"),
    ];
    for (value, user) in users {
        check_option(&format!("user = {value}"), &format!("user: User::{user},"));
    }
    check_option("ids = \"own\"", "ids: Ids::Own,");
    check_option("ids = \"subordinate\"", "ids: Ids::Subordinate,");
    check_option("network = \"loopback\"", "network: Network::Loopback,");
    check_option("network = \"lan\"", "network: Network::Lan,");
}

#[test]
fn defaults_are_one_call() {
    let parse = |source: &str| source.parse::<proc_macro2::TokenStream>().unwrap();
    let found = defaults(&parse("network = \"lan\", timeout = \"5s\", crate = my::netns"));
    let expected =
        "my::netns::__rt::defaults! { timeout: Timeout::After(5000u64), network: Network::Lan, }";
    assert_eq!(found.to_string(), parse(expected).to_string());
}

/// Asserts what an option becomes in the call that a plain test is.
#[track_caller]
fn check_option(option: &str, tokens: &str) {
    let expected =
        plain(&[TEST, IGNORE]).replace("options : {}", &format!("options : {{ {tokens} }}"));
    let found = pretty(expand_str(option, "fn t() {}"));
    let without_spaces = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(without_spaces(&found), without_spaces(&expected));
}

#[test]
fn crate_path_in_quotes() {
    let expected = plain(&[TEST, IGNORE]).replace("::netns_test", "::my::netns");
    check("crate = \"::my::netns\"", "fn t() {}", &expected);
}

#[test]
fn builtin_test_attribute_below_is_kept_and_none_is_added() {
    for test in ["#[test]", "#[::core::prelude::v1::test]", "#[std::prelude::rust_2021::test]"] {
        check("", &format!("{test} fn t() {{}}"), &plain(&[IGNORE, test]));
    }
}

#[test]
fn foreign_test_attribute_is_expanded_first() {
    for foreign in
        ["#[tokio::test(flavor = \"x\")]", "#[test_case(1)]", "#[test_case::test_matrix(1)]"]
    {
        check(
            "timeout = \"1s\", crate = my",
            &format!("#[before] {foreign} #[after] async fn t<'a>(n: &'a u8) {{}}"),
            &format!(
                "#[before]\n{foreign}\n#[after]\n#[my::netns_test(__adopted, timeout = \"1s\", crate = my)]\nasync fn t<'a>(n: &'a u8) {{}}"
            ),
        );
    }
}

#[test]
fn rstest_is_expanded_first_and_leaves_the_test_attribute_to_us() {
    check(
        "timeout = \"1s\"",
        "#[rstest] #[case(1)] fn t(#[case] n: u8) {}",
        "#[rstest]\n#[case(1)]\n#[::netns_test::test(timeout = \"1s\")]\nfn t(#[case] n: u8) {}",
    );
    // A case of this name is no test attribute.
    check(
        "",
        "#[rstest] #[case::test(1)] fn t(#[case] n: u8) {}",
        "#[rstest]\n#[case::test(1)]\n#[::netns_test::test()]\nfn t(#[case] n: u8) {}",
    );
    check(
        "",
        "#[rstest] #[tokio::test] fn t() {}",
        "#[rstest]\n#[tokio::test]\n#[::netns_test::netns_test(__adopted)]\nfn t() {}",
    );
}

#[test]
fn adopted_function_gets_no_second_test_attribute() {
    check("__adopted,", "fn t() {}", &plain(&[]));
    check("__adopted,", "#[test] fn t() {}", &plain(&[IGNORE, "#[test]"]));
    // Another macro may have changed the order of the attributes.
    check(
        "__adopted,",
        "#[tokio::test] fn t() {}",
        "#[tokio::test]\n#[::netns_test::netns_test(__adopted, __adopted)]\nfn t() {}",
    );
}

#[test]
fn test_case_has_its_test_attribute_expanded_already() {
    let generated =
        "#[allow(clippy::bool_assert_comparison)] fn t() { let _result = super::t(1, 2); _result }";
    let found = pretty(expand_str("", generated));
    assert!(found.starts_with("#[allow(clippy::bool_assert_comparison)]\nfn t() {"), "{found}");
}

#[test]
fn a_body_that_only_looks_like_test_case_is_registered() {
    for item in [
        "fn t() { let _result = super::t(1, 2); }",
        "#[allow(clippy::bool_assert_comparison)] fn t() { let _result = t(1, 2); }",
        "#[allow(unused)] fn t() { let _result = super::t(1, 2); }",
    ] {
        let found = pretty(expand_str("", item));
        assert!(found.starts_with(TEST), "{found}");
    }
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use super::super::check;
    use super::{TEST, expand_str, pretty};

    #[test]
    fn async_function() {
        check(
            "flavor = \"multi_thread\", worker_threads = 4",
            "#[ignore] async fn t() -> Result<(), String> { Ok(()) }",
            r#"
#[::core::prelude::v1::test]
#[ignore]
fn t() {
    async fn t() -> Result<(), String> {
        Ok(())
    }
    ::netns_test::__rt::case! {
        name : "t", timeout : ::core::option::Option::Some(60000u64), user : Caller,
        should_panic : No, body : ||
        ::netns_test::__rt::report(::netns_test::__rt::block_on(::netns_test::__rt::Runtime
        { flavor : ::netns_test::__rt::Flavor::MultiThread, worker_threads :
        ::core::option::Option::Some(4usize), start_paused : false, }, t())),
    }
}
"#,
        );
    }

    #[test]
    fn paused_clock() {
        let found = pretty(expand_str("start_paused = true", "async fn t() {}"));
        assert!(found.contains("start_paused : true"), "{found}");
        assert!(found.contains("Flavor::CurrentThread"), "{found}");
    }

    #[test]
    fn async_test_case_has_no_test_attribute_of_its_own() {
        let generated = "#[allow(clippy::bool_assert_comparison)] async fn t() { let _result = super::t(1).await; _result }";
        for arguments in ["", "__adopted,"] {
            let found = pretty(expand_str(arguments, generated));
            assert!(found.starts_with(TEST), "{found}");
        }
    }
}
