// 28. An attribute below takes the function away: the name is underlined, and no test calls itself.
#[netns_test::netns_test]
#[attributes::rename]
fn renamed() {}
