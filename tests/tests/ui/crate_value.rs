// 7. This is no path: the value is underlined.
#[netns_test::netns_test(crate = "netns test")]
fn two_words() {}

#[netns_test::netns_test(crate = 1)]
fn number() {}

#[netns_test::netns_test(crate = "")]
fn empty() {}

#[netns_test::netns_test(crate = Vec<u8>)]
fn type_with_arguments() {}
