//! A leader that brings the same log to four followers over UDP. Meanwhile links flap, lose packets,
//! and a part of the cluster hears nothing: a schedule, which is a value. At the end each follower
//! has the whole log, in its order.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use netns_test::lab::{Impairment, Schedule};
use netns_test::{Topology, netns_test};

const MS: Duration = Duration::from_millis(1);
/// Entries of the log.
const LENGTH: u64 = 300;

/// Leader under test: sends each follower the entry that it lacks, until all have the whole log.
fn lead(socket: &UdpSocket, followers: &[SocketAddr]) -> io::Result<()> {
    socket.set_read_timeout(Some(20 * MS))?;
    let mut lengths = vec![0; followers.len()];
    // Who does not answer is asked again.
    while lengths.iter().any(|length| *length < LENGTH) {
        for (follower, length) in followers.iter().zip(&lengths) {
            if *length < LENGTH {
                // While the link is down, there may be no route.
                drop(socket.send_to(&length.to_be_bytes(), follower));
            }
        }
        let mut answer = [0; 8];
        while let Ok((8, from)) = socket.recv_from(&mut answer) {
            let Some(at) = followers.iter().position(|one| *one == from) else { continue };
            let length = u64::from_be_bytes(answer);
            if length > lengths[at] {
                lengths[at] = length;
                if length < LENGTH {
                    drop(socket.send_to(&length.to_be_bytes(), from));
                }
            }
        }
    }
    Ok(())
}

/// Follower under test: appends an entry that is the next one, and answers with its length.
fn follow(socket: &UdpSocket, log: &Sender<u64>) -> io::Result<()> {
    let mut length = 0_u64;
    loop {
        let mut entry = [0; 8];
        let (_, leader) = socket.recv_from(&mut entry)?;
        if u64::from_be_bytes(entry) == length {
            log.send(length).expect("the test reads the log");
            length += 1;
        }
        // Also for an entry that it has: the leader may have missed the last answer.
        drop(socket.send_to(&length.to_be_bytes(), leader));
    }
}

#[netns_test(timeout = "100s")]
fn each_follower_gets_the_log() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let router = net.router("router");
    let nodes = ["leader", "f1", "f2", "f3", "f4"].map(|name| net.host(name));
    let links = nodes
        .map(|node| net.link(node, router).impair(Impairment::new().delay(2 * MS).loss("5%")).id());
    let schedule = Schedule::new()
        .flap(links[1], 50 * MS, 100 * MS, 50 * MS, 4)
        .flap(links[2], 70 * MS, 30 * MS, 30 * MS, 8)
        .partition_one_way(200 * MS, 300 * MS, [nodes[0]], [nodes[3], nodes[4]])
        .at(400 * MS, links[0].impair(Impairment::new().loss("30%")))
        .at(700 * MS, links[0].impair(Impairment::new()));
    println!("{}", schedule.text(&net));
    let lab = net.build()?;

    let [leader, followers @ ..] = nodes.map(|node| {
        let socket = lab[node].run(|| UdpSocket::bind((lab[node].ipv4(), 7000)));
        socket.expect("a free port")
    });
    let to = followers.each_ref().map(|socket| socket.local_addr().expect("an address"));
    let logs = followers.map(|socket| {
        let (sender, log) = mpsc::channel();
        thread::spawn(move || follow(&socket, &sender));
        log
    });
    let running = lab.start_schedule(&schedule)?;
    lead(&leader, &to).expect("sockets that work");
    running.wait()?;
    for log in logs {
        assert!(log.try_iter().eq(0..LENGTH));
    }
    Ok(())
}
