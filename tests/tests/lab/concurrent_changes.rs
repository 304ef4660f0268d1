//! Changes that run at the same time as others: a wait ends when what it waits for can no longer
//! come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Error, Lab, NodeId, netns_test};
use netns_test_tests::{LIMIT, eventually};

use crate::net::{Mesh, row, switched, topology};

const ROUNDS: usize = 40;

/// Counts how often the concurrent work has been done.
struct Rounds(AtomicUsize);

impl Rounds {
    /// Waits until the work has been done twice, so once as a whole.
    fn goes_on(&self) {
        let before = self.0.load(Ordering::Relaxed);
        eventually(LIMIT, "the concurrent work goes on", || {
            self.0.load(Ordering::Relaxed) >= before + 2
        });
    }
}

/// Repeats `work` on a thread while `change` is made again and again; returns the errors of `work`.
fn during(work: impl Fn() -> Vec<Error> + Sync, change: impl Fn(&Rounds, usize)) -> Vec<String> {
    let (over, done) = (AtomicBool::new(false), Rounds(AtomicUsize::new(0)));
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut errors = Vec::new();
            while !over.load(Ordering::Relaxed) {
                errors.extend(work().iter().map(ToString::to_string));
                done.0.fetch_add(1, Ordering::Relaxed);
            }
            errors
        });
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..ROUNDS).for_each(|round| change(&done, round));
        }));
        over.store(true, Ordering::Relaxed);
        let errors = worker.join().unwrap();
        changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        errors
    })
}

/// Changes all that can be changed of the addresses of `eth0`.
fn addresses(lab: &Lab, node: NodeId) -> Vec<Error> {
    let host = &lab[node];
    let done = [
        host.interface("eth0").add_addr("10.99.0.1/24"),
        host.interface("eth0").add_addr("fd99::1/64"),
        host.interface("eth0").set_addr("fd99::2/64"),
        host.interface("eth0").remove_addr("fd99::2/64"),
        host.interface("eth0").remove_addr("10.99.0.1/24"),
    ];
    done.into_iter().filter_map(netns_test::Result::err).collect()
}

fn ip(lab: &Lab, node: NodeId, words: &str) {
    let status = lab[node].command("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

#[netns_test(timeout = "5m")]
fn addresses_change_during_down_and_up() {
    let (lab, near, _) = crate::two_hosts();
    let link = lab.links().next().unwrap();
    let errors = during(
        || addresses(&lab, near),
        |work, _| {
            link.down().unwrap();
            work.goes_on();
            link.up().unwrap();
        },
    );
    assert_eq!(errors, [""; 0]);
}

#[netns_test(timeout = "5m")]
fn addresses_change_during_a_power_cut_of_the_peer() {
    let (lab, near, far) = crate::two_hosts();
    let errors = during(
        || addresses(&lab, near),
        |work, _| {
            lab.power_off(far).unwrap();
            work.goes_on();
            lab.power_on(far).unwrap();
        },
    );
    assert_eq!(errors, [""; 0]);
}

#[netns_test(timeout = "5m")]
fn addresses_change_during_changes_by_a_program() {
    let (lab, near, far) = crate::two_hosts();
    let errors = during(
        || addresses(&lab, near),
        |work, round| {
            let node = [near, far][round % 2];
            ip(&lab, node, "link set eth0 down");
            work.goes_on();
            ip(&lab, node, "link set eth0 up");
        },
    );
    // A program may take the addresses of IPv6 away with the link.
    let others = errors.iter().filter(|message| !message.contains("EADDRNOTAVAIL"));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
}

/// The host itself: each change is made, or message why it cannot be.
#[netns_test(timeout = "5m")]
fn addresses_change_during_a_power_cut_of_their_node() {
    let (lab, near, _) = crate::two_hosts();
    let errors = during(
        || addresses(&lab, near),
        |work, _| {
            lab.power_off(near).unwrap();
            work.goes_on();
            lab.power_on(near).unwrap();
            work.goes_on();
        },
    );
    // What was added before the power cut is not there after it.
    let is_other = |message: &&String| {
        !["powered off", "EADDRNOTAVAIL"].iter().any(|known| message.contains(known))
    };
    let others: Vec<_> = errors.iter().filter(is_other).take(5).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Whichever comes first.
#[netns_test(timeout = "5m")]
fn up_and_power_on_during_changes_by_a_program() {
    let (net, nodes) = row(2, false);
    let lab = net.build().unwrap();
    let (near, far) = (nodes[0], nodes[1]);
    let link = lab.links().next().unwrap();
    let errors = during(
        || {
            let done = [link.up(), lab.power_off(near), lab.power_on(near)];
            done.into_iter().filter_map(netns_test::Result::err).collect()
        },
        |work, _| {
            let end = lab.plan().links()[0].ends.iter().find(|end| end.node == 1).unwrap();
            let name = &lab.plan().nodes()[1].interfaces[end.interface].name;
            ip(&lab, far, &format!("link set {name} down"));
            work.goes_on();
            ip(&lab, far, &format!("link set {name} up"));
        },
    );
    // A link that is taken down at that moment cannot be brought up, and says so.
    let others: Vec<_> =
        errors.iter().filter(|message| !message.contains("down")).take(5).collect();
    assert!(others.is_empty(), "{others:?}");
    link.up().unwrap();
    Mesh::new(&lab, &nodes).all_pairs_talk();
}

#[netns_test(timeout = "5m")]
fn a_link_moves_during_down() {
    let (mut net, nodes) = switched(2);
    let other = net.switch("other");
    let link = net.link(nodes[0], other).id();
    let lab = net.build().unwrap();
    let first = lab.plan().id(0);
    let errors = during(
        || {
            let done = [lab.move_link(link, other, first), lab.move_link(link, first, other)];
            done.into_iter().filter_map(netns_test::Result::err).collect()
        },
        |work, round| {
            if round % 2 == 0 {
                lab[link].down().unwrap();
                work.goes_on();
                lab[link].up().unwrap();
            } else {
                ip(&lab, nodes[0], "link set eth1 down");
                work.goes_on();
                ip(&lab, nodes[0], "link set eth1 up");
            }
        },
    );
    assert_eq!(errors, [""; 0]);
}

/// A user's wait for an event on a host whose network goes.
#[netns_test]
fn a_wait_on_a_host_ends_with_its_power() {
    let mut net = topology();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let waits: [&(dyn Fn() -> netns_test::Result<()> + Sync); 5] = [
        &|| lab[client].wait(WAIT_LIMIT).listening(80),
        &|| lab[client].wait(WAIT_LIMIT).established(80),
        &|| lab[client].wait(WAIT_LIMIT).link_up("eth7"),
        &|| lab[client].wait(WAIT_LIMIT).route("10.99.0.0/24"),
        &|| lab[client].wait(WAIT_LIMIT).reachable("10.99.0.1"),
    ];
    thread::scope(|scope| {
        let all = waits.map(|wait| scope.spawn(wait));
        // A thread is on the host once it waits there.
        let threads = || {
            let all = std::fs::read_dir("/proc/self/task").unwrap().flatten();
            let names =
                all.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
            names.filter(|name| name == "client\n").count()
        };
        eventually(LIMIT, "each wait has its thread", || threads() == waits.len());
        lab.power_off(client).unwrap();
        for ended in all {
            let message = ended.join().unwrap().unwrap_err().to_string();
            assert!(message.contains("client was powered off"), "{message}");
        }
    });
}
