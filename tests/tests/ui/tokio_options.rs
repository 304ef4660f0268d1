// 27. These options belong to `#[tokio::test]`: each value is underlined.
#[netns_test::netns_test(flavor = "local")]
async fn local() {}

#[netns_test::netns_test(name = "runtime")]
async fn name() {}

#[netns_test::netns_test(unhandled_panic = "shutdown_runtime")]
async fn unhandled_panic() {}

#[netns_test::netns_test(crate = "tokio")]
async fn crate_of_tokio() {}
