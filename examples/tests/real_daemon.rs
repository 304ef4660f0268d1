//! A name server as Debian ships it on one host, and `dig` on another: unmodified programs on their
//! usual port, without root. `ci/setup` installs both.

use std::process::{Command, Stdio};

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, Topology, netns_test};

/// Not everybody has `/usr/sbin` in their `PATH`.
const DNSMASQ: &str = "/usr/sbin/dnsmasq";

#[netns_test(timeout = "30s")]
fn dig_asks_dnsmasq() -> netns_test::Result<()> {
    if !is_there(DNSMASQ, "--version") || !is_there("dig", "-v") {
        return Ok(());
    }
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    net.link(client, home);
    net.link(home, server);
    let lab = net.build()?;

    // What it writes is shown with a test that fails: `server| dnsmasq: started, ...`.
    let daemon = lab[server]
        .command(DNSMASQ)
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="])
        .args(["--no-resolv", "--no-hosts", "--log-queries", "--log-facility=-"])
        .args(["--address=/www.example.test/192.0.2.7"])
        .spawn()?;
    daemon.wait(WAIT_LIMIT).listening(53)?;
    lab[server].wait(WAIT_LIMIT).bound(53)?;

    let dig = |arguments: &str| dig(&lab, client, arguments);
    assert_eq!(dig("www.example.test"), (Some(0), "192.0.2.7\n".to_owned()));
    assert_eq!(dig("+tcp www.example.test"), (Some(0), "192.0.2.7\n".to_owned()));
    daemon.wait(WAIT_LIMIT).line(|line| line.contains("query[A] www.example.test from"))?;

    daemon.terminate()?;
    assert!(daemon.wait(WAIT_LIMIT).exit()?.success());
    // dig's number for "no answer".
    assert_eq!(dig("www.example.test").0, Some(9));
    Ok(())
}

/// How `dig` ends, and what it prints.
fn dig(lab: &Lab, client: netns_test::NodeId, arguments: &str) -> (Option<i32>, String) {
    let mut command = lab[client].command("dig");
    command.args(["+short", "+tries=1", "+timeout=2", "@server"]).args(arguments.split(' '));
    let output =
        command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("{error}"));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a program is installed; in CI it must be.
fn is_there(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok();
    if !found {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "{program} is not installed, and CI=true says that ci/setup has run");
        eprintln!("LEFT OUT: dig_asks_dnsmasq: there is no {program}");
    }
    found
}
