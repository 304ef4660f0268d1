// 1. No option has this name: the name is underlined.
#[netns_test::netns_test(time = "5s")]
fn unknown() {}

#[netns_test::netns_test(Timeout = "5s")]
fn unknown_by_its_case() {}

#[netns_test::netns_test(verbose)]
fn unknown_without_a_value() {}
