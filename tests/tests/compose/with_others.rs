//! Attributes that rewrite the function: what they add runs in the sandbox, above ours and below.

use std::sync::atomic::Ordering;

use attributes::{block, on_a_thread, set_up};
use netns_test::{Topology, netns_test};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::proof::isolated;
use crate::SET_UP;

/// Proves the isolation, and that the macro has added its code, to the body and only there.
#[track_caller]
fn isolated_with_set_up() {
    isolated();
    assert_eq!(SET_UP.load(Ordering::Relaxed), std::process::id(), "set up in another process");
}

#[netns_test]
#[set_up]
fn below() {
    isolated_with_set_up();
}

#[set_up]
#[netns_test]
fn above() {
    isolated_with_set_up();
}

/// The body and the code of the attribute are on different threads. The runtimes of a lab work
/// nevertheless.
#[netns_test(timeout = "20s")]
#[on_a_thread]
fn a_body_on_a_thread_of_its_own_can_have_a_lab() {
    println!("ran with_others::a_body_on_a_thread_of_its_own_can_have_a_lab");
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build().unwrap();
    assert_eq!(lab[a].block_on(async { 7 }), 7);
}

#[netns_test]
#[cfg_attr(all(), set_up)]
fn below_by_cfg_attr() {
    isolated_with_set_up();
}

#[netns_test(flavor = "multi_thread", worker_threads = 1)]
#[set_up]
async fn below_on_an_async_fn() -> Result<(), String> {
    isolated_with_set_up();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    Ok(())
}

#[netns_test]
#[set_up]
async fn below_with_our_runtime() -> Result<(), String> {
    isolated_with_set_up();
    tokio::task::yield_now().await;
    Ok(())
}

#[netns_test]
#[block]
async fn makes_a_sync_fn() {
    isolated_with_set_up();
}

#[netns_test]
#[should_panic(expected = "as it")]
#[set_up]
#[expect(unused_mut, reason = "the attribute has to reach the body")]
fn below_should_panic() {
    isolated_with_set_up();
    let mut reason = "as it should";
    panic!("{reason}");
}

#[netns_test]
#[attributes::test]
fn test_below() {
    isolated_with_set_up();
}

#[netns_test::test]
#[attributes::test]
#[ignore = "below"]
fn test_below_ignored() {
    isolated_with_set_up();
}

#[netns_test]
#[attributes::test]
#[should_panic(expected = "as it")]
fn test_below_should_panic() {
    isolated_with_set_up();
    panic!("as it should");
}

mod imported {
    use attributes::test;
    use netns_test::netns_test;

    #[netns_test]
    #[test]
    fn by_the_name_of_the_builtin() {
        super::isolated_with_set_up();
    }
}

/// The function that the attribute adds is the one that is isolated.
#[test]
#[attributes::also_isolated]
fn with_an_added_function() {
    match std::thread::current().name() {
        Some("with_others::with_an_added_function") => {
            println!("ran with_others::with_an_added_function");
        }
        _ => isolated(),
    }
}

#[netns_test]
#[track_caller]
#[inline(never)]
fn attributes_of_the_language() {
    isolated();
    let location = std::panic::Location::caller();
    assert!(location.line() < line!() - 2, "{location}");
}
