// 26. Another attribute has made a test of the function already: ours is underlined.
fn set_up() {}

#[attributes::test]
#[netns_test::netns_test]
fn above() {}

#[attributes::test] #[ignore] #[netns_test::netns_test] fn on_one_line() {}
