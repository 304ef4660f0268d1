//! The `Debug` texts of a lab and of what it is made of: short enough for an assertion's message.

use std::fmt::Debug;

use netns_test::{Topology, netns_test};

/// The most characters of a text about one object.
const SHORT: usize = 200;

#[track_caller]
fn is_short(what: &dyn Debug, names: &[&str]) {
    for text in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(text.len() <= SHORT, "{} characters: {text}", text.len());
        for name in names {
            assert!(text.contains(name), "without {name}: {text}");
        }
    }
}

#[netns_test]
fn objects_of_a_lab_are_described_in_short() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, router, b) = (net.host("a"), net.router("router"), net.host("b"));
    let first = net.link(a, router).id();
    net.link(router, b).name("wan");
    let lab = net.build()?;
    is_short(&lab, &["Lab", "3 (a, router, b)", "2 (a to router, wan)"]);
    is_short(&lab[a], &["\"a\"", "Host", "true"]);
    is_short(&lab[first], &["link a to router"]);
    is_short(&lab.nodes().nth(1).unwrap(), &["\"router\"", "Router"]);
    is_short(&lab[a].wait(std::time::Duration::from_secs(1)), &["\"a\"", "1s"]);
    is_short(&lab[a].enter()?, &["NodeGuard"]);
    let mut command = lab[a].command("sleep");
    command.arg("60");
    is_short(&command, &["sleep", "60", "\"a\""]);
    let child = command.spawn()?;
    is_short(&child, &["sleep", "\"a\"", &child.id().to_string()]);
    lab.power_off(b)?;
    is_short(&lab[b], &["\"b\"", "false"]);
    Ok(())
}

/// A large lab, too: names of many nodes are counted.
#[netns_test]
fn a_large_lab_is_described_in_short() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    for number in 0..20 {
        let host = net.host(format!("a-host-with-a-long-name-{number}"));
        net.link(host, switch);
    }
    let lab = net.build()?;
    let text = format!("{lab:?}");
    assert!(text.len() <= 4 * SHORT, "{} characters: {text}", text.len());
    Ok(())
}
