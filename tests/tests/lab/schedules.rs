//! Schedules that run beside the test.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use netns_test::lab::{Impairment, Schedule, WAIT_LIMIT};
use netns_test::{Topology, netns_test};
use netns_test_tests::{Said as _, eventually};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

#[netns_test]
fn steps_are_taken_until_the_schedule_is_stopped() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wire = net.link(client, server).id();
    let lab = net.build()?;
    let _listener = lab[server].run(|| TcpListener::bind("[::]:80"))?;
    let connect = || lab[client].run(|| TcpStream::connect("server:80"));
    connect()?;
    let schedule = Schedule::new().at(10 * MS, wire.down()).at(HOUR, wire.up());
    let running = lab.start_schedule(&schedule)?;
    let is_down = || connect().is_err_and(|error| error.kind() == ErrorKind::NetworkUnreachable);
    eventually(WAIT_LIMIT, "the link goes down", is_down);
    assert!(!running.is_finished());
    running.stop()?;
    // A change that was made stays.
    assert!(connect().is_err());
    lab[wire].up()?;
    connect()?;
    Ok(())
}

#[netns_test]
fn all_steps_are_done_when_the_wait_returns() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wire = net.link(client, server).id();
    let lab = net.build()?;
    let schedule = Schedule::new()
        .flap(wire, Duration::ZERO, 5 * MS, 5 * MS, 3)
        .partition(35 * MS, 5 * MS, [client], [server])
        .at(45 * MS, server.power_off())
        .at(50 * MS, server.power_on());
    let running = lab.start_schedule(&schedule)?;
    running.wait()?;
    assert!(lab[server].is_on());
    lab[client].wait(WAIT_LIMIT).reachable(server)?;
    lab[server].wait(WAIT_LIMIT).reachable(client)?;
    // The network is as before: a schedule without steps ends at once.
    lab.start_schedule(&Schedule::new())?.wait()?;
    Ok(())
}

/// Only the partition of the schedule is healed by it.
#[netns_test]
fn a_schedule_heals_its_own_partitions() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let switch = net.switch("switch");
    let [a, b, c] = ["a", "b", "c"].map(|name| net.host(name));
    for host in [a, b, c] {
        net.link(host, switch);
    }
    let lab = net.build()?;
    let _server = lab[a].run(|| TcpListener::bind("[::]:80"))?;
    let connect = |from: netns_test::NodeId| {
        lab[from].run(|| TcpStream::connect_timeout(&lab_address(&lab, a), 300 * MS))
    };
    let cut = lab.partition(&[a], &[b])?;
    let schedule = Schedule::new().partition(Duration::ZERO, MS, [a], [c]);
    lab.start_schedule(&schedule)?.wait()?;
    connect(c)?;
    assert_eq!(connect(b).unwrap_err().kind(), ErrorKind::TimedOut);
    cut.heal()?;
    connect(b)?;
    Ok(())
}

fn lab_address(lab: &netns_test::Lab, node: netns_test::NodeId) -> std::net::SocketAddr {
    (lab.plan().address_of(node).expect("an address"), 80).into()
}

#[netns_test]
fn a_step_that_fails_is_an_error_of_the_wait() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let host = net.host("host");
    let lab = net.build()?;
    let twice = Schedule::new().at(MS, host.power_off()).at(2 * MS, host.power_off());
    let message = lab.start_schedule(&twice)?.wait().unwrap_err().said();
    assert!(message.contains("power off host: it is off"), "{message}");
    lab.power_on(host)?;
    Ok(())
}

#[netns_test]
#[should_panic = "a step of the schedule has failed: power off host: it is off"]
fn a_step_that_fails_unseen_fails_the_test() {
    let mut net = Topology::new();
    let host = net.host("host");
    let lab = net.build().unwrap();
    let twice = Schedule::new().at(MS, host.power_off()).at(2 * MS, host.power_off());
    let running = lab.start_schedule(&twice).unwrap();
    eventually(WAIT_LIMIT, "the schedule ends", || running.is_finished());
}

#[netns_test]
fn mistakes_are_found_before_the_first_step() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wire = net.link(client, server).name("wire").id();
    let lab = net.build()?;
    let mut other = Topology::new();
    let (far, near) = (other.host("far"), other.host("near"));
    let unknown = other.link(far, near).id();
    let message = |schedule: Schedule| {
        let first = schedule.at(Duration::ZERO, wire.down());
        lab.start_schedule(&first).map(drop).unwrap_err().said()
    };
    assert!(message(Schedule::new().at(HOUR, unknown.down())).contains("another topology"));
    assert!(message(Schedule::new().at(HOUR, far.power_off())).contains("another topology"));
    let direct = message(Schedule::new().at(HOUR, wire.impair(Impairment::new().loss("1%"))));
    assert!(direct.contains("wire") && direct.contains("impairable"), "{direct}");
    let both = message(Schedule::new().partition(HOUR, HOUR, [client], [client]));
    assert!(both.contains("both sides"), "{both}");
    lab[client].wait(WAIT_LIMIT).reachable(server)?;
    Ok(())
}
