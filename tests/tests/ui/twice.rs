// 18. The attribute is there twice: the lower one is underlined.
use netns_test::netns_test;

#[netns_test]
#[netns_test(timeout = "5s")]
fn twice() {}

#[netns_test::test]
#[netns_test]
fn by_both_names() {}

#[netns_test]
#[tokio::test]
#[netns_test]
async fn with_another_between() {}
