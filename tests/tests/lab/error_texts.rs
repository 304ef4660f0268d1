//! Errors of a lab name the call in the test that failed, what kind of error it is, and what is in the
//! way.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::Location;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Error, Topology, netns_test};
use netns_test_tests::Said as _;

use crate::{must_fail, two_hosts};

const SHORT: Duration = Duration::from_millis(30);

/// Checks that an error names the line of the call of this, or the one after it, in text and value.
#[track_caller]
fn is_at_this_line<T>(result: Result<T, impl Into<Error>>) {
    let (here, error) = (Location::caller(), result.err().expect("it is wrong").into());
    let place = error.location().unwrap_or_else(|| panic!("no place: {error}"));
    assert_eq!((place.file(), place.line()), (here.file(), here.line()), "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.ends_with(&format!("\n  at {place}")), "{text}");
    }
}

#[netns_test]
fn each_error_names_the_line_of_its_call() {
    let mut other = Topology::new();
    let (stranger, twin) = (other.host("x"), other.host("y"));
    let foreign = other.link(stranger, twin).id();
    let mut wrong = Topology::new();
    wrong.host("a b");
    is_at_this_line(wrong.plan());
    is_at_this_line(wrong.build());
    let (mut lab, client, server) = two_hosts();
    is_at_this_line(lab.extend(&other));
    is_at_this_line(lab.partition(&[client], &[client]));
    is_at_this_line(lab.move_link(foreign, client, server));
    is_at_this_line(lab.power_on(client));
    is_at_this_line(lab.power_off(stranger));
    let host = &lab[client];
    is_at_this_line(host.interface("eth7").add_addr("10.9.0.1/24"));
    is_at_this_line(host.interface("eth0").remove_addr("10.9.0.1/24"));
    is_at_this_line(host.interface("eth0").set_addr("10.9.0.1"));
    is_at_this_line(host.add_route("10.9.0.0/24", "192.0.2.1"));
    is_at_this_line(host.remove_route("10.9.0.0/24"));
    is_at_this_line(host.sysctl("net.no_such_thing", 1));
    is_at_this_line(host.wait(SHORT).listening(80));
    is_at_this_line(host.wait(SHORT).bound(80));
    is_at_this_line(host.wait(SHORT).established(80));
    is_at_this_line(host.wait(SHORT).link_up("eth7"));
    is_at_this_line(host.wait(SHORT).route("10.9.0.0/24"));
    is_at_this_line(host.wait(SHORT).reachable("10.0.0.99"));
    is_at_this_line(host.wait(WAIT_LIMIT).route("no subnet"));
    is_at_this_line(host.wait(WAIT_LIMIT).reachable("nobody"));
    is_at_this_line(host.command("no-such-program").spawn());
    is_at_this_line(host.command("no-such-program").status());
    is_at_this_line(host.command("no-such-program").output());
    let child = host.command("sleep").arg("1000").spawn().unwrap();
    is_at_this_line(child.signal(1000));
    is_at_this_line(child.wait(SHORT).line(|_| false));
    is_at_this_line(child.wait(SHORT).listening(80));
    is_at_this_line(child.wait(SHORT).exit());
    let link = lab.links().next().unwrap();
    lab.power_off(client).unwrap();
    is_at_this_line(lab.power_off(client));
    is_at_this_line(link.down());
    is_at_this_line(link.up());
    is_at_this_line(host.netns());
    is_at_this_line(host.enter());
    is_at_this_line(host.command("true").into_std());
    is_at_this_line(host.wait(WAIT_LIMIT).listening(80));
}

/// As most tests fail: by `?`, which libtest prints.
#[test]
fn a_test_that_fails_names_its_line() {
    let text = must_fail("error_texts::fails_by_an_error");
    assert!(text.contains("wait for a socket on tcp port 80 of server: there is none"), "{text}");
    assert!(text.contains(concat!("\n  at ", file!(), ":")), "{text}");
}

#[netns_test]
#[ignore = "run by the test above"]
fn fails_by_an_error() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    lab[server].wait(SHORT).listening(80)
}

#[netns_test]
fn kinds_of_errors_are_distinct() {
    let (lab, client, server) = two_hosts();
    let kinds = |error: &Error| (error.is_timeout(), error.is_powered_off());
    let late = lab[server].wait(SHORT).listening(80).unwrap_err();
    assert_eq!(kinds(&late), (true, false));
    assert_eq!(std::io::Error::from(late).kind(), ErrorKind::TimedOut);
    let child = lab[client].command("sleep").arg("1000").spawn().unwrap();
    for late in [
        child.wait(SHORT).exit().unwrap_err(),
        child.wait(SHORT).line(|_| false).unwrap_err(),
        child.wait(SHORT).listening(80).unwrap_err(),
        lab[client].wait(SHORT).reachable("10.0.0.99").unwrap_err(),
        lab[client].wait(SHORT).link_up("eth7").unwrap_err(),
        lab[client].wait(SHORT).route("10.9.0.0/24").unwrap_err(),
    ] {
        assert_eq!(kinds(&late), (true, false), "{late}");
    }
    // These cannot come any more, however long one waits.
    child.kill().unwrap();
    assert_eq!(kinds(&child.wait(WAIT_LIMIT).line(|_| false).unwrap_err()), (false, false));
    assert_eq!(
        kinds(&lab[client].wait(WAIT_LIMIT).reachable("nobody").unwrap_err()),
        (false, false)
    );
    lab.power_off(server).unwrap();
    assert_eq!(kinds(&lab[server].wait(WAIT_LIMIT).listening(80).unwrap_err()), (false, true));
    assert_eq!(
        kinds(&lab[server].interface("eth0").add_addr("10.9.0.1/24").unwrap_err()),
        (false, true)
    );
}

#[netns_test]
fn a_listener_on_loopback_alone_is_not_reached() {
    let (lab, _, server) = two_hosts();
    let server = &lab[server];
    let _own = server.run(|| TcpListener::bind("127.0.0.1:8080")).unwrap();
    let _own_datagrams = server.run(|| UdpSocket::bind("[::1]:53")).unwrap();
    assert_eq!(
        server.wait(SHORT).listening(8080).unwrap_err().said(),
        "wait for a socket on tcp port 8080 of server: there is none within 30ms\n  \
         listening on server: tcp 127.0.0.1:8080, udp [::1]:53\n  \
         tcp 127.0.0.1:8080 listens on loopback only, which other nodes cannot reach; \
         bind it to 0.0.0.0 or ::, or wait for 127.0.0.1:8080 itself"
    );
    let message = server.wait(SHORT).bound(53).unwrap_err().said();
    assert!(message.contains("udp [::1]:53 is bound to loopback only"), "{message}");
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    server.wait(WAIT_LIMIT).listening(at("127.0.0.1:8080")).unwrap();
    server.wait(WAIT_LIMIT).bound(at("[::1]:53")).unwrap();
    let child = server.command("sleep").arg("1000").spawn().unwrap();
    let message = child.wait(SHORT).listening(8080).unwrap_err().said();
    assert!(message.contains("tcp 127.0.0.1:8080 listens on loopback only"), "{message}");
    child.wait(WAIT_LIMIT).listening(at("127.0.0.1:8080")).unwrap();
    // One more, which others reach.
    let own =
        server.run(|| std::net::ToSocketAddrs::to_socket_addrs("server:8080").unwrap().next());
    let _other = server.run(|| TcpListener::bind(own.unwrap())).unwrap();
    server.wait(WAIT_LIMIT).listening(8080).unwrap();
    child.wait(WAIT_LIMIT).listening(own.unwrap()).unwrap();
}

#[netns_test]
fn obstacles_are_named() {
    let mut net = Topology::new();
    let client = net.host("client");
    let routers = ["r0", "r1"].map(|name| net.router(name));
    let (switch, server) = (net.switch("switch"), net.host("server"));
    let bystander = net.host("bystander");
    net.link(client, routers[0]);
    net.link(routers[0], routers[1]).name("wan");
    net.link(routers[1], switch);
    net.link(server, switch).name("access");
    net.link(bystander, switch).name("aside");
    let lab = net.build().unwrap();
    let link = |name: &str| lab.links().find(|link| link.name() == Some(name)).unwrap();
    let in_the_way = || {
        let message = lab[client].wait(SHORT).reachable(&lab[server]).unwrap_err().said();
        let lines = message.lines().filter_map(|line| line.trim().strip_prefix("in the way: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // None of these is on the way.
    lab.power_off(bystander).unwrap();
    lab.partition(&[bystander], &[client, server]).unwrap();
    lab[client].wait(WAIT_LIMIT).reachable("server").unwrap();

    lab.partition(&[client], &[server]).unwrap();
    assert_eq!(in_the_way(), ["a partition lies between client and server"]);
    lab.heal().unwrap();
    lab.partition(&[routers[0]], &[routers[1]]).unwrap();
    lab.partition(&[client], &[routers[1]]).unwrap();
    assert_eq!(
        in_the_way(),
        ["a partition lies between client and r1", "a partition lies between r0 and r1"]
    );
    lab.heal().unwrap();

    link("wan").down().unwrap();
    let [message] = in_the_way().try_into().unwrap();
    assert!(message.starts_with("link `wan` (r0 to r1) is down: eth"), "{message}");
    link("wan").up().unwrap();
    // By a program, at one end.
    let ip = |words: &str| lab[server].command("ip").args(words.split(' ')).status().unwrap();
    assert!(ip("link set eth0 down").success());
    assert_eq!(in_the_way(), ["link `access` (server to switch) is down: eth0 of server is down"]);
    // With the routes that went with it.
    link("access").up().unwrap();
    lab[client].wait(WAIT_LIMIT).reachable("server").unwrap();

    for (off, message) in [
        (routers[1], vec!["link `wan` (r0 to r1) is down: r1 is powered off", "r1 is powered off"]),
        (switch, vec!["link `access` (server to switch) is down: switch is powered off"]),
        (server, vec!["server is powered off"]),
    ] {
        lab.power_off(off).unwrap();
        let found = in_the_way();
        for message in message {
            assert!(found.iter().any(|one| one == message), "{found:?}");
        }
        lab.power_on(off).unwrap();
        lab[client].wait(WAIT_LIMIT).reachable("server").unwrap();
    }
}

#[netns_test]
fn a_missing_program_is_named_with_its_search_path() {
    let (lab, client, _) = two_hosts();
    let message = lab[client].command("no-such-program").spawn().unwrap_err().said();
    let path = std::env::var("PATH").unwrap();
    // One of them may be closed to this user: EACCES, which says more.
    assert!(message.contains(&format!("\n  searched: PATH={path}")), "{message}");
    let message = lab[client].command("no-such-program").env("PATH", "/a:/b").spawn().unwrap_err();
    assert!(message.said().ends_with("\n  searched: PATH=/a:/b"), "{message}");
    let message = lab[client].command("no-such-program").env_clear().spawn().unwrap_err().said();
    assert!(message.contains("searched: the directories of the C library"), "{message}");
    let message = lab[client].command("/no/such/program").spawn().unwrap_err().said();
    assert!(!message.contains("searched"), "{message}");
}
