//! The attributes of the compiler beside ours, above it and below it.

use netns_test::netns_test;

use super::proof::isolated;

#[netns_test]
#[should_panic]
fn should_panic() {
    isolated();
    panic!("as it should");
}

#[should_panic = "as it"]
#[netns_test]
fn should_panic_with_a_text() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it")]
fn should_panic_as_expected() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it")]
async fn should_panic_in_async() {
    isolated();
    tokio::task::yield_now().await;
    panic!("as it should");
}

#[netns_test]
#[cfg_attr(all(), should_panic(expected = "as it"))]
fn should_panic_if() {
    isolated();
    panic!("as it should");
}

#[cfg_attr(all(), should_panic)]
#[netns_test]
fn should_panic_if_above() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[cfg_attr(any(), should_panic)]
fn should_not_panic() {
    isolated();
}

#[netns_test]
#[ignore]
fn ignored() {
    isolated();
}

#[ignore = "above"]
#[netns_test]
fn ignored_above() {
    isolated();
}

#[netns_test]
#[cfg_attr(all(), ignore = "conditional")]
fn ignored_if() {
    isolated();
}

#[netns_test]
#[cfg(test)]
fn configured_in() {
    isolated();
}

#[cfg(test)]
#[netns_test]
fn configured_in_above() {
    isolated();
}

#[netns_test]
#[cfg(not(test))]
fn configured_out() {
    compile_error!("this is not compiled");
}

#[cfg(not(test))]
#[netns_test]
fn configured_out_above() {
    compile_error!("this is not compiled");
}

#[cfg_attr(all(), netns_test)]
fn only_by_cfg_attr() {
    isolated();
}

/// A test may have documentation.
#[netns_test]
fn documented_above() {
    isolated();
}

#[netns_test]
/// A test may have documentation
///
/// in more than one line.
fn documented_below() {
    isolated();
}

#[netns_test]
#[expect(unused_variables, reason = "the attribute has to reach the body")]
fn expects_a_lint() {
    let unused = std::process::id();
    isolated();
}

#[expect(unused_mut, reason = "the attribute has to reach the body")]
#[netns_test]
async fn expects_a_lint_above() {
    let mut value = 1;
    isolated();
    assert_eq!(value, 1);
}

#[netns_test]
fn inner_attribute() {
    #![expect(unused_mut, reason = "the attribute has to stay in the body")]
    let mut value = 1;
    isolated();
    assert_eq!(value, 1);
}
