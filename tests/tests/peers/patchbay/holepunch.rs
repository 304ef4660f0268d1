//! Two hosts behind NATs send to each other's external endpoints.

use netns_test::lab::Nat;
use netns_test::netns_test;

use crate::behind::Homes;

#[netns_test]
fn fullcone_holepunch() {
    Homes::new([Nat::full_cone(), Nat::full_cone()]).peers().meet();
}

/// Each lets in only whom it has sent to: both have to send.
#[netns_test]
fn home_nat_holepunch() {
    let homes = Homes::new([Nat::home(), Nat::home()]);
    assert!(homes.punch());
    homes.peers().meet();
}
