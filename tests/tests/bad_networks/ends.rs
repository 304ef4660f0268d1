//! Ends of tests whose links have packets on their way, or have gone wrong.

use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use netns_test::lab::{Impairment, Packet, Schedule};
use netns_test::{Topology, netns_test};
use netns_test_tests::{again, eventually, passes};

use crate::must_fail;
use crate::net::{PATIENCE, Pair};

/// `fork(2)`: the child in the parent, nothing in the child, which must end by [`leave`].
fn fork() -> Option<i32> {
    // SAFETY: the child does what these tests are about, and ends.
    match unsafe { libc::fork() } {
        0 => None,
        child => Some(child),
    }
}

fn leave(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

fn end(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: writes one number.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

/// A child has copies of all descriptors, and none of the threads.
#[netns_test(timeout = "60s")]
fn a_lab_ends_while_a_forked_child_lives() {
    let pair = Pair::new(Impairment::new().delay(Duration::from_secs(3600)));
    let [near, _far] = pair.sockets(true);
    near.send(b"on its way").unwrap();
    let Some(child) = fork() else {
        thread::sleep(10 * PATIENCE);
        leave(0)
    };
    drop(pair);
    // SAFETY: takes numbers.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    end(child);
}

#[netns_test(timeout = "60s")]
fn a_forked_child_drops_its_copies() {
    let pair = Pair::new(Impairment::new().delay(Duration::from_millis(1)));
    let rule = pair.lab[pair.wan].drop_matching(Packet::udp().port(9)).unwrap();
    let later = Schedule::new().at(Duration::from_secs(3600), pair.wan.down());
    let running = pair.lab.start_schedule(&later).unwrap();
    let Some(child) = fork() else {
        let refused = pair.lab[pair.wan].hold().unwrap_err().to_string();
        let is_refused = refused.contains("forked") && pair.lab[pair.wan].stats().is_err();
        drop((running, rule));
        drop(pair);
        leave(i32::from(!is_refused))
    };
    assert_eq!(end(child), 0);
    let [near, far] = pair.sockets(true);
    near.send(b"x").unwrap();
    far.recv(&mut [0; 8]).unwrap();
    assert!(Command::new("true").status().unwrap().success());
    running.stop().unwrap();
    assert_eq!(rule.hits(), 0);
}

/// Does not drop the lab.
#[netns_test]
#[ignore = "run by what_has_gone_wrong_fails_the_test"]
fn keeps_a_lab_whose_condition_has_panicked() {
    let pair = Pair::new(Impairment::new());
    let condition = Packet::udp().when(|_| panic!("not this one"));
    std::mem::forget(pair.lab[pair.wan].drop_matching(condition).unwrap());
    let [near, far] = pair.sockets(true);
    near.send(b"x").unwrap();
    far.recv(&mut [0; 8]).unwrap();
    std::mem::forget(pair);
}

/// A panic that the test catches ends the rule.
#[netns_test]
#[ignore = "run by what_has_gone_wrong_fails_the_test"]
fn catches_a_panic_that_ends_a_rule() {
    let pair = Pair::new(Impairment::new());
    let caught = std::panic::catch_unwind(|| {
        let condition = Packet::udp().when(|_| panic!("not this one"));
        let _rule = pair.lab[pair.wan].drop_matching(condition).unwrap();
        let [near, far] = pair.sockets(true);
        near.send(b"x").unwrap();
        far.recv(&mut [0; 8]).unwrap();
        panic!("as expected");
    });
    assert!(caught.is_err());
}

#[netns_test]
#[ignore = "run by what_has_gone_wrong_fails_the_test"]
fn panics_after_a_step_has_failed() {
    let pair = Pair::new(Impairment::new());
    let twice = Schedule::new()
        .at(Duration::ZERO, pair.server.power_off())
        .at(Duration::ZERO, pair.server.power_off());
    let running = pair.lab.start_schedule(&twice).unwrap();
    eventually(PATIENCE, "the schedule ends", || running.is_finished());
    panic!("no answer");
}

/// The closure is on the thread that passes packets on.
#[netns_test(timeout = "60s")]
#[ignore = "run by what_has_gone_wrong_fails_the_test"]
fn drops_the_lab_in_a_condition() {
    let (sender, dropped) = mpsc::channel();
    let cell: Arc<Mutex<Option<Pair>>> = Arc::default();
    let inside = Arc::clone(&cell);
    let condition = Packet::udp().when(move |_| {
        drop(inside.lock().unwrap().take());
        sender.send(()).unwrap();
        false
    });
    let pair = Pair::new(Impairment::new());
    std::mem::forget(pair.lab[pair.wan].drop_matching(condition).unwrap());
    let [near, _far] = pair.sockets(true);
    *cell.lock().unwrap() = Some(pair);
    near.send(b"x").unwrap();
    // The process ends meanwhile.
    dropped.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn what_has_gone_wrong_fails_the_test() {
    for (name, message) in [
        ("keeps_a_lab_whose_condition_has_panicked", "not this one"),
        ("catches_a_panic_that_ends_a_rule", "a rule of a link has panicked: "),
        ("panics_after_a_step_has_failed", "a step of the schedule has failed: "),
        ("drops_the_lab_in_a_condition", "a lab was dropped in the closure of a rule"),
    ] {
        let text = must_fail(&format!("ends::{name}"));
        assert!(text.contains(message), "{name}: {text}");
        assert!(!text.contains("timed out"), "{name}: {text}");
    }
}

/// A lab that waits for a condition must not be waited for by it.
#[netns_test(timeout = "60s")]
fn a_condition_that_uses_the_lab_is_refused() {
    let pair = Pair::new(Impairment::new());
    let (sender, said) = mpsc::channel();
    let [near, far] = pair.sockets(true);
    let wan = pair.wan;
    let lab = Arc::new(pair.lab);
    let inside = Arc::clone(&lab);
    let condition = Packet::udp().when(move |_| {
        let refused = [inside[wan].hold().err(), inside[wan].stats().err()];
        sender.send(refused.map(|error| error.map(|one| one.to_string()))).unwrap();
        false
    });
    let rule = lab[wan].drop_matching(condition).unwrap();
    near.send(b"x").unwrap();
    far.recv(&mut [0; 8]).unwrap();
    for text in said.recv_timeout(PATIENCE).unwrap() {
        let text = text.unwrap();
        assert!(text.contains("do not use the lab in the closure of a rule"), "{text}");
    }
    drop(rule);
}

#[netns_test]
#[ignore = "run by ends_of_the_process_are_no_trouble"]
fn exits_with_packets_on_their_way() {
    let pair = Pair::new(Impairment::new().delay(Duration::from_secs(3600)));
    let [near, _far] = pair.sockets(true);
    near.send(b"on its way").unwrap();
    pair.lab[pair.wan].hold().unwrap();
    near.send(b"held").unwrap();
    std::mem::forget(pair);
}

/// Labs on threads, one in another and after another.
#[netns_test]
#[ignore = "run by ends_of_the_process_are_no_trouble"]
fn has_many_labs() {
    let talk = || {
        let pair = Pair::new(Impairment::new().delay(Duration::from_millis(1)));
        assert_eq!(pair.transfer(false, b"hello", 2), b"hello");
        pair
    };
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| (talk(), talk()));
        }
    });
    let pair = thread::spawn(talk).join().unwrap();
    for _ in 0..30 {
        drop(talk());
    }
    assert_eq!(pair.transfer(true, b"hello", 2), b"hello");
}

#[test]
fn ends_of_the_process_are_no_trouble() {
    for name in ["exits_with_packets_on_their_way", "has_many_labs"] {
        passes(&mut again(&[], &["--exact", &format!("ends::{name}")]), 1);
    }
}

/// A kernel that refuses a step is named with the step, and nothing hangs.
#[netns_test]
fn a_full_table_of_descriptors_is_refused() {
    let limit = |most: u64| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: 4096 };
        // SAFETY: reads one limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    };
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b).impairable();
    let mut built = 0;
    for most in 3..80 {
        limit(most);
        let lab = net.build();
        limit(1024);
        match lab {
            Ok(_) => built += 1,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("EMFILE"), "{most}: {text}");
                assert!(text.contains("ulimit -n"), "{most}: {text}");
            }
        }
    }
    assert!(built > 0);
    drop(net.build().unwrap());
}
