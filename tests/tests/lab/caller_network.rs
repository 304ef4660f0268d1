//! The caller's own network, which a lab with `local` changes: all of it is the same when the lab
//! has ended, or what cannot be given back is refused before it is taken.

use std::fs;

use netns_test::lab::LinkId;
use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, NodeId, netns_test};
use netns_test_tests::stdout_of;

use crate::net::topology;
use crate::route_rows::{IPV4, IPV6, Row, add, destination, ip, own_interface, settle, state};

fn rows() -> impl Iterator<Item = (bool, usize, &'static Row)> {
    let of = |is_ipv4, rows: &'static [Row]| {
        rows.iter().enumerate().map(move |(at, row)| (is_ipv4, at, row))
    };
    of(true, IPV4).chain(of(false, IPV6))
}

/// All rows that this kernel knows.
fn add_all() -> Vec<(bool, usize, &'static Row)> {
    own_interface();
    let added: Vec<_> = rows().filter(|(is_ipv4, at, row)| add(*is_ipv4, *at, row)).collect();
    assert!(added.len() > 45, "{}", added.len());
    added
}

fn lab() -> (Lab, NodeId, LinkId) {
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    let link = net.link(own, host).id();
    (net.build().unwrap(), own, link)
}

#[track_caller]
fn assert_same(before: &str) {
    let after = state();
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let lost: Vec<_> = old.iter().filter(|line| !new.contains(line)).collect();
    let gained: Vec<_> = new.iter().filter(|line| !old.contains(line)).collect();
    assert!(lost.is_empty() && gained.is_empty(), "lost {lost:#?}\ngained {gained:#?}");
    // The order counts, too.
    assert_eq!(after, before);
}

#[netns_test]
fn routes_of_every_form_stay_behind_those_of_a_lab() -> netns_test::Result<()> {
    let added = add_all();
    let before = state();
    let (lab, own, link) = lab();
    for (is_ipv4, at, row) in &added {
        let destination = destination(*is_ipv4, *at);
        lab[own].add_route(destination.as_str(), link)?;
        // The same once more, and by another way.
        lab[own].add_route(destination.as_str(), link)?;
        if row.form.contains(" from ") {
            continue;
        }
        let target = destination.split_once('/').unwrap().0.replace("0/", "9/");
        let family = if *is_ipv4 { "-4" } else { "-6" };
        let way = stdout_of("ip", &[family, "route", "get", &target]);
        let is_local = way.contains("local ");
        assert!(way.contains("dev eth0") || is_local, "{destination}: {way}");
    }
    assert_ne!(state(), before);
    drop(lab);
    assert_same(&before);
    Ok(())
}

#[netns_test]
fn routes_of_the_plan_come_before_those_of_the_machine() -> netns_test::Result<()> {
    own_interface();
    for route in [
        "route add default via 192.0.2.2",
        "route append default via 192.0.2.3",
        "route add default via 192.0.2.4 metric 100",
        "-6 route add default via 2001:db8:77::2 metric 512",
        "-6 route add default via fe80::7 dev v0 proto ra metric 1024 expires 1800",
    ] {
        ip(route);
    }
    let before = state();
    let mut net = topology();
    let (own, router, far) = (net.local(), net.router("router"), net.host("far"));
    let link = net.link(own, router).id();
    net.link(router, far);
    let mut lab = net.build()?;
    let leads = |family: &str, to: &str, dev: &str| {
        let way = stdout_of("ip", &[family, "route", "get", to]);
        assert!(way.contains(&format!("dev {dev}")), "{way}");
    };
    leads("-4", "203.0.113.7", "eth0");
    leads("-6", "2001:db8:ffff::7", "eth0");
    lab[far].wait(WAIT_LIMIT).reachable(own)?;
    // Without its link a route of the lab is gone; the machine's is there.
    lab[link].down()?;
    leads("-4", "203.0.113.7", "v0");
    lab[link].up()?;
    lab[link].up()?;
    leads("-4", "203.0.113.7", "eth0");
    leads("-6", "2001:db8:ffff::7", "eth0");
    // A route of the plan that is in the way of a new link.
    net.node(own).route("203.0.113.0/24", router);
    lab.extend(&net)?;
    let other = net.host("other");
    net.link(own, other);
    lab.extend(&net)?;
    drop(lab);
    assert_same(&before);
    Ok(())
}

#[netns_test]
fn routes_of_every_form_that_a_lab_removes_come_back() -> netns_test::Result<()> {
    let added = add_all();
    let before = state();
    let (lab, own, _) = lab();
    for (is_ipv4, at, row) in &added {
        let removed = lab[own].remove_route(destination(*is_ipv4, *at).as_str());
        assert_eq!(removed.is_ok(), row.is_plain, "{}: {removed:?}", row.form);
    }
    drop(lab);
    assert_same(&before);
    Ok(())
}

/// Also what goes with the addresses: labels, neighbours that were entered, routes of other tables.
#[netns_test]
fn addresses_come_back_with_all_that_went_with_them() -> netns_test::Result<()> {
    add_all();
    for command in [
        "address add 172.20.0.1 peer 172.20.0.9/32 dev v0",
        "address add 172.21.0.1/24 dev v0 scope link noprefixroute",
        "address add 172.22.0.1/24 dev v0 valid_lft 5000 preferred_lft 4000",
        "address add 172.23.0.1/24 dev v0 metric 77",
        "-6 address add 2001:db8:80::1 peer 2001:db8:80::9/128 dev v0 nodad",
        "-6 address add 2001:db8:81::1/64 dev v0 nodad noprefixroute",
        "-6 address add 2001:db8:82::1/64 dev v0 nodad valid_lft 5000 preferred_lft 0",
        "-6 address add 2001:db8:83::1/64 dev v0 metric 77",
        "neighbour add 192.0.2.77 lladdr 02:00:00:00:00:77 dev v0",
        "-6 neighbour add 2001:db8:77::77 lladdr 02:00:00:00:00:77 dev v0",
        "neighbour add proxy 192.0.2.78 dev v0",
        "route append 198.18.0.0/24 via 192.0.2.9",
        "route append 198.18.0.0/24 via 192.0.2.8",
        // The kernel would make it anew with its address.
        "route delete 172.23.0.0/24 dev v0 metric 77",
        "rule add from 192.0.2.1 lookup 7",
    ] {
        ip(command);
    }
    settle();
    let before = state();
    {
        let (lab, own, _) = lab();
        lab[own].interface("v0").remove_addr("192.0.2.1/24")?;
        lab[own].interface("v0").remove_addr("2001:db8:82::1/64")?;
        drop(lab);
        assert_same(&before);
    }
    let (lab, own, _) = lab();
    lab[own].interface("v0").set_addr("192.0.2.99/24")?;
    lab[own].interface("v0").add_addr("192.0.2.1/24")?;
    lab[own].interface("v0").set_addr("172.30.0.1/16")?;
    lab[own].interface("v0").set_addr("2001:db8:99::1/64")?;
    lab[own].add_route("198.18.0.0/24", "172.30.0.2")?;
    lab[own].interface("v0").remove_addr("172.30.0.1/16")?;
    assert_ne!(state(), before);
    drop(lab);
    assert_same(&before);
    Ok(())
}

fn sysctls() -> Vec<String> {
    let mut all = Vec::new();
    for family in ["ipv4", "ipv6"] {
        for interface in ["all", "default", "lo", "v0", "v1"] {
            let path = format!("/proc/sys/net/{family}/conf/{interface}");
            for file in fs::read_dir(path).unwrap().flatten() {
                let value = fs::read_to_string(file.path()).unwrap_or_default();
                all.push(format!("{}={}", file.path().display(), value.trim()));
            }
        }
    }
    all.sort();
    all
}

/// Some sysctls write others, and one removes all addresses.
#[netns_test]
fn sysctls_come_back_with_what_the_kernel_changes_by_them() -> netns_test::Result<()> {
    add_all();
    fs::write("/proc/sys/net/ipv4/conf/v0/forwarding", "1")?;
    fs::write("/proc/sys/net/ipv4/conf/v1/rp_filter", "2")?;
    let (before, values) = (state(), sysctls());
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    net.link(own, host);
    net.node(own).sysctl("net.ipv4.ip_forward", 1);
    let lab = net.build()?;
    lab[own].sysctl("net.ipv4.ip_forward", 0)?;
    lab[own].sysctl("net.ipv6.conf.all.forwarding", 1)?;
    lab[own].sysctl("net.ipv6.conf.v0.disable_ipv6", 1)?;
    assert_ne!(state(), before);
    assert!(sysctls() != values);
    drop(lab);
    let changed: Vec<_> = sysctls().into_iter().filter(|line| !values.contains(line)).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert_same(&before);
    Ok(())
}

/// Only the kernel can make the temporary addresses that go with one of these.
#[netns_test]
fn what_cannot_be_given_back_is_not_taken() -> netns_test::Result<()> {
    own_interface();
    ip("-6 address add 2001:db8:84::1/64 dev v0 nodad mngtmpaddr valid_lft 5000 preferred_lft 400");
    ip("-6 route add 2001:db8:5::/48 via 2001:db8:77::2 metric 1");
    settle();
    let before = state();
    let (lab, own, link) = lab();
    let message =
        lab[own].interface("v0").remove_addr("2001:db8:84::1/64").unwrap_err().to_string();
    assert!(message.starts_with("remove address 2001:db8:84::1/64 of local: "), "{message}");
    assert!(message.contains("could not restore it"), "{message}");
    let message = lab[own].interface("v0").set_addr("2001:db8:85::1/64").unwrap_err().to_string();
    assert!(message.contains("flag mngtmpaddr") && !message.contains("SLAAC"), "{message}");
    // It has come before the other.
    let message =
        lab[own].interface("v0").remove_addr("2001:db8:77::1/64").unwrap_err().to_string();
    assert!(message.starts_with("remove address 2001:db8:84::1/64 of local: "), "{message}");
    let message = lab[own].sysctl("net.ipv6.conf.v0.disable_ipv6", 1).unwrap_err().to_string();
    assert!(message.contains("could not restore it"), "{message}");
    let message = lab[own].add_route("2001:db8:5::/48", link).unwrap_err().to_string();
    assert!(message.contains("EEXIST"), "{message}");
    drop(lab);
    assert_same(&before);
    Ok(())
}

#[netns_test]
fn what_is_not_given_back_fails_the_test() {
    own_interface();
    ip("route add 203.0.113.0/24 via 192.0.2.2");
    let (lab, own, _) = lab();
    lab[own].remove_route("203.0.113.0/24").unwrap();
    // Its gateway cannot be reached any more.
    ip("address flush dev v0");
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lab)));
    let message = *dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("give back: add route 203.0.113.0/24"), "{message}");
    assert!(message.contains("ENETUNREACH"), "{message}");
}
