// 3. This is not a list of `name = value`: the tokens in place of an option, of its value or of the
// parentheses are underlined.
#[netns_test::netns_test("5s")]
fn value_alone() {}

#[netns_test::netns_test(5 seconds)]
fn number_alone() {}

#[netns_test::netns_test(, timeout = "5s")]
fn comma_first() {}

#[netns_test::netns_test(timeout = "5s",, user = "root")]
fn two_commas() {}

#[netns_test::netns_test(user = "root" timeout = "5s")]
fn no_comma() {}

#[netns_test::netns_test = "5s"]
fn name_value_attribute() {}
