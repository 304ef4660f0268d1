//! Name servers over power cycles, extensions, and the end of a lab.

use std::time::Duration;

use netns_test::lab::{DnsFault, Record, RecordType};
use netns_test::netns_test;

use crate::client::{ask, found, query, send};
use crate::lookups::net;

#[netns_test]
fn a_server_that_is_off_does_not_answer_and_comes_back_with_what_was_set() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns);
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    lab.dns().set("a.example", Record::address([192, 0, 2, 1])).unwrap();
    for _ in 0..2 {
        lab.power_off(ns).unwrap();
        let bytes = query("a.example", RecordType::A, None);
        assert!(send(&lab, client, server, &bytes, Duration::from_millis(200)).is_none());
        lab.power_on(ns).unwrap();
        assert_eq!(found(&lab, client, "a.example"), ["192.0.2.1"]);
    }
}

#[netns_test]
fn a_client_that_is_off_and_on_asks_again() {
    let (mut net, [client, ..]) = net();
    net.dns_everywhere().record("a.example", Record::address([192, 0, 2, 1]));
    let lab = net.build().unwrap();
    lab.power_off(client).unwrap();
    lab.power_on(client).unwrap();
    assert_eq!(found(&lab, client, "a.example"), ["192.0.2.1"]);
}

#[netns_test]
fn an_extension_brings_names_and_keeps_what_was_set() {
    let (mut net, [client, _, ns]) = net();
    net.dns(ns)
        .record("kept.example", Record::address([192, 0, 2, 1]))
        .record("anew.example", Record::address([192, 0, 2, 1]));
    let mut lab = net.build().unwrap();
    for name in ["kept.example", "anew.example"] {
        lab.dns().set(name, Record::address([192, 0, 2, 2])).unwrap();
    }
    let late = net.host("late");
    net.link(late, ns);
    net.dns(ns)
        .record("late.example", Record::node(late))
        .record("anew.example", Record::address([192, 0, 2, 3]));
    lab.extend(&net).unwrap();
    assert_eq!(found(&lab, client, "late.example"), found(&lab, client, "late"));
    assert!(!found(&lab, client, "late").is_empty());
    assert_eq!(found(&lab, late, "kept.example"), ["192.0.2.2"]);
    assert_eq!(found(&lab, client, "anew.example").len(), 2);
    net.dns(client);
    lab.extend(&net).unwrap();
    let address = lab.plan().address_of(client).unwrap();
    assert_eq!(ask(&lab, ns, address, "late", RecordType::A).counts()[0], 1);
}

#[netns_test]
fn two_labs_one_after_the_other_and_one_that_is_leaked() {
    for _ in 0..2 {
        let (mut net, [client, ..]) = net();
        net.dns_everywhere().record("a.example", Record::address([192, 0, 2, 1]));
        let lab = net.build().unwrap();
        assert_eq!(found(&lab, client, "a.example"), ["192.0.2.1"]);
    }
    let (mut net, [client, _, ns]) = net();
    net.dns(ns).fault("*", DnsFault::no_answer());
    let lab = net.build().unwrap();
    let server = lab.plan().address_of(ns).unwrap();
    let bytes = query("a.example", RecordType::A, None);
    assert!(send(&lab, client, server, &bytes, Duration::from_millis(100)).is_none());
    std::mem::forget(lab);
}

#[netns_test]
fn the_guard_of_a_fault_outlives_its_lab() {
    let (mut net, [_, _, ns]) = net();
    net.dns(ns);
    let lab = net.build().unwrap();
    let guard = lab.dns().fault("*", DnsFault::refused()).unwrap();
    drop(lab);
    assert_eq!(guard.hits(), 0);
}
