// 24. `rstest` applies an attribute before a `#[case]` to that case alone, and the others would not
// be isolated, or no tests: our attribute is underlined.
use netns_test::netns_test;
use rstest::rstest;

#[rstest]
#[netns_test]
#[case(1)]
#[case(2)]
fn before_the_first(#[case] _number: u8) {}

#[rstest]
#[case(1)]
#[netns_test(user = "root")]
/// Documentation between them.
#[case::named(2)]
fn between_two(#[case] _number: u8) {}

#[rstest]
#[netns_test::test]
#[case(1)]
#[case(2)]
fn by_the_other_name(#[case] _number: u8, #[values(3, 4)] _other: u8) {}

#[rstest]
#[netns_test]
#[tokio::test]
#[case(1)]
#[case(2)]
async fn with_another_test_attribute(#[case] _number: u8) {}

#[rstest] #[netns_test] #[case(1)] #[case(2)] fn on_one_line(#[case] _number: u8) {}

macro_rules! tests {
    ($name:ident: $one:literal $two:literal) => {
        #[rstest]
        #[netns_test]
        #[case($one)]
        #[case($two)]
        fn $name(#[case] _number: u8) {}
    };
}

tests! { in_a_macro: 1 2 }
