//! Routes of every form that `ip route add` takes, for tests that each run over all of them.

use std::collections::BTreeSet;
use std::process::Command;

use netns_test_tests::{LIMIT, eventually, stdout_of};

/// A form of a route: what follows `ip route add`, with `D` for a destination of its own.
pub(crate) struct Row {
    pub(crate) form: &'static str,
    /// Text of the route in a snapshot.
    pub(crate) shown: &'static str,
    /// Whether `remove_route` finds it: in the main table, and for packets of any TOS.
    pub(crate) is_plain: bool,
}

const fn row(form: &'static str, shown: &'static str) -> Row {
    Row { form, shown, is_plain: true }
}

const fn other(form: &'static str, shown: &'static str) -> Row {
    Row { form, shown, is_plain: false }
}

pub(crate) const IPV4: &[Row] = &[
    row("D via 192.0.2.2", "D via 192.0.2.2 dev v0"),
    row("D via 192.0.2.2 metric 50", "D via 192.0.2.2 dev v0 metric 50"),
    other("D via 192.0.2.2 tos 0x10", "D via 192.0.2.2 dev v0 tos 0x10"),
    row("D dev v0", "D dev v0"),
    row("D dev v0 scope host", "D dev v0 scope host"),
    row("D dev v0 src 192.0.2.50", "D dev v0 src 192.0.2.50"),
    row("blackhole D", "blackhole D"),
    row("unreachable D metric 9", "unreachable D metric 9"),
    row("prohibit D", "prohibit D"),
    row("throw D", "throw D"),
    row("multicast D dev v0", "multicast D dev v0"),
    row("D via 198.51.100.7 dev v0 onlink", "D via 198.51.100.7 dev v0 onlink"),
    row(
        "D nexthop via 192.0.2.2 weight 3 nexthop via 192.0.2.3",
        "D via 192.0.2.2 dev v0 weight 3 nexthop via 192.0.2.3 dev v0 weight 1",
    ),
    row(
        "D metric 7 mtu 1300 nexthop via 198.51.100.7 dev v0 onlink nexthop via 192.0.2.3 weight 9",
        "D via 198.51.100.7 dev v0 weight 1 onlink nexthop via 192.0.2.3 dev v0 weight 9 metric 7",
    ),
    row(
        "D nexthop via inet6 2001:db8:77::2 dev v0 nexthop via 192.0.2.3",
        "D via 2001:db8:77::2 dev v0 weight 1 nexthop via 192.0.2.3",
    ),
    row("D via inet6 2001:db8:77::2 dev v0", "D via 2001:db8:77::2 dev v0"),
    row("D via inet6 fe80::1 dev v0", "D via fe80::1 dev v0"),
    row("D nhid 5", "D via 192.0.2.2 dev v0 nhid 5"),
    row("D nhid 7", "D via 192.0.2.2 dev v0 weight 1 nexthop via 192.0.2.3 dev v0 weight 4 nhid 7"),
    row("D nhid 8", "blackhole D"),
    row("D via 192.0.2.2 proto ra", "D via 192.0.2.2 dev v0 proto ra"),
    row("D via 192.0.2.2 proto kernel", "D via 192.0.2.2 dev v0"),
    row("D via 192.0.2.2 proto dhcp metric 100", "D via 192.0.2.2 dev v0 metric 100 proto dhcp"),
    row("D via 192.0.2.2 proto 77", "D via 192.0.2.2 dev v0 proto 77"),
    row(
        "D via 192.0.2.2 mtu lock 1300 initcwnd 20 quickack 1 congctl reno features ecn",
        "mtu lock 1300 initcwnd 20 features ecn quickack 1 congctl reno",
    ),
    row(
        "D via 192.0.2.2 window 5000 rtt 100ms rttvar 50ms rto_min 200ms ssthresh 10 cwnd 11",
        "window 5000 rtt 100ms rttvar 50ms ssthresh 10 cwnd 11 rto_min lock 200ms",
    ),
    row(
        "D via 192.0.2.2 mtu 1300 advmss 1000 reordering 5 hoplimit 9 initrwnd 5 fastopen_no_cookie 1",
        "mtu 1300 advmss 1000 reordering 5 hoplimit 9 initrwnd 5 fastopen_no_cookie 1",
    ),
    row("D via 192.0.2.2 realm 5", "D via 192.0.2.2 dev v0 realm 5"),
    row("D via 192.0.2.2 realms 3/5", "D via 192.0.2.2 dev v0 realms 3/5"),
    row("D encap mpls 100/200 via 192.0.2.2", "D encap mpls 0x"),
    row("D encap ip id 7 dst 192.0.2.9 dev v0", "D encap ip 0x"),
    other("D via 192.0.2.2 table 7", "D via 192.0.2.2 dev v0 table 7"),
    other("D via 192.0.2.2 table 4711", "D via 192.0.2.2 dev v0 table 4711"),
    other("local D dev lo", "local D dev lo table local scope host"),
];

pub(crate) const IPV6: &[Row] = &[
    row("D via 2001:db8:77::2", "D via 2001:db8:77::2 dev v0"),
    row("D via fe80::1 dev v0 metric 50", "D via fe80::1 dev v0 metric 50"),
    row("D dev v0", "D dev v0"),
    row("blackhole D", "blackhole D"),
    row("unreachable D metric 77", "unreachable D metric 77"),
    row("prohibit D", "prohibit D"),
    row("throw D", "throw D"),
    row("D via 2001:db8:78::7 dev v0 onlink", "D via 2001:db8:78::7 dev v0 onlink"),
    row(
        "D nexthop via 2001:db8:77::2 weight 3 nexthop via 2001:db8:77::3",
        "D via 2001:db8:77::2 dev v0 weight 3 nexthop via 2001:db8:77::3 dev v0 weight 1",
    ),
    row("D nhid 6", "D via 2001:db8:77::2 dev v0 nhid 6"),
    row("D via 2001:db8:77::2 proto ra", "D via 2001:db8:77::2 dev v0 proto ra"),
    row("D via 2001:db8:77::2 expires 3000", "expires"),
    row("D via 2001:db8:77::2 pref high", "D via 2001:db8:77::2 dev v0 pref high"),
    row("D via 2001:db8:77::2 pref low proto bird", "pref low"),
    row(
        "D via 2001:db8:77::2 src 2001:db8:77::1",
        "D via 2001:db8:77::2 dev v0 src 2001:db8:77::1",
    ),
    other(
        "D via 2001:db8:77::2 from 2001:db8:9::/48",
        "D via 2001:db8:77::2 dev v0 from 2001:db8:9::/48",
    ),
    row("D via 2001:db8:77::2 mtu 1300 hoplimit 9 initcwnd 4", "mtu 1300 hoplimit 9 initcwnd 4"),
    row("D via 2001:db8:77::2 mtu lock 1400 congctl reno", "mtu lock 1400 congctl reno"),
    row("D encap seg6 mode encap segs 2001:db8:77::9 via 2001:db8:77::2", "D encap seg6 0x"),
    row("D encap ip6 id 7 dst 2001:db8:77::9 dev v0", "D encap ip6 0x"),
    other("D via 2001:db8:77::2 table 7", "D via 2001:db8:77::2 dev v0 table 7"),
    other("local D dev lo", "local D dev lo table local"),
];

/// The destination of the row at a place.
pub(crate) fn destination(is_ipv4: bool, at: usize) -> String {
    if is_ipv4 { format!("198.18.{at}.0/24") } else { format!("2001:db8:1{at:02}::/48") }
}

/// Adds an interface with addresses, and next hop objects.
pub(crate) fn own_interface() {
    for command in [
        "link add v0 type veth peer name v1",
        "link set v0 up",
        "link set v1 up",
        "addr add 192.0.2.1/24 brd + dev v0",
        "addr add 192.0.2.50/24 dev v0 label v0:second",
        "-6 addr add 2001:db8:77::1/64 dev v0 nodad",
        "nexthop add id 5 via 192.0.2.2 dev v0",
        "nexthop add id 4 via 192.0.2.3 dev v0",
        "nexthop add id 6 via 2001:db8:77::2 dev v0",
        "nexthop add id 7 group 5/4,4",
        "nexthop add id 8 blackhole",
    ] {
        ip(command);
    }
    let link_local = || stdout_of("ip", &["-6", "address", "show", "scope", "link"]);
    eventually(LIMIT, "both ends have link-local addresses", || {
        link_local().matches("inet6").count() >= 2
    });
    settle();
}

/// Waits until the kernel has finished with all IPv6 addresses: the last thing that it does for one is the
/// route by which packets to it arrive.
pub(crate) fn settle() {
    let is_settled = || {
        let addresses = stdout_of("ip", &["-6", "-oneline", "address"]);
        let routes = stdout_of("ip", &["-6", "route", "show", "table", "local"]);
        let mut all = addresses.lines().filter_map(|line| line.split_whitespace().nth(3));
        all.all(|one| routes.contains(&format!("local {} dev", one.split('/').next().unwrap())))
            && !addresses.contains("tentative")
    };
    eventually(LIMIT, "all IPv6 addresses are settled", is_settled);
}

pub(crate) fn ip(arguments: &str) {
    stdout_of("ip", &arguments.split(' ').collect::<Vec<_>>());
}

/// Adds the row at a place; false for a form that this kernel, or this `ip`, does not know: an
/// encapsulation, a source of IPv6, a realm, a metric.
pub(crate) fn add(is_ipv4: bool, at: usize, row: &Row) -> bool {
    let family = if is_ipv4 { "-4" } else { "-6" };
    let form = row.form.replacen('D', &destination(is_ipv4, at), 1);
    let mut command = Command::new("ip");
    command.args([family, "route", "add"]).args(form.split(' '));
    let ended = command.output().unwrap();
    let special = ["encap", "from", "realm", "fastopen", "nhid 8"];
    let may_lack = special.iter().any(|word| row.form.contains(word));
    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() || may_lack, "{form}: {message}");
    ended.status.success()
}

/// All that the calling thread's network has, without the time that is left to it.
pub(crate) fn state() -> String {
    let asked = [
        &["address"][..],
        &["-details", "-4", "route", "show", "table", "all"],
        &["-details", "-6", "route", "show", "table", "all"],
        &["-details", "-4", "rule"],
        &["-details", "-6", "rule"],
        &["nexthop"],
        &["neighbour", "show", "nud", "permanent"],
        &["neighbour", "show", "proxy"],
    ];
    let message = asked.map(|arguments| stdout_of("ip", arguments)).concat();
    let is_time = |word: &&str| {
        let digits = word.trim_end_matches("sec");
        digits.len() < word.len() && digits.bytes().all(|one| one.is_ascii_digit())
    };
    let untimed =
        |line: &str| line.split(' ').filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ");
    let (local, others): (Vec<_>, Vec<_>) =
        message.lines().map(untimed).partition(|line| line.contains(" table local "));
    // Of those that the kernel makes for addresses the order says nothing.
    let local: BTreeSet<String> = local.into_iter().collect();
    others.into_iter().chain(local).collect::<Vec<_>>().join("\n")
}
