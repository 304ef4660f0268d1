//! Snapshots of routes, rules, addresses and sockets: networks that differ compare unequal.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::lab::{NodeState, Protocol, RouteState};
use netns_test::{Lab, NodeId, netns_test};
use netns_test_tests::{LIMIT, eventually, stdout_of};
use serde_json::Value;

use crate::oracle::{ip as by_ip, text};
use crate::route_rows::{IPV4, IPV6, add, destination, ip, own_interface};
use crate::two_hosts;

fn stable(lab: &Lab, node: NodeId) -> NodeState {
    lab.snapshot().unwrap().stable()[node].clone()
}

#[netns_test]
fn routes_of_every_form_are_shown_and_make_a_difference() {
    let (lab, client, _) = two_hosts();
    lab[client].run(own_interface);
    let mut seen = vec![stable(&lab, client)];
    for (is_ipv4, rows) in [(true, IPV4), (false, IPV6)] {
        for (at, row) in rows.iter().enumerate() {
            if !lab[client].run(|| add(is_ipv4, at, row)) {
                continue;
            }
            let state = stable(&lab, client);
            let to = destination(is_ipv4, at);
            let (shown, to) = (row.shown.replacen('D', &to, 1), to.parse().unwrap());
            let own: Vec<_> = state.routes.iter().filter(|own| own.destination == to).collect();
            let [route] = own[..] else { panic!("{}: {own:?}", row.form) };
            assert!(route.to_string().contains(&shown), "{route} lacks {shown}");
            assert!(seen.iter().all(|before| *before != state), "{}", row.form);
            seen.push(state);
        }
    }
    let routes = &seen.last().unwrap().routes;
    assert!(routes.len() > 45, "{}", routes.len());
    for family in ["-4", "-6"] {
        let all = by_ip(&lab[client], &[family, "route", "show", "table", "all"]);
        // `ip -j` prints the destination of an encapsulation under the same name as the route's.
        let is_shown = |route: &&Value| {
            let is_added = text(route, "protocol") != "kernel";
            route["encap"].is_null() && (is_added || ["", "main"].contains(&text(route, "table")))
        };
        all.iter().filter(is_shown).for_each(|route| same(routes, route, family == "-4"));
    }
}

/// Returns whether a route that `ip` shows is there with the same fields.
#[track_caller]
fn same(routes: &[RouteState], route: &Value, is_ipv4: bool) {
    let (default, whole) = if is_ipv4 { ("0.0.0.0/0", "/32") } else { ("::/0", "/128") };
    let to = text(route, "dst").replace("default", default);
    let to = if to.contains('/') { to } else { to + whole };
    let table = match text(route, "table") {
        "" | "main" => 254,
        "local" => 255,
        number => number.parse().unwrap(),
    };
    let is_it = |own: &&RouteState| {
        let dev = text(route, "dev");
        let is_by = dev.is_empty() || own.dev.as_deref().is_none_or(|own| own == dev);
        own.destination.to_string() == to && own.table == table && is_by
    };
    let own = routes.iter().find(is_it).unwrap_or_else(|| panic!("{route} is not shown"));
    assert_eq!(own.kind, text(route, "type"), "{route}");
    assert_eq!(u64::from(own.metric), route["metric"].as_u64().unwrap_or(0), "{route}");
    let has = |words: String| own.details.contains(&words);
    assert!(has(format!("proto {}", text(route, "protocol"))), "{own:?} {route}");
    if is_ipv4 {
        assert!(has(format!("scope {}", text(route, "scope"))), "{own:?} {route}");
    }
    let source = text(route, "prefsrc");
    assert!(source.is_empty() || has(format!("src {source}")), "{own:?} {route}");
    let gateway = |hop: &Value| {
        let [direct, other] = [text(hop, "gateway"), text(&hop["via"], "host")];
        if direct.is_empty() { other.to_owned() } else { direct.to_owned() }
    };
    let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
    let theirs = hops.iter().map(|hop| (gateway(hop), hop["weight"].as_u64()));
    let via = |via: Option<std::net::IpAddr>| via.map_or_else(String::new, |via| via.to_string());
    let own_hops = own.next_hops.iter().map(|hop| (via(hop.via), hop.weight.map(u64::from)));
    let leads_nowhere = own.next_hops.is_empty() && own.kind != "unicast";
    assert!(leads_nowhere || theirs.eq(own_hops), "{own:?} {route}");
}

/// Each command makes one more difference.
#[netns_test]
fn networks_that_differ_compare_unequal() {
    let steps = [
        ("address add 172.20.0.1 peer 172.20.0.9/32 dev v0", "172.20.0.1 peer 172.20.0.9/32"),
        ("address add 172.20.0.1 peer 172.20.0.8/32 dev v0", "172.20.0.1 peer 172.20.0.8/32"),
        ("-6 address add 2001:db8:8::1 peer 2001:db8:8::9/128 dev v0", "peer 2001:db8:8::9/128"),
        ("address add 172.21.0.1/24 dev v0 scope link noprefixroute", "scope link noprefixroute"),
        ("address add 172.22.0.1/24 dev v0 label v0:x", "172.22.0.1/24 label v0:x"),
        ("address add 172.23.0.1/24 brd 172.23.0.7 dev v0", "brd 172.23.0.7"),
        ("rule add from 10.9.9.9 blackhole", "from 10.9.9.9 blackhole"),
        (
            "rule add from 10.9.8.0/24 to 10.7.0.0/16 tos 0x10 lookup 7",
            "from 10.9.8.0/24 to 10.7.0.0/16 tos 0x10 lookup 7",
        ),
        ("rule add fwmark 0x7/0xff iif lo prohibit", "from all fwmark 0x7/0xff iif lo prohibit"),
        ("rule add oif v0 unreachable pref 77", "77: from all oif v0 unreachable"),
        (
            "rule add not from 10.1.1.1 lookup 9 suppress_prefixlength 0",
            "not from 10.1.1.1 lookup 9 suppress_prefixlength 0",
        ),
        (
            "rule add ipproto tcp dport 80-90 lookup main",
            "from all ipproto tcp dport 80-90 lookup main",
        ),
        ("rule add pref 90 goto 32766", "90: from all goto 32766"),
        ("rule add pref 91 nop", "91: from all nop"),
        ("-6 rule add from 2001:db8::9 blackhole", "from 2001:db8::9 blackhole"),
        ("-6 rule add pref 5 lookup 4711", "5: from all lookup 4711"),
        ("rule delete pref 32767", "32766: from all lookup main"),
        ("route add 198.18.0.0/24 via 192.0.2.2 metric 3", "metric 3"),
        ("route add 198.18.0.0/24 via 192.0.2.2 metric 4", "metric 4"),
        ("route change 198.18.0.0/24 via 192.0.2.2 metric 4 mtu 1400", "metric 4 mtu 1400"),
    ];
    let (lab, client, _) = two_hosts();
    lab[client].run(own_interface);
    let mut seen = vec![stable(&lab, client)];
    // Only users of the namespace can be named.
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    let by_user = [
        format!("rule add uidrange {uid}-{uid} prohibit"),
        format!("uidrange {uid}-{uid} prohibit"),
    ];
    for (command, shown) in steps.into_iter().chain([(by_user[0].as_str(), by_user[1].as_str())]) {
        lab[client].run(|| ip(command));
        let state = stable(&lab, client);
        assert!(state.to_string().contains(shown), "{command}: {state}");
        assert!(seen.iter().all(|before| *before != state), "{command}");
        seen.push(state);
    }
}

#[netns_test]
fn a_table_that_no_rule_leads_to_is_not_waited_for() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let host = &lab[client];
    for (family, to) in [("-4", "198.18.0.0/24"), ("-6", "2001:db8:1::/48")] {
        let rule = |arguments: &str| host.run(|| ip(&format!("{family} rule {arguments}")));
        let short = || host.wait(Duration::from_millis(50)).route(to);
        host.run(|| ip(&format!("{family} route add {to} dev eth0 table 7")));
        let message = short().unwrap_err().to_string();
        assert!(message.contains(&format!("\n    {to} dev eth0 table 7")), "{message}");
        // A rule for all packets ends the search before that for the table.
        rule("add pref 9 blackhole");
        rule("add pref 10 lookup 7");
        let message = short().unwrap_err().to_string();
        assert!(message.contains("\n    rule 10: from all lookup 7"), "{message}");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| host.wait(WAIT_LIMIT).route(to));
            rule("delete pref 9");
            waiting.join().unwrap()
        })?;
    }
    Ok(())
}

#[netns_test]
fn a_route_of_a_vrf_is_waited_for() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let host = &lab[client];
    let made = host.command("ip").args("link add red type vrf table 9".split(' ')).output()?;
    if !made.status.success() {
        println!("this kernel has no VRFs");
        return Ok(());
    }
    host.run(|| ip("link set red up"));
    host.run(|| ip("route add 198.18.0.0/24 dev eth0 table 9"));
    host.wait(WAIT_LIMIT).route("198.18.0.0/24")
}

#[netns_test]
fn drops_of_a_socket_are_shown() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let host = &lab[client];
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:53"))?;
    let sender = host.run(|| UdpSocket::bind("127.0.0.1:0"))?;
    let look = || {
        let state = lab.snapshot().unwrap();
        let all = state.node("client").unwrap().sockets.iter();
        let own = *all.clone().find(|own| own.local.port() == 53).unwrap();
        assert_eq!(own.protocol, Protocol::Udp);
        (own.drops.unwrap(), own.to_string(), state.stable())
    };
    let (none, shown, before) = look();
    assert_eq!((none, shown.as_str()), (0, "udp UNCONN 127.0.0.1:53 *"));
    eventually(LIMIT, "a datagram is dropped", || {
        for _ in 0..64 {
            sender.send_to(&[0; 8192], "127.0.0.1:53").unwrap();
        }
        look().0 > 0
    });
    let (count, shown, after) = look();
    assert_eq!(shown, format!("udp UNCONN 127.0.0.1:53 * drops {count}"));
    assert_eq!(before, after);
    let table = host.run(|| stdout_of("cat", &["/proc/thread-self/net/udp"]));
    let line = table.lines().find(|line| line.contains(":0035 ")).unwrap();
    assert_eq!(line.split_whitespace().last().unwrap(), count.to_string());
    drop(socket);
    Ok(())
}

#[netns_test]
fn sockets_of_ipv6_alone_are_shown() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let host = &lab[client];
    let bind = |port: u16| {
        let bind = || (TcpListener::bind(("::", port)), UdpSocket::bind(("::", port)));
        let (listener, socket) = host.run(bind);
        (listener.unwrap(), socket.unwrap())
    };
    let both = bind(80);
    let before = stable(&lab, client);
    // What `IPV6_V6ONLY` is for sockets that do not set it.
    host.sysctl("net.ipv6.bindv6only", 1)?;
    let alone = bind(81);
    let state = stable(&lab, client);
    let found: Vec<_> =
        state.sockets.iter().map(|one| (one.local.port(), one.is_ipv6_only)).collect();
    if host.run(|| stdout_of("ss", &["-Hltne"])).contains("v6only:1") {
        let [off, on] = [Some(false), Some(true)];
        assert_eq!(found, [(80, off), (81, on), (80, off), (81, on)]);
        assert!(state.to_string().contains("tcp LISTEN [::]:81 * v6only\n"), "{state}");
        drop((both, alone));
        host.sysctl("net.ipv6.bindv6only", 0)?;
        let _both = bind(80);
        assert_eq!(stable(&lab, client), before);
    } else {
        assert!(found.iter().all(|(_, only)| only.is_none()), "{found:?}");
    }
    Ok(())
}
