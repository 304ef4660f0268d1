//! Calls on a running lab that cannot be meant: refused with what helps, and nothing is changed.

use std::net::{Ipv4Addr, UdpSocket};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::time::Duration;

use netns_test::lab::NodeId;
use netns_test::lab::WAIT_LIMIT;
use netns_test::{Topology, netns_test};
use netns_test_tests::{LIMIT, Said as _, eventually};

use super::two_hosts;

/// Also as root outside of a user namespace it would be the machine's.
#[netns_test]
fn a_sysctl_outside_of_net_is_refused() {
    let (lab, client, _) = two_hosts();
    let message = |name: &str| lab[client].sysctl(name, 60).unwrap_err().said();
    let only = "only those below `net.` are the node's own; give one of these";
    assert_eq!(message("vm.swappiness"), format!("write `vm.swappiness` of client: {only}"));
    assert_eq!(message("kernel/hostname"), format!("write `kernel/hostname` of client: {only}"));
    let directory = netns_test_tests::scratch("sysctl");
    let file = directory.join("file");
    std::fs::write(&file, "before").unwrap();
    let path = format!("../..{}", file.display());
    assert!(message(&path).contains("a part of it is empty"), "{}", message(&path));
    assert!(message(&format!("net/{path}")).contains("a part of it is empty"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
    std::fs::remove_dir_all(&directory).unwrap();
    lab[client].sysctl("net.ipv4.ip_forward", 1).unwrap();
}

#[netns_test]
fn a_route_does_not_lead_to_the_host_itself() {
    let (lab, client, server) = two_hosts();
    let own = lab.plan().address_of(client).unwrap();
    let message = lab[client].add_route("192.0.2.0/24", client).unwrap_err().said();
    let advice = "pass the address of a neighbour, or a link for a destination on that link";
    let expected = format!(
        "add the route to 192.0.2.0/24 of client: the gateway is the node itself; {advice}"
    );
    assert_eq!(message, expected);
    let message = lab[client].add_route("192.0.2.0/24", own).unwrap_err().said();
    assert!(message.ends_with(&format!("{own} is the node's own address; {advice}")), "{message}");
    let message = lab[client].add_route("default", server).unwrap_err().said();
    assert!(message.contains("write the default route as 0.0.0.0/0 or ::/0"), "{message}");
}

/// Multicast and broadcast of hosts that have no default route, by a route in the topology and by
/// one of the running lab.
#[netns_test]
fn a_route_by_a_link_leads_to_its_segment() -> netns_test::Result<()> {
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    let mut net = Topology::new();
    let (a, b, switch) = (net.host("a"), net.host("b"), net.switch("s"));
    let (of_a, of_b) = (net.link(a, switch).id(), net.link(b, switch).id());
    net.node(a).route("224.0.0.0/4", of_a);
    let lab = net.build()?;
    lab[b].add_route("224.0.0.0/4", of_b)?;
    lab[b].add_route("fd00:99::/64", of_b)?;
    lab[a].add_route("255.255.255.255/32", of_a)?;
    let listener = lab[b].run(|| -> std::io::Result<_> {
        let listener = UdpSocket::bind((GROUP, 5353))?;
        listener.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)?;
        listener.set_read_timeout(Some(crate::net::PATIENCE))?;
        Ok(listener)
    })?;
    lab[a].run(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"who", (GROUP, 5353)))?;
    let mut buffer = [0; 8];
    let (length, from) = listener.recv_from(&mut buffer)?;
    assert_eq!((&buffer[..length], Some(from.ip())), (&b"who"[..], lab.plan().address_of(a)));
    let everybody = lab[b].run(|| UdpSocket::bind("0.0.0.0:67"))?;
    everybody.set_read_timeout(Some(crate::net::PATIENCE))?;
    lab[a].run(|| -> std::io::Result<usize> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        socket.send_to(b"all", (Ipv4Addr::BROADCAST, 67))
    })?;
    assert_eq!(everybody.recv_from(&mut buffer)?.0, 3);
    let refused = |at: NodeId, to: &str, link| lab[at].add_route(to, link).unwrap_err().said();
    let message = refused(a, "10.0.0.0/24", of_a);
    assert!(
        message.ends_with("it is the link's own subnet, to which there is a route"),
        "{message}"
    );
    let message = refused(switch, "10.9.0.0/24", of_a);
    assert!(message.ends_with("the node has no address of its family on the link"), "{message}");
    let message = lab[a].add_route("10.9.0.0/24", of_b).unwrap_err().said();
    assert!(message.starts_with("find the end of link"), "{message}");
    Ok(())
}

/// A prompt: the incomplete line is shown.
#[netns_test]
fn an_incomplete_line_is_named() -> netns_test::Result<()> {
    let (lab, client, _) = two_hosts();
    let child =
        lab[client].command("sh").args(["-c", "printf 'ready> '; exec sleep 100"]).spawn()?;
    // The first waits may be over before it has written.
    eventually(LIMIT, "the part of a line is in the error", || {
        let short = child.wait(Duration::from_millis(100));
        let message = short.line(|line| line.contains("ready")).unwrap_err().said();
        let is_early = message.contains("it has printed nothing");
        assert!(is_early || message.contains("ready> "), "{message}");
        message.contains("unfinished line: ready> ")
    });
    Ok(())
}

#[netns_test]
fn a_node_is_waited_for_by_its_id() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    lab[client].wait(WAIT_LIMIT).reachable(server)?;
    let mut other = Topology::new();
    other.host("a");
    let stranger = other.host("b");
    let message = lab[client].wait(WAIT_LIMIT).reachable(stranger).unwrap_err().said();
    assert!(message.ends_with("it is not in the lab: its id is of another"), "{message}");
    Ok(())
}

/// A call that panics names the caller's line.
#[netns_test]
fn panics_name_the_callers_line() {
    static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let (lab, client, _) = two_hosts();
    lab.power_off(client).unwrap();
    let stranger = Topology::new().host("b");
    panic::set_hook(Box::new(|info| MESSAGES.lock().unwrap().push(info.to_string())));
    let calls: [&dyn Fn(); 6] = [
        &|| lab[client].run(|| ()),
        &|| drop(lab[client].spawn(async {})),
        &|| drop(lab[client].spawn_thread(|| ())),
        &|| lab[client].block_on(async {}),
        &|| drop(lab[client].tokio_command("true")),
        &|| drop(lab[stranger].netns()),
    ];
    for call in calls {
        assert!(panic::catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    drop(panic::take_hook());
    let message = std::mem::take(&mut *MESSAGES.lock().unwrap());
    assert_eq!(message.len(), calls.len());
    assert!(message.iter().all(|text| text.contains(file!())), "{message:#?}");
    assert!(message[5].contains("this node is not in the lab: its id is of another topology"));
}

/// The renamed interface is named, and not another of its old name.
#[netns_test]
fn a_renamed_node_is_named_by_its_old_name() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let switch = net.switch("s");
    let a = net.host("a");
    net.link(a, switch);
    let mut lab = net.build()?;
    net.node(a).name("b");
    let message = lab.extend(&net).unwrap_err().said();
    let expected =
        "extend a: its name or its kind would change: extend() only adds; build another lab";
    assert_eq!(message, expected);
    Ok(())
}

/// Tests that return `std::io::Result` can build labs.
#[netns_test]
fn errors_go_into_those_of_io() -> std::io::Result<()> {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build()?;
    let error = std::io::Error::from(lab[a].interface("nope").add_addr("10.0.0.1/24").unwrap_err());
    assert!(error.to_string().starts_with("find interface nope of a"), "{error}");
    let error: std::io::Error = lab[a].sysctl("net.ipv4.nope", 1).unwrap_err().into();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let message = error.to_string();
    assert_eq!(netns_test::Error::from(error).to_string(), message);
    Ok(())
}
