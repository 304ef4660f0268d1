//! Nodes that are powered off and on: what is gone, what the others see, and what comes back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{NetNs, NodeId, netns_test};
use netns_test_tests::Said as _;

use crate::net::{Mesh, PATIENCE, connection, row, star, switched, topology};
use crate::oracle::{self, ip, text};

const MOMENT: Duration = Duration::from_millis(200);

#[netns_test]
fn a_host_comes_back_as_planned() -> netns_test::Result<()> {
    let (net, nodes) = row(2, false);
    let lab = net.build()?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    // Hosts and routers.
    for &node in &nodes {
        let before = lab[node].netns()?.id();
        lab[node].interface("eth0").add_addr("192.0.2.1/24")?;
        lab[node].sysctl("net.ipv4.tcp_syn_retries", 1)?;
        lab.power_off(node)?;
        assert!(!lab[node].is_on());
        lab.power_on(node)?;
        assert!(lab[node].is_on());
        assert_ne!(lab[node].netns()?.id(), before);
        let sysctl = || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries");
        assert_eq!(lab[node].run(sysctl)?, "6\n");
        let hostname = lab[node].run(|| netns_test_tests::stdout_of("hostname", &[]));
        assert_eq!(hostname.trim(), lab[node].name());
        // At once.
        Mesh::new(&lab, &nodes).all_pairs_talk();
        oracle::check(&lab);
    }
    Ok(())
}

#[netns_test]
fn links_lose_their_carrier() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let router = nodes[2];
    let states = || {
        let all = ip(&lab[router], &["link", "show"]);
        let cables = all.iter().filter(|link| text(link, "ifname").starts_with("eth"));
        cables.map(|link| text(link, "operstate").to_owned()).collect::<Vec<_>>()
    };
    lab.power_off(nodes[0])?;
    assert!(states()[0] != "UP" && states()[1] == "UP", "{:?}", states());
    lab.power_on(nodes[0])?;
    assert_eq!(states(), ["UP", "UP"]);
    lab.power_off(router)?;
    lab.power_off(nodes[1])?;
    // The other ends have no peer.
    lab.power_on(router)?;
    lab.power_on(nodes[1])?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

#[netns_test]
fn all_that_is_on_it_is_gone() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    let host = &lab[nodes[0]];
    let deaf =
        ["-c", "trap '' TERM INT HUP; sh -c 'trap \"\" TERM; sleep 1000' & echo ready; sleep 1000"];
    let child = host.command("sh").args(deaf).spawn()?;
    child.wait(WAIT_LIMIT).line(|line| line == "ready")?;
    let task = host.spawn(std::future::pending::<()>());
    let old = host.netns()?.id();
    lab.power_off(nodes[0])?;
    let status = child.wait(WAIT_LIMIT).exit()?;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    let ended = lab[nodes[1]].block_on(task);
    assert!(ended.unwrap_err().is_cancelled());
    // Its programs, also those that are nobody's child here.
    assert!(NetNs::list()?.iter().all(|listed| listed.id != old));
    lab.power_on(nodes[0])?;
    host.command("true").status()?;
    host.block_on(std::future::ready(()));
    Ok(())
}

#[netns_test]
fn a_program_with_a_network_of_its_own_is_killed() -> netns_test::Result<()> {
    let (net, nodes) = switched(1);
    let lab = net.build()?;
    let inside = ["-n", "sh", "-c", "echo ready; exec sleep 1000"];
    let child = lab[nodes[0]].command("unshare").args(inside).spawn()?;
    child.wait(WAIT_LIMIT).line(|line| line == "ready")?;
    lab.power_off(nodes[0])?;
    let status = child.wait(WAIT_LIMIT).exit()?;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    Ok(())
}

/// A killed program's connections would be closed; a host without power says nothing.
#[netns_test]
fn a_power_cut_sends_no_fin_and_no_rst() -> netns_test::Result<()> {
    let (net, nodes) = switched(2);
    let lab = net.build()?;
    for address in lab.plan().addresses_of(nodes[1]) {
        let listening = "import socket, sys\n\
            listener = socket.create_server((sys.argv[1], 80), family=\
            socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n\
            one, _ = listener.accept()\none.send(b'x')\nlistener.accept()\n";
        let child = lab[nodes[1]]
            .command("python3")
            .args(["-c", listening])
            .arg(address.to_string())
            .spawn()?;
        child.wait(WAIT_LIMIT).listening(80)?;
        let mut near = lab[nodes[0]].run(|| TcpStream::connect((*address, 80)))?;
        near.set_read_timeout(Some(PATIENCE))?;
        near.read_exact(&mut [0])?;
        lab.power_off(nodes[1])?;
        near.write_all(b"hello")?;
        near.set_read_timeout(Some(MOMENT))?;
        let error = near.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        lab.power_on(nodes[1])?;
        // Who is on again knows nothing of the connection.
        near.set_read_timeout(Some(PATIENCE))?;
        let error = near.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    Ok(())
}

#[netns_test]
fn nothing_runs_on_what_is_off() -> netns_test::Result<()> {
    let mut net = topology();
    let (own, host) = (net.local(), net.host("host"));
    let link = net.link(own, host).id();
    let lab = net.build()?;
    let message = lab.power_off(own).unwrap_err().said();
    assert_eq!(message, "power off local: it is the caller's own network");
    let mut command = lab[host].command("true");
    command.status()?;
    lab.power_off(host)?;
    let is_off = "use host: it is powered off";
    let message = [
        lab.power_off(host).unwrap_err(),
        lab[host].netns().unwrap_err(),
        lab[host].enter().map(drop).unwrap_err(),
        lab[host].sysctl("net.ipv4.ip_forward", 1).unwrap_err(),
        lab[host].interface("eth0").add_addr("10.0.0.9/24").unwrap_err(),
        lab[host].wait(WAIT_LIMIT).listening(80).unwrap_err(),
        lab[host].command("true").status().unwrap_err(),
        command.status().unwrap_err(),
        lab[link].down().unwrap_err(),
        lab.move_link(link, host, own).unwrap_err(),
    ];
    for (at, error) in message.iter().enumerate() {
        let expected = match at {
            0 => "power off host: it is off",
            9 => "move link local to host: both ends would be at local",
            _ => is_off,
        };
        assert_eq!(error.said(), expected, "{at}");
        assert!(error.is_powered_off() || [0, 9].contains(&at), "{at}");
    }
    let work = || lab[host].run(|| ());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "node host: it is powered off");
    lab.power_on(host)?;
    let message = command.status().unwrap_err().said();
    assert!(
        message.starts_with("start true on host: it was prepared before the node"),
        "{message}"
    );
    Mesh::new(&lab, &[own, host]).all_pairs_talk();
    // Off when the lab ends.
    lab.power_off(host)
}

/// Links of a switch are separate while it is off.
#[netns_test]
fn a_switch_comes_back() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    let switch = lab.plan().id(0);
    let mesh = Mesh::new(&lab, &nodes);
    mesh.all_pairs_talk();
    lab.power_off(switch)?;
    mesh.send(0, 1);
    mesh.has_nothing(1);
    lab.power_on(switch)?;
    drop(mesh);
    Mesh::new(&lab, &nodes).all_pairs_talk();
    oracle::check(&lab);
    Ok(())
}

#[netns_test]
fn a_partition_outlives_a_power_cut() -> netns_test::Result<()> {
    let (net, nodes) = switched(3);
    let lab = net.build()?;
    lab.partition(&nodes[..1], &nodes[1..2])?;
    for node in [nodes[0], nodes[1], nodes[0]] {
        lab.power_off(node)?;
        lab.power_on(node)?;
        let mesh = Mesh::new(&lab, &nodes);
        mesh.talks(0, 2);
        mesh.talks(2, 1);
        mesh.send(0, 1);
        mesh.send(1, 0);
        mesh.has_nothing(0);
        mesh.has_nothing(1);
    }
    // Also one that is made, and healed, while a node is off.
    lab.power_off(nodes[2])?;
    lab.partition(&nodes[2..], &nodes[..2])?;
    lab.power_on(nodes[2])?;
    let mesh = Mesh::new(&lab, &nodes);
    mesh.send(2, 1);
    mesh.has_nothing(1);
    lab.power_off(nodes[2])?;
    lab.heal()?;
    lab.power_on(nodes[2])?;
    drop(mesh);
    Mesh::new(&lab, &nodes).all_pairs_talk();
    Ok(())
}

fn power_cycles(nodes: &[NodeId], lab: &netns_test::Lab) -> netns_test::Result<()> {
    nodes.iter().try_for_each(|node| {
        lab.power_off(*node)?;
        lab.power_on(*node)
    })
}

/// Ends that have been moved to a node come back with it, and those that have been moved away do
/// not.
#[netns_test]
fn moved_links_stay_where_they_are() -> netns_test::Result<()> {
    let mut net = topology();
    let (one, two) = (net.switch("one"), net.switch("two"));
    let [a, b] = ["a", "b"].map(|name| net.host(name));
    let link = net.link(a, one).id();
    net.link(b, two);
    let lab = net.build()?;
    lab.move_link(link, one, two)?;
    lab[a].interface(link).set_addr("192.0.2.1/24")?;
    lab[b].interface("eth0").set_addr("192.0.2.2/24")?;
    drop(connection(&lab, a, b, "192.0.2.2".parse().unwrap()));
    power_cycles(&[one, two], &lab)?;
    drop(connection(&lab, a, b, "192.0.2.2".parse().unwrap()));
    let ports = ip(&lab[two], &["link", "show", "master", "br0"]);
    assert_eq!(ports.len(), 2, "{ports:?}");
    // To a host, which has two then.
    lab.move_link(link, two, b)?;
    power_cycles(&[b, a, one, two], &lab)?;
    assert_eq!(text(&ip(&lab[b], &["link", "show", "a"])[0], "operstate"), "UP");
    Ok(())
}
