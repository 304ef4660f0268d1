//! `#[test]` below the attribute, which is where it may stand.

use netns_test::netns_test;

use super::proof::isolated;

#[netns_test]
#[test]
fn below() {
    isolated();
}

#[netns_test(timeout = "30s")]
#[ignore = "between"]
#[test]
#[should_panic]
fn with_attributes_around() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[::core::prelude::v1::test]
fn by_its_path() -> Result<(), String> {
    isolated();
    Ok(())
}

#[netns_test]
#[test]
async fn on_an_async_fn() {
    isolated();
}

#[netns_test::test]
#[test]
fn with_our_other_name() {
    isolated();
}
