//! `#[tokio::test]`, which makes the runtime; that has to be inside the sandbox.

use std::time::Duration;

use netns_test::netns_test;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::test as renamed;

use super::proof::{isolated, status_numbers};

#[tokio::test]
#[netns_test]
async fn above() {
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[netns_test]
#[tokio::test]
async fn below() {
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[netns_test(user = "root", timeout = "30s")]
async fn above_with_options() -> Result<(), String> {
    isolated();
    assert_eq!(Handle::current().metrics().num_workers(), 3);
    assert_eq!(status_numbers("Uid"), [0; 4]);
    Ok(())
}

#[netns_test(user = "root", timeout = "30s")]
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn below_with_options() -> Result<(), String> {
    isolated();
    assert_eq!(Handle::current().metrics().num_workers(), 3);
    assert_eq!(status_numbers("Uid"), [0; 4]);
    Ok(())
}

#[tokio::test(start_paused = true)]
#[netns_test::test]
async fn above_with_paused_clock() {
    isolated();
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[netns_test::test]
#[tokio::test(start_paused = true)]
async fn below_with_paused_clock() {
    isolated();
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[tokio::test]
#[netns_test]
#[should_panic(expected = "as it")]
async fn above_should_panic() {
    isolated();
    panic!("as it should");
}

#[should_panic(expected = "as it")]
#[netns_test]
#[tokio::test]
async fn below_should_panic() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[tokio::test]
#[ignore = "below"]
async fn below_ignored() {
    isolated();
}

#[ignore = "above"]
#[tokio::test]
#[netns_test]
async fn above_ignored() {
    isolated();
}

#[renamed]
#[netns_test]
async fn above_by_another_name() {
    isolated();
}

#[netns_test]
#[renamed]
#[expect(unnameable_test_items, reason = "a macro of this name is not known to add a test")]
async fn below_by_another_name() {
    isolated();
}

#[netns_test]
#[tokio::test(flavor = "local", name = "a-runtime")]
async fn below_with_options_of_its_own() {
    isolated();
    tokio::task::spawn_local(async {}).await.unwrap();
}
