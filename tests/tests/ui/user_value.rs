// 6. There can be no such user, ids or network: the value is underlined.
#[netns_test::netns_test(user = "no body")]
fn no_name() {}

#[netns_test::netns_test(user = root)]
fn no_quotes() {}

#[netns_test::netns_test(user = "Root")]
fn misspelt() {}

#[netns_test::netns_test(user = 4294967295)]
fn no_uid() {}

#[netns_test::netns_test(ids = "all")]
fn unknown_ids() {}

#[netns_test::netns_test(network = "wan")]
fn unknown_network() {}

#[netns_test::netns_test(network = lan)]
fn network_without_quotes() {}
