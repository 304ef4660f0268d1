// 11. The attribute makes no runtime here: each option for one is underlined.
#[netns_test::netns_test(flavor = "multi_thread", worker_threads = 2)]
fn no_async() {}

#[netns_test::netns_test(start_paused = false)]
fn no_async_and_the_default() {}

#[netns_test::netns_test(flavor = "multi_thread")]
#[tokio::test]
async fn runtime_of_tokio_below() {}

#[tokio::test]
#[netns_test::netns_test(flavor = "multi_thread")]
async fn runtime_of_tokio_above() {}
