// 2. An option is given twice: the second name is underlined.
#[netns_test::netns_test(timeout = "5s", user = "root", timeout = "5s")]
fn twice() {}
