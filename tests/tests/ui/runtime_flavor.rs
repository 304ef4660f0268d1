// 10. The option does not go with this flavor: the name of the option is underlined.
#[netns_test::netns_test(worker_threads = 2)]
async fn threads_without_flavor() {}

#[netns_test::netns_test(flavor = "current_thread", worker_threads = 2)]
async fn threads_with_one_thread() {}

#[netns_test::netns_test(flavor = "multi_thread", start_paused = true)]
async fn paused_with_many_threads() {}
