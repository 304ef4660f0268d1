//! Two peers find each other through NATs, with leased ports where routers serve port mapping.

use netns_test::lab::{Nat, PortMapping};
use netns_test::netns_test;

use crate::leased::{Kind, Site};

/// Kinds of NATs, by the names there.
const KINDS: [Kind; 7] = [
    Kind { nat: Nat::home, ..EASY },
    Kind { name: "easyAF", nat: Nat::restricted_cone, filters_ports: false, ..EASY },
    Kind { name: "hard", nat: Nat::symmetric, is_hard: true, ..EASY },
    Kind { name: "easyPMP", nat: easy_pmp, is_public: true, ..EASY },
    Kind { name: "hardPMP", nat: hard_pmp, is_public: true, ..EASY },
    Kind { name: "one2one", is_one_to_one: true, is_public: true, ..EASY },
    Kind { name: "noFilter", nat: Nat::full_cone, is_public: true, ..EASY },
];

const EASY: Kind = Kind {
    name: "easy",
    nat: Nat::home,
    is_one_to_one: false,
    is_public: false,
    is_hard: false,
    filters_ports: true,
};

fn easy_pmp() -> Nat {
    Nat::home().port_mapping(PortMapping::new().nat_pmp())
}

fn hard_pmp() -> Nat {
    Nat::symmetric().port_mapping(PortMapping::new().nat_pmp())
}

/// An endpoint that takes packets unasked is enough. Else the other one's filter has to take
/// those of a hard NAT, whose port is not known before.
fn is_direct(one: &Kind, two: &Kind) -> bool {
    let passes = |from: &Kind, to: &Kind| !from.is_hard || !to.filters_ports;
    one.is_public || two.is_public || passes(one, two) && passes(two, one)
}

fn check(one: &Kind, two: &Kind) {
    let both = [one, two].map(|kind| ((kind.nat)(), kind.is_one_to_one));
    let heard = Site::new(both, |_, _| ()).hear_each_other();
    assert_eq!(heard, [is_direct(one, two); 2], "{} and {}", one.name, two.name);
}

#[netns_test]
fn test_pair() {
    for [one, two] in [[0, 0], [2, 2], [2, 4]] {
        check(&KINDS[one], &KINDS[two]);
    }
}

#[netns_test(timeout = "300s")]
fn test_grid() {
    for (at, one) in KINDS.iter().enumerate() {
        KINDS[at..].iter().for_each(|two| check(one, two));
    }
}
