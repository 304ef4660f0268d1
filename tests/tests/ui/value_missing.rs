// 5. The option has no value: the option is underlined.
#[netns_test::netns_test(timeout)]
fn name_alone() {}

#[netns_test::netns_test(timeout =)]
fn equals_sign() {}

#[netns_test::netns_test(timeout("5s"))]
fn parentheses() {}

#[netns_test::netns_test(user, flavor, worker_threads, start_paused, crate)]
async fn each_option() {}
