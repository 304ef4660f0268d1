// 17. `#[test]` is above, so there would be two tests: our attribute is underlined.
#[test]
#[netns_test::netns_test]
fn test_above() {}

#[test]
/// Documentation between them.
#[ignore = "slow"]
#[netns_test::netns_test(timeout = "5s")]
fn test_further_above() {}

mod nested {
    use netns_test::netns_test;

    #[test]
    #[netns_test]
    fn test_above() {}
}
