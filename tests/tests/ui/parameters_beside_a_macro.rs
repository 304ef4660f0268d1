// 29. An attribute below may give the parameters values, and does not: the compiler underlines the
// name, and shows the parameter.
fn set_up() {}

#[netns_test::netns_test]
#[attributes::set_up]
fn parameter(_port: u16) {}
