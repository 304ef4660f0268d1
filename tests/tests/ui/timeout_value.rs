// 4. No time limit is written like this: the value is underlined.
#[netns_test::netns_test(timeout = "0s")]
fn zero() {}

#[netns_test::netns_test(timeout = "5")]
fn no_unit() {}

#[netns_test::netns_test(timeout = "1.5s")]
fn fraction() {}

#[netns_test::netns_test(timeout = "5 s")]
fn space() {}

#[netns_test::netns_test(timeout = "1d")]
fn days() {}

#[netns_test::netns_test(timeout = "99999999999999999h")]
fn too_long() {}

#[netns_test::netns_test(timeout = 5)]
fn number() {}

#[netns_test::netns_test(timeout = std::time::Duration::from_secs(5))]
fn expression() {}
