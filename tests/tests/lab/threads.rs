//! A process is where its threads are: nothing of a lab outlives it, whatever `/proc/PID` says of the
//! process.

use netns_test::{Lab, NetNs, NodeId, netns_test};
use netns_test_tests::remnant::Remnant;
use netns_test_tests::{LIMIT, again, eventually, passes};

use crate::{must_fail, two_hosts};

/// A process whose main thread has ended, and one that has only its second thread on the host.
fn remnants(lab: &Lab, node: NodeId) -> [Remnant; 2] {
    let network = lab[node].netns().unwrap();
    let elsewhere = NetNs::current().unwrap();
    let second = Remnant::with_second_thread(move || network.set_current_thread().unwrap());
    assert_eq!(NetNs::from_pid(second.id()).unwrap(), elsewhere);
    [lab[node].run(Remnant::without_main_thread), second]
}

fn end_with_the_lab() {
    let (lab, _, server) = two_hosts();
    let left = remnants(&lab, server);
    drop(lab);
    assert_eq!(left.map(Remnant::was_killed), [true, true]);
}

fn end_with_the_power() {
    let (lab, _, server) = two_hosts();
    for _ in 0..2 {
        let left = remnants(&lab, server);
        lab.power_off(server).unwrap();
        assert_eq!(left.map(Remnant::was_killed), [true, true]);
        lab.power_on(server).unwrap();
    }
}

#[netns_test]
fn what_lives_in_a_second_thread_ends_with_the_lab() {
    end_with_the_lab();
}

#[netns_test]
fn what_lives_in_a_second_thread_ends_with_the_power() {
    end_with_the_power();
}

#[test]
fn in_a_plain_program_it_ends_with_the_lab_too() {
    for around in [&["unshare", "-Urnm"][..], &["unshare", "-Urnmpf", "--mount-proc"]] {
        passes(&mut again(around, &["--exact", "threads::plain_program"]), 1);
    }
}

/// Not a body of the harness, whose end would end it.
#[test]
#[ignore = "run by the test above"]
fn plain_program() {
    end_with_the_lab();
    end_with_the_power();
}

#[netns_test]
fn the_network_of_a_process_is_that_of_a_thread_that_lives() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let left = lab[server].run(Remnant::without_main_thread);
    let pid = left.id();
    assert_eq!(NetNs::from_pid(pid)?, lab[server].netns()?);
    let message = NetNs::from_thread(pid, pid).unwrap_err().to_string();
    assert!(message.contains(&format!("thread {pid} of process {pid} has ended")), "{message}");
    Ok(())
}

#[netns_test]
fn a_zombie_differs_from_an_unknown_process() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    eventually(LIMIT, "the process has ended", || NetNs::from_pid(pid).is_err());
    let message = NetNs::from_pid(pid).unwrap_err().to_string();
    assert!(message.contains(&format!("process {pid} has ended")), "{message}");
    assert!(child.wait().unwrap().success());
    let message = NetNs::from_pid(pid).unwrap_err().to_string();
    assert!(message.contains(&format!("there is no process {pid}")), "{message}");
}

#[test]
fn a_remnant_without_a_main_thread_is_named() {
    let text = must_fail("threads::leaves_a_second_thread");
    let message = text.lines().find(|line| line.contains("the test left processes behind"));
    let message = message.unwrap_or_else(|| panic!("{text}"));
    assert!(message.contains("leaver (process "), "{message}");
    assert!(message.ends_with(", whose main thread has ended)"), "{message}");
}

#[netns_test]
#[ignore = "run by the test above"]
fn leaves_a_second_thread() {
    let fork = || {
        let left = std::mem::ManuallyDrop::new(Remnant::without_main_thread());
        println!("process {}", left.id());
    };
    std::thread::Builder::new().name("leaver".into()).spawn(fork).unwrap().join().unwrap();
    panic!("it left a process");
}
