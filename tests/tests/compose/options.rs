//! The options that are not about a runtime.

use netns_test::netns_test;

use super::proof::{isolated, status_numbers};

/// The crate as another crate would re-export it.
mod toolbox {
    pub(crate) mod deeper {
        pub(crate) use netns_test as isolation;
    }
}

#[netns_test(crate = crate::options::toolbox::deeper::isolation)]
fn crate_path() {
    isolated();
}

#[netns_test(crate = "toolbox::deeper::isolation")]
async fn crate_path_in_quotes() -> Result<(), String> {
    isolated();
    Ok(())
}

#[toolbox::deeper::isolation::netns_test(crate = toolbox::deeper::isolation)]
fn attribute_by_the_same_path() {
    isolated();
}

#[toolbox::deeper::isolation::test(crate = toolbox::deeper::isolation)]
fn attribute_by_the_other_name() {
    isolated();
}

#[netns_test::test]
fn other_name() {
    isolated();
}

#[::netns_test::test()]
fn other_name_from_the_root() {
    isolated();
}

#[netns_test(user = "root")]
fn root() {
    isolated();
    assert_eq!(status_numbers("Uid"), [0; 4]);
    assert_eq!(status_numbers("Gid"), [0; 4]);
}

#[netns_test(user = "caller")]
fn caller() {
    isolated();
}

#[netns_test(timeout = "30000ms")]
fn timeout_in_milliseconds() {
    isolated();
}

#[netns_test(timeout = "30s")]
fn timeout_in_seconds() {
    isolated();
}

#[netns_test(timeout = "2m")]
fn timeout_in_minutes() {
    isolated();
}

#[netns_test(timeout = "1h")]
fn timeout_in_hours() {
    isolated();
}

#[netns_test(timeout = "none")]
fn no_timeout() {
    isolated();
}

#[netns_test(timeout = "18446744073709551615ms")]
fn longest_timeout() {
    isolated();
}

#[netns_test(
    start_paused = true,
    crate = ::netns_test,
    user = "root",
    flavor = "current_thread",
    timeout = "1m",
)]
async fn all_at_once() {
    isolated();
    assert_eq!(status_numbers("Uid"), [0; 4]);
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
}
