// 6. There is no such user: the value is underlined.
#[netns_test::netns_test(user = "nobody")]
fn unknown_user() {}

#[netns_test::netns_test(user = root)]
fn no_quotes() {}

#[netns_test::netns_test(user = 0)]
fn uid() {}
