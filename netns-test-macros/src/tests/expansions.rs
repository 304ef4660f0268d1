//! Whole expansions, for each way a function can become a test.

use super::{check, expand_str, pretty};
use crate::expand::defaults;

/// Expansion of a plain test with default options, after its attributes.
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

/// Returns the plain test below these attributes.
fn plain(attributes: &[&str]) -> String {
    let lines: Vec<&str> = attributes.iter().map(|part| part.trim()).collect();
    format!("{}\n{}", lines.join("\n"), PLAIN.trim())
}

const TEST: &str = "#[::netns_test::__rt::test]";

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
#[my::netns::__rt::test]
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
fn builtin_test_attribute_below_is_left_out() {
    for test in ["#[::core::prelude::v1::test]", "#[std::prelude::rust_2021::test]"] {
        check("", &format!("{test} fn t() {{}}"), &plain(&[TEST, IGNORE]));
    }
    // By this name another may be imported, which has to be expanded inside.
    let attributes = [TEST, IGNORE, "#[allow(unnameable_test_items)]"];
    let expected = plain(&attributes).replace("    fn t() {}", "    #[test]\n    fn t() {}");
    check("", "#[test] fn t() {}", &expected);
    let found = pretty(expand_str("", "#[tokio::test] #[test] fn t() {}"));
    assert_eq!(found.matches("test]").count(), 2, "{found}");
}

#[test]
fn attributes_that_are_not_the_languages_belong_to_the_body() {
    check(
        "",
        "/// Doc.\n#[allow(unused)] #[serial(key)] #[instrument(skip_all)] #[inline] #[should_panic] #[clippy::msrv = \"1\"] #[unsafe(no_mangle)] pub fn t(n: u8) {}",
        r#"
#[::netns_test::__rt::test]
#[cfg_attr(not(target_os = "linux"), ignore = "network namespaces need Linux")]
#[cfg_attr(all(target_os = "linux", miri), ignore = "Miri cannot fork")]
/// Doc.
#[allow(unused)]
#[serial(key)]
#[should_panic]
#[clippy::msrv = "1"]
#[unsafe(no_mangle)]
pub fn t() {
    #[allow(dead_code, non_upper_case_globals)]
    const t: ::netns_test::__rt::FunctionRemovedByAnAttribute = ::netns_test::__rt::FunctionRemovedByAnAttribute;
    {
        #[instrument(skip_all)]
        #[inline]
        fn t(n: u8) {
            ::netns_test::__rt::begin();
        }
        ::netns_test::__rt::case! {
            name : "t", options : {}, should_panic : Yes, begins : ByItself, body : ||
            ::netns_test::__rt::report(t()),
        }
    }
}
"#,
    );
}

#[test]
fn foreign_test_attribute_is_expanded_on_the_body() {
    for foreign in ["tokio::test(flavor = \"x\")", "gtest", "my::test", "test(tokio::test)"] {
        let item = format!("#[before] #[{foreign}] #[should_panic] #[after] fn t() {{}}");
        let found = pretty(expand_str("", &item));
        let expected = format!(
            "#[before]\n        #[{foreign}]\n        #[should_panic]\n        #[after]\n        fn t() {{\n            ::netns_test::__rt::begin();"
        );
        assert!(found.contains(&expected), "{found}");
        assert!(found.starts_with(TEST), "{found}");
        assert!(
            found.contains("#[should_panic]\n#[allow(unnameable_test_items)]\nfn t() {"),
            "{found}"
        );
    }
}

#[test]
fn test_attributes_that_the_compiler_would_refuse_on_an_async_fn_are_expanded_first() {
    for foreign in ["gtest", "googletest::test", "test_log::test"] {
        check(
            "timeout = \"1s\"",
            &format!("#[{foreign}] #[after] async fn t() {{}}"),
            &format!(
                "#[{foreign}]\n#[after]\n#[::netns_test::netns_test(timeout = \"1s\")]\nasync fn t() {{}}"
            ),
        );
    }
    for others in ["#[test_log::test(tokio::test)]", "#[gtest] #[tokio::test]"] {
        let found = pretty(expand_str("", &format!("{others} async fn t() {{}}")));
        assert!(found.starts_with(TEST), "{found}");
    }
}

#[test]
fn a_macro_that_makes_several_tests_is_expanded_first() {
    for foreign in ["#[test_case(1)]", "#[test_case::test_matrix(1)]", "#[rstest] #[tokio::test]"] {
        check(
            "timeout = \"1s\", crate = my",
            &format!("#[before] {foreign} #[after] async fn t<'a>(n: &'a u8) {{}}"),
            &format!(
                "#[before]\n{}\n#[after]\n#[my::netns_test(__adopted, timeout = \"1s\", crate = my)]\nasync fn t<'a>(n: &'a u8) {{}}",
                foreign.replace(' ', "\n")
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
    // It does not know this one.
    check(
        "",
        "#[rstest] #[gtest] fn t() {}",
        "#[rstest]\n#[gtest]\n#[::netns_test::test()]\nfn t() {}",
    );
}

#[test]
fn adopted_function_gets_no_second_test_attribute() {
    check("__adopted,", "fn t() {}", &plain(&[]));
    check("__adopted,", "#[core::prelude::v1::test] fn t() {}", &plain(&[TEST, IGNORE]));
    // Another macro may have changed the order of the attributes.
    let found = pretty(expand_str("__adopted,", "#[tokio::test] fn t() {}"));
    assert!(found.starts_with(TEST) && found.contains("#[tokio::test]\n        fn t"), "{found}");
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
#[::netns_test::__rt::test]
#[ignore]
fn t() {
    async fn t() -> Result<(), String> {
        Ok(())
    }
    ::netns_test::__rt::case! {
        name : "t", options : {}, should_panic : No, returns : Value, begins : OnRuntime,
        body : ||
        ::netns_test::__rt::report(::netns_test::__rt::block_on(::netns_test::__rt::Runtime
        { flavor : ::netns_test::__rt::Flavor::MultiThread, worker_threads :
        ::netns_test::__rt::Option::Some(4usize), start_paused : false, }, t())),
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
