//! Steps that the kernel refuses: the error names the object and the reason, and nothing is left. And
//! labs outside of any body: of root, and of a program under `unshare -Urn`.

use std::process::Command;

use netns_test::{NetNs, NodeId, Topology, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{
    LIMIT, again, eventually, is_root, left_out, namespaces_of_threads, passes, stdout_of,
};

use crate::net::{Mesh, star};

/// The error of a lab that is built under the filter, by a thread that goes then.
fn refused(net: &Topology, filter: Filter) -> String {
    let before = namespaces_of_threads();
    let message = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            filter_this_thread(filter).unwrap();
            net.build().unwrap_err().to_string()
        });
        thread.join().unwrap()
    });
    // A thread that was joined is listed for a moment longer.
    eventually(LIMIT, "each thread is where it was", || {
        let now = namespaces_of_threads();
        if now == before { Ok(()) } else { Err((now, &before)) }
    });
    message
}

#[netns_test]
fn a_refused_step_names_its_object() -> netns_test::Result<()> {
    let (net, _) = star(3);
    let eperm = libc::EPERM;
    let cases = [
        (Filter::Call(libc::SYS_unshare, eperm), "unshare the mounts of a lab: EPERM"),
        (Filter::Call(libc::SYS_sethostname, eperm), "sethostname the hostname of "),
        (Filter::Call(libc::SYS_socket, libc::EMFILE), "open a netlink socket: EMFILE"),
        (Filter::Call(libc::SYS_fsopen, eperm), "mount the files of a lab: EPERM"),
        (Filter::Call(libc::SYS_move_mount, eperm), "mount the files of a lab: EPERM"),
        (Filter::Call(libc::SYS_setns, eperm), "setns back from the mounts of "),
    ];
    for (filter, expected) in cases {
        let message = refused(&net, filter);
        assert!(message.starts_with(expected), "{filter:?}: {message}");
        assert!(message.contains(": E"), "{filter:?}: {message}");
    }
    // Nothing is in the way of the next one.
    drop(net.build()?);
    Ok(())
}

#[netns_test]
fn netlinks_refusals_name_the_object() {
    let mut net = Topology::new();
    let (own, far) = (net.local(), net.host("far"));
    net.link(own, far).name("wan").interfaces("taken", "eth0");
    stdout_of("ip", &["link", "add", "taken", "type", "bridge"]);
    let message = net.build().unwrap_err().to_string();
    assert!(message.starts_with("create link `wan` (local to far): EEXIST"), "{message}");
    let mut net = Topology::new();
    let (own, far) = (net.local(), net.host("far"));
    net.link(own, far).addrs("192.0.2.1/24", "192.0.2.2/24");
    net.node(far).route("198.51.100.0/24", "192.0.2.1");
    stdout_of("ip", &["link", "add", "eth1", "type", "bridge"]);
    net.build().unwrap();
}

/// A lab outside of any body, which no other process sees.
fn builds_one() -> netns_test::Result<()> {
    let own = NetNs::current()?;
    let see = || {
        let links = stdout_of("ip", &["-d", "address"]);
        (links, std::fs::read_to_string("/proc/self/mountinfo").unwrap())
    };
    let before = see();
    let (net, nodes): (Topology, Vec<NodeId>) = star(3);
    let lab = net.build()?;
    assert_eq!(see(), before);
    Mesh::new(&lab, &nodes).all_pairs_talk();
    let name = lab[nodes[0]].run(|| stdout_of("hostname", &[]));
    assert_eq!(name, "h0\n");
    drop(lab);
    assert_eq!(see(), before);
    assert_eq!(NetNs::current()?, own);
    Ok(())
}

#[test]
fn root_needs_no_body() -> netns_test::Result<()> {
    if !is_root() {
        left_out("root_needs_no_body", "only root can do it");
        return Ok(());
    }
    if let Err(error) = NetNs::new() {
        left_out("root_needs_no_body", &error.to_string());
        return Ok(());
    }
    builds_one()
}

#[test]
fn nor_does_a_program_under_unshare() {
    passes(&mut again(&["unshare", "-Urn"], &["--exact", "refusals::without_a_body"]), 1);
}

#[test]
#[ignore = "run by nor_does_a_program_under_unshare"]
fn without_a_body() -> netns_test::Result<()> {
    builds_one()
}

/// Runs a test that is no body where there may be four more network namespaces.
fn with_four_networks(name: &str) -> Command {
    let script = "echo 5 > /proc/sys/user/max_net_namespaces && exec unshare -n \"$0\" \"$@\"";
    let around = ["unshare", "-Ur", "sh", "-c", script];
    again(&around, &["--exact", &format!("refusals::{name}")])
}

#[test]
fn a_limit_on_networks_is_named() {
    passes(&mut with_four_networks("more_than_four"), 1);
    passes(&mut with_four_networks("four_at_a_time"), 1);
}

#[test]
#[ignore = "run by a_limit_on_networks_is_named"]
fn more_than_four() -> netns_test::Result<()> {
    let message = star(10).0.build().unwrap_err().to_string();
    assert!(message.starts_with("unshare the namespaces of "), "{message}");
    assert!(message.contains(": ENOSPC (No space left on device)"), "{message}");
    assert!(message.contains("/proc/sys/user/max_net_namespaces"), "{message}");
    // What it had made is given back.
    star(3).0.build().map(drop)
}

/// A network counts until the kernel has taken it down, a moment after the lab has gone.
#[test]
#[ignore = "run by a_limit_on_networks_is_named"]
fn four_at_a_time() -> netns_test::Result<()> {
    for _ in 0..30 {
        let (net, nodes) = star(3);
        let lab = net.build()?;
        Mesh::new(&lab, &nodes).all_pairs_talk();
    }
    Ok(())
}
