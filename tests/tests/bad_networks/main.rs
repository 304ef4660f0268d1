//! Impaired links with real packets: what is lost is the same in each run, faults are exact, delays
//! and rates hold.

mod captures;
mod claims;
mod delays;
mod ends;
mod faults;
mod faults_of_tcp;
mod faults_of_udp;
mod frames;
mod holds;
mod losses;
mod net;
mod netem;
mod rates;
mod recipes;
mod refusals;
mod replay;
mod train;
mod wire;

use netns_test_tests::{again, fails};

/// Runs this ignored test, which must fail; returns its output.
fn must_fail(name: &str) -> String {
    fails(&mut again(&[], &["--exact", name]))
}
