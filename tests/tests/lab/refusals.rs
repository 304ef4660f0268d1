//! Steps that the kernel refuses: the error names the object and the reason, and nothing is left.
//! And labs outside of any body: of root, and of a program under `unshare -Urn`.

use std::process::Command;

use netns_test::{Lab, NetNs, NodeId, Topology, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{
    LIMIT, again, eventually, fails, is_root, left_out, namespaces_of_threads, passes, scratch,
    stdout_of, text,
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
        assert!(message.contains("\n  cause: ") && message.contains("\n  fix: "), "{message}");
    }
    // Nothing is in the way of the next one.
    drop(net.build()?);
    Ok(())
}

/// Runs this test under a limit of a user namespace that is not the test's own.
fn limited(kind: &str, limit: u32, name: &str) -> String {
    let script =
        format!("echo {limit} > /proc/sys/user/max_{kind}_namespaces && exec \"$0\" \"$@\"");
    let around = ["unshare", "-Urnm", "sh", "-c", &script];
    fails(&mut again(&around, &["--exact", &format!("refusals::{name}")]))
}

/// The limit of the test's own user namespace is not the one that is reached.
#[test]
fn a_limit_around_a_lab_is_named_with_its_level() {
    // The test's own namespace is one; a lab takes mount namespaces before those of its hosts.
    for (kind, limits) in [("net", 2..4), ("mnt", 2..5), ("uts", 2..4)] {
        for limit in limits {
            let message = limited(kind, limit, "four_hosts");
            let file = format!("/proc/sys/user/max_{kind}_namespaces");
            for line in [
                " of a lab: ENOSPC".to_owned(),
                format!("cause: the limit on {kind} namespaces is reached, by "),
                ": not that of this user namespace, but of one around it\n".to_owned(),
                format!("    {file} = 2147483647\n"),
                format!("    {file}, around this test = {limit}\n"),
                format!("sysctl -w user.max_{kind}_namespaces=15000\n"),
                "/ENVIRONMENTS.md#max-namespaces\n".to_owned(),
            ] {
                let line = if message.contains("unshare the namespaces of ") {
                    line.replace(" of a lab: ENOSPC", "unshare the namespaces of host")
                } else {
                    line
                };
                assert!(message.contains(&line), "{kind} {limit}: {line:?} is not in\n{message}");
            }
            assert!(!message.contains("limit: "), "{message}");
        }
    }
}

/// Outside of a body it is unknown which of them is reached.
#[test]
fn a_limit_of_the_own_user_namespace_is_named() {
    let message = limited("net", 2, "four_hosts_outside");
    for line in [
        "unshare the namespaces of host",
        "cause: the limit on net namespaces is reached, by ",
        ": that of this user namespace, or of one around it\n",
        "    /proc/sys/user/max_net_namespaces = 2\n",
        "fix until reboot: sudo sysctl -w user.max_net_namespaces=15000\n",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

/// A right or a file that a lab needs is named.
#[test]
fn what_a_lab_lacks_is_named() {
    let name = ["--exact", "refusals::four_hosts_outside"];
    let script = "mount -t tmpfs none /etc && exec \"$0\" \"$@\"";
    let message = fails(&mut again(&["unshare", "-Urnm", "sh", "-c", script], &name));
    assert!(message.contains("Error: open /etc/hosts: ENOENT"), "{message}");
    assert!(message.contains("make an empty one"), "{message}");
    if is_root() {
        let around = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
        let message = fails(&mut again(&around, &name));
        assert!(message.contains("Error: set up lo of host"), "{message}");
        assert!(message.contains("the caller has no CAP_NET_ADMIN"), "{message}");
    }
}

fn build_four_hosts() -> netns_test::Result<Lab> {
    let mut net = Topology::new();
    for number in 0..4 {
        net.host(format!("host{number}"));
    }
    net.build()
}

#[netns_test]
#[ignore = "run by a_limit_around_a_lab_is_named_with_its_level"]
fn four_hosts() -> netns_test::Result<()> {
    build_four_hosts().map(drop)
}

#[test]
#[ignore = "run by a_limit_of_the_own_user_namespace_is_named"]
fn four_hosts_outside() -> netns_test::Result<()> {
    build_four_hosts().map(drop)
}

/// A lab needs more descriptors than a test alone.
#[test]
fn few_descriptors_are_named_by_each_step_of_a_lab() {
    let mut failed = 0;
    for limit in 16..26 {
        let around = ["prlimit", &format!("--nofile={limit}")];
        let output = again(&around, &["--exact", "refusals::four_hosts"]).output().unwrap();
        let message = text(&output);
        if output.status.success() {
            continue;
        }
        failed += 1;
        let limit = format!("    Max open files in /proc/self/limits = {limit}\n");
        for line in [": EMFILE", "cause: too many open files in one process\n", &limit] {
            assert!(message.contains(line), "{line:?} is not in\n{message}");
        }
    }
    assert!(failed > 0);
}

/// Each step that starts a thread or a process says so, with the limit.
#[test]
fn few_processes_are_named_by_each_step_of_a_lab() {
    let copy = scratch("few-processes-of-a-lab");
    let (own, program) = (std::env::current_exe().unwrap(), copy.join("tests"));
    // Not by this process: a child forked meanwhile would have the file open for writing.
    stdout_of("cp", &[own.to_str().unwrap(), program.to_str().unwrap()]);
    let mut failed = 0;
    for limit in 6..14 {
        // A user that has no other process.
        let around: &[&str] = if is_root() {
            &["setpriv", "--reuid=54323", "--regid=54323", "--clear-groups"]
        } else {
            &["unshare", "-U", "--map-current-user"]
        };
        let mut run = Command::new(around[0]);
        run.args(&around[1..]).args(["prlimit", &format!("--nproc={limit}")]).arg(&program);
        run.args(["--ignored", "--exact", "refusals::runs_a_program", "--test-threads=1"]);
        let output = run.env("RUST_BACKTRACE", "0").output().unwrap();
        let message = text(&output);
        if output.status.success() {
            continue;
        }
        failed += 1;
        assert!(message.contains("EAGAIN"), "{limit}: {message}");
        assert!(!message.contains("Error: read from"), "{limit}: {message}");
        // Memory is not what is short.
        let limit = format!("    Max processes in /proc/self/limits = {limit}\n");
        for line in [
            "\n  cause: this user may have no further processes\n",
            &limit,
            "\n  fix: ",
            "#process-limit\n",
        ] {
            assert!(message.contains(line), "{line:?} is not in\n{message}");
        }
    }
    std::fs::remove_dir_all(copy).unwrap();
    assert!(failed > 0);
}

#[netns_test]
#[ignore = "run by few_processes_are_named_by_each_step_of_a_lab"]
fn runs_a_program() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let host = net.host("host");
    let lab = net.build()?;
    let output = lab[host].command("hostname").output()?;
    assert_eq!(output.stdout, b"host\n");
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
