// 8. There is nothing at this path: its first segment is underlined.
#[netns_test::netns_test(crate = nowhere)]
fn no_such_crate() {}

#[netns_test::netns_test(crate = "nowhere")]
fn no_such_crate_in_quotes() {}

#[netns_test::netns_test(crate = nowhere)]
async fn no_such_crate_in_async() {}
