// 9. The options of a runtime have values that they cannot have: each value is underlined.
#[netns_test::netns_test(flavor = "threads")]
async fn unknown_flavor() {}

#[netns_test::netns_test(flavor = multi_thread)]
async fn flavor_without_quotes() {}

#[netns_test::netns_test(flavor = "multi_thread", worker_threads = 0)]
async fn no_threads() {}

#[netns_test::netns_test(flavor = "multi_thread", worker_threads = -1)]
async fn negative_threads() {}

#[netns_test::netns_test(flavor = "multi_thread", worker_threads = "2")]
async fn threads_in_quotes() {}

#[netns_test::netns_test(start_paused = "true")]
async fn paused_in_quotes() {}

#[netns_test::netns_test(start_paused = yes)]
async fn paused_in_words() {}
