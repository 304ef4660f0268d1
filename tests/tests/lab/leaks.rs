//! That nothing is left of labs: whole ones, refused ones, and those of tests that panic.

use std::collections::BTreeSet;

use netns_test::{NetNs, Topology, netns_test};
use netns_test_tests::{LIMIT, Resources, call_all, eventually, many, passes};

use crate::must_fail;
use crate::net::{Mesh, row, star};

/// Returns the resources of this process, once it sees one network namespace and two threads: the
/// threads of a runtime end a moment after it.
fn at_rest() -> Resources {
    eventually(LIMIT, "this process is at rest", || {
        let held = Resources::of_process();
        if held.networks().len() == 1 && held.threads().len() == 2 { Ok(held) } else { Err(held) }
    })
}

#[netns_test]
fn a_lab_leaves_nothing() -> netns_test::Result<()> {
    // What libraries open once.
    let (net, nodes) = star(2);
    net.build()?[nodes[0]].block_on(std::future::ready(()));
    let before = at_rest();
    for round in 0..20 {
        let (net, nodes) = row(3, round % 2 == 0);
        let lab = net.build()?;
        Mesh::new(&lab, &nodes).all_pairs_talk();
        lab.partition(&nodes[3..4], &nodes[4..])?;
        let at_work = lab[nodes[3]].spawn(std::future::pending::<()>());
        let mut sleeper = lab[nodes[4]].run(|| {
            let mut sleep = std::process::Command::new("sleep");
            sleep.arg("1000").spawn().unwrap()
        });
        drop(lab);
        drop(at_work);
        // By SIGKILL.
        assert!(!sleeper.wait().unwrap().success());
        before.come_back(LIMIT, Resources::of_process);
    }
    Ok(())
}

#[netns_test]
fn a_refused_lab_leaves_nothing() -> netns_test::Result<()> {
    drop(star(2).0.build()?);
    let before = Resources::of_process();
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b).interfaces("same", "same");
    net.node(b).sysctl("net.ipv4.no_such_thing", 1);
    for _ in 0..5 {
        let message = net.build().unwrap_err().to_string();
        let expected = "write /proc/sys/net/ipv4/no_such_thing of b: ENOENT";
        assert!(message.starts_with(expected), "{message}");
        before.come_back(LIMIT, Resources::of_process);
    }
    Ok(())
}

/// The last step is refused when all else is there, part of it in the caller's own network.
#[netns_test]
fn a_lab_with_the_caller_that_is_refused_leaves_nothing() -> netns_test::Result<()> {
    let ip = || netns_test_tests::stdout_of("ip", &["-d", "address"]);
    let mut net = Topology::new();
    let (own, far) = (net.local(), net.host("far"));
    net.link(own, far);
    net.node(own).addr("lo", "192.0.2.1/32");
    drop(net.build()?);
    net.node(far).sysctl("net.ipv4.conf.eth0.no_such_thing", 1);
    let (before, addresses) = (Resources::of_process(), ip());
    for _ in 0..5 {
        let message = net.build().unwrap_err().to_string();
        let expected = "write /proc/sys/net/ipv4/conf/eth0/no_such_thing of far: ENOENT";
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(ip(), addresses);
        before.come_back(LIMIT, Resources::of_process);
    }
    Ok(())
}

/// An interface that the user made under a name of the lab stays.
#[netns_test]
fn an_interface_of_the_caller_stays() -> netns_test::Result<()> {
    let ip = |words: &[&str]| netns_test_tests::stdout_of("ip", words);
    let mut net = Topology::new();
    let (own, far) = (net.local(), net.host("far"));
    net.link(own, far);
    let lab = net.build()?;
    ip(&["link", "delete", "eth0"]);
    ip(&["link", "add", "eth0", "type", "bridge"]);
    drop(lab);
    ip(&["link", "show", "eth0"]);
    let message = net.build().unwrap_err().to_string();
    assert!(message.starts_with("create link local to far: EEXIST"), "{message}");
    ip(&["link", "show", "eth0"]);
    Ok(())
}

#[test]
fn panics_name_the_node() {
    let cases = [
        ("panics_in_a_closure", "thread 'h0'"),
        ("panics_in_a_task", "node h0: a task has panicked"),
        ("panics_in_a_thread", "node h0: a thread has panicked"),
        ("panics_outside_of_the_lab", "of the test itself"),
    ];
    for (name, message) in cases {
        let text = must_fail(&format!("leaks::{name}"));
        assert!(text.contains(message), "{text}");
        assert!(text.contains("1 failed"), "{text}");
    }
}

#[netns_test]
#[ignore = "run by panics_name_the_node"]
fn panics_in_a_closure() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let work = || lab[nodes[0]].run(|| panic!("of the {}", "closure"));
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "node h0: of the closure");
    lab[nodes[0]].run(|| panic!("of the closure"))
}

#[netns_test]
#[ignore = "run by panics_name_the_node"]
fn panics_in_a_task() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let task = lab[nodes[0]].spawn(async { panic!("of the task") });
    assert!(lab[nodes[0]].block_on(task).unwrap_err().is_panic());
    Ok(())
}

#[netns_test]
#[ignore = "run by panics_name_the_node"]
fn panics_in_a_thread() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let thread = lab[nodes[0]].spawn_thread(|| panic!("of the thread"));
    assert!(thread.join().is_err());
    Ok(())
}

#[netns_test]
#[ignore = "run by panics_name_the_node"]
fn panics_outside_of_the_lab() -> netns_test::Result<()> {
    let (net, nodes) = star(2);
    let lab = net.build()?;
    let _sleeper = lab[nodes[0]].run(|| std::process::Command::new("sleep").arg("1000").spawn());
    panic!("of the test itself");
}

/// In a body, which sees its own processes alone.
#[netns_test(timeout = "10m")]
fn a_hundred_tests_with_a_lab_each() {
    let networks = || {
        let all = NetNs::list().unwrap().into_iter().map(|one| one.id);
        all.collect::<BTreeSet<_>>()
    };
    let before = networks();
    passes(&mut many(&[], "leaks::calls_a_hundred_tests", 8), 1);
    eventually(LIMIT, "no network of theirs is left", || {
        let now = networks();
        if now == before { Ok(()) } else { Err((now, &before)) }
    });
}

#[test]
#[ignore = "run by a_hundred_tests_with_a_lab_each"]
fn calls_a_hundred_tests() {
    call_all(HUNDRED.as_flattened());
}

netns_test_tests::hundred_tests!(crate::leaks::builds_a_lab);

fn builds_a_lab() -> netns_test::Result<()> {
    let (net, nodes) = row(2, false);
    let lab = net.build()?;
    Mesh::new(&lab, &nodes).all_pairs_talk();
    Ok(())
}
