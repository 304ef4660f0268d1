//! Tests of what is waited for, and near misses. Pure.

use crate::evidence::facts::process::{Descriptor, Process};
use crate::explain::cause::Certainty::{Certain, Likely};
use crate::explain::sample::{Sample, THREAD};

/// Returns a lab with a connection of which both ends are read: 1 of the client, 2 of the server.
fn reading(reader: u32) -> Sample {
    let mut sample = Sample::pair().hangs();
    sample.count("client", "Tcp.ActiveOpens", 1);
    sample.socket("client", 1, "10.0.0.1:41234", "10.0.0.2:80");
    sample.socket("server", 2, "10.0.0.2:80", "10.0.0.1:41234");
    sample.thread("client", reader, "recvfrom", Some(1));
    sample.thread("server", 9, "read", Some(2));
    sample
}

#[test]
fn two_sides_that_wait_for_each_other_are_found() {
    let text = "client and server wait for each other: both read, and neither has sent";
    let cause = reading(THREAD).says(Certain, text);
    assert_eq!((cause.sockets, cause.nodes.len()), (vec![1, 2], 2));
    // The test may wait for something else.
    let mut sample = reading(8);
    sample.thread("", THREAD, "futex", None);
    sample.says(Likely, text);
    let mut sent = reading(THREAD);
    sent.network("server").sockets[0].received = 5;
    sent.does_not_say("wait for each other");
    let mut one = reading(THREAD);
    one.thread("server", 9, "nanosleep", None);
    one.does_not_say("wait for each other");
}

#[test]
fn the_two_ends_of_a_connection_may_be_on_both_sides_of_a_nat() {
    let text = "client and server wait for each other: both read, and neither has sent";
    let mut sample = Sample::hidden().hangs();
    sample.count("client", "Tcp.ActiveOpens", 1);
    sample.socket("client", 1, "10.0.0.1:41234", "10.0.1.2:80");
    sample.socket("server", 2, "10.0.1.2:80", "10.0.1.254:41234");
    sample.thread("client", THREAD, "recvfrom", Some(1));
    sample.thread("server", 9, "read", Some(2));
    sample.says(Certain, text);
    // Which of two it is, is not known if the NAT has chosen other ports.
    for port in [3000_u64, 3001] {
        let end = format!("10.0.1.254:{port}");
        sample.socket("server", port, "10.0.1.2:80", &end);
    }
    sample.says(Certain, text);
    sample.network("server").sockets.remove(0);
    sample.does_not_say("wait for each other");
    // Another address than that of the NAT.
    let sockets = &mut sample.network("server").sockets;
    sockets.truncate(1);
    sockets[0].remote = Some(crate::explain::sample::end("10.0.1.9:41234"));
    sample.does_not_say("wait for each other");
}

/// Returns a read of the client that was not answered in time, by what both ends have received.
fn unanswered(client: u64, server: u64) -> Sample {
    let mut sample = reading(8);
    sample.body().threads.retain(|thread| thread.tid < 8);
    sample.network("client").sockets[0].came = Some(client);
    sample.network("server").sockets[0].came = Some(server);
    sample.thread("client", THREAD, "futex", None);
    sample.panics("Os { code: 11, kind: WouldBlock, message: \"\" }")
}

#[test]
fn the_side_that_has_not_answered_is_named() {
    let cause = unanswered(0, 9).says(Likely, "server has read 9 bytes from client, and has not");
    assert!(cause.proof[1].contains("client has received 0 bytes in all, server 9"), "{cause:?}");
    unanswered(9, 0).says(Likely, "client has read 9 bytes from server, and has sent nothing");
    unanswered(4, 9).says(Likely, "neither of client and server sends");
    unanswered(0, 0).says(Likely, "nothing was sent on the connection of client and server");
    let mut sample = unanswered(0, 9);
    sample.network("server").sockets[0].received = 9;
    sample.does_not_say("has read");
    // The time limit of the test: its thread waits on this connection.
    let mut sample = reading(THREAD);
    sample.thread("server", 9, "nanosleep", None);
    sample.network("server").sockets[0].came = Some(9);
    sample.says(Likely, "server has read 9 bytes from client, and has not answered");
}

#[test]
fn two_sides_that_wait_may_have_sent_before() {
    let mut sample = reading(THREAD);
    sample.network("client").sockets[0].came = Some(0);
    sample.network("server").sockets[0].came = Some(9);
    let cause = sample.says(Certain, "for each other: both read, and all that was sent is read");
    assert!(cause.proof[3].contains("client has received"), "{cause:?}");
    sample.does_not_say("neither has sent");
}

#[test]
fn a_runtime_that_polls_one_socket_waits_for_it() {
    let mut sample = Sample::pair().hangs();
    sample.socket("server", 1, "0.0.0.0:80", "");
    let waker = Descriptor { number: 50, target: "anon_inode:[eventfd]".into(), watched: vec![] };
    sample.body().descriptors.push(waker);
    sample.thread("server", THREAD, "epoll_wait", Some(50));
    let call = sample.body().threads.last_mut().unwrap().call.as_mut().unwrap();
    call.descriptors.push(1);
    sample.says(Likely, "nothing has connected to 0.0.0.0:80 on server");
    sample.socket("server", 2, "0.0.0.0:81", "");
    let call = sample.body().threads.last_mut().unwrap().call.as_mut().unwrap();
    call.descriptors.push(2);
    sample.does_not_say("nothing has connected");
}

#[test]
fn a_side_that_does_not_read_is_found() {
    let mut sample = reading(THREAD);
    sample.thread("server", 9, "futex", None);
    sample.network("server").sockets[0].received = 5;
    let text = "does not read 5 bytes from 10.0.0.1:41234";
    let cause = sample.says(Likely, text);
    assert_eq!(cause.nodes, ["server"]);
    sample.panics("Os { code: 11, kind: WouldBlock }").says(Likely, text);
}

#[test]
fn a_stopped_program_is_certain_if_the_test_waits_for_it() {
    let mut sample = reading(THREAD);
    sample.body().descriptors.retain(|one| one.number != 2);
    let descriptor = Descriptor { number: 4, target: "socket:[2]".into(), watched: Vec::new() };
    let program = Process {
        pid: 7,
        name: "app".into(),
        state: "T".into(),
        descriptors: vec![descriptor],
        ..Process::default()
    };
    sample.look().processes.push(program);
    sample.says(Certain, "app (process 7) is stopped");
    sample.look().processes[1].descriptors.clear();
    let causes = sample.causes();
    let found = causes.iter().find(|cause| cause.text.contains("is stopped")).unwrap();
    assert_eq!(found.certainty, Likely);
    sample.look().processes[1].state = "S".into();
    sample.does_not_say("stopped");
}

#[test]
fn a_zombie_that_has_failed_is_found() {
    let mut sample = Sample::pair().hangs();
    let zombie = |status| Process {
        pid: 7,
        name: "app".into(),
        state: "Z".into(),
        status,
        ..Process::default()
    };
    sample.look().processes.push(zombie(3 << 8));
    sample.says(Likely, "app (process 7) has exited with status 3");
    sample.look().processes[1] = zombie(9);
    sample.says(Likely, "app (process 7) was killed by signal 9");
    sample.look().processes[1] = zombie(0);
    sample.does_not_say("app");
}

#[test]
fn a_wait_for_a_connection_that_no_node_has_tried_is_certain() {
    let mut sample = Sample::pair().hangs();
    sample.socket("server", 1, "0.0.0.0:80", "");
    sample.thread("server", THREAD, "accept4", Some(1));
    sample.says(Certain, "nothing has connected to 0.0.0.0:80 on server");
    sample.count("client", "Tcp.ActiveOpens", 1);
    sample.says(Likely, "no connection is left to accept on 0.0.0.0:80 of server");
    sample.does_not_say("nothing has connected");
}

#[test]
fn a_wait_for_a_datagram_that_was_not_sent_is_certain() {
    let mut sample = Sample::pair().hangs();
    sample.datagrams("server", 1, "0.0.0.0:53");
    sample.thread("server", THREAD, "recvfrom", Some(1));
    sample.says(Certain, "nothing was sent to 0.0.0.0:53 on server");
    sample.count("client", "Udp.OutDatagrams", 1);
    sample.does_not_say("nothing was sent");
    sample.count("server", "Udp.NoPorts", 1);
    sample.says(Likely, "datagrams went to a port of server that is not bound");
}

#[test]
fn a_blocked_runtime_is_found() {
    let mut sample = Sample::pair().hangs();
    sample.thread("", THREAD, "clock_nanosleep", None);
    sample.does_not_say("runtime");
    let epoll = |number, watched: &[i32]| Descriptor {
        number,
        target: "anon_inode:[eventpoll]".into(),
        watched: watched.to_vec(),
    };
    sample.body().descriptors.extend([epoll(5, &[7]), epoll(6, &[7])]);
    sample.says(Likely, "the async runtime is blocked: the test sleeps in clock_nanosleep");
    // Another thread waits for its events.
    sample.thread("", 9, "epoll_wait", Some(7));
    let call = sample.body().threads.last_mut().unwrap().call.as_mut().unwrap();
    call.arguments = vec![6, 0, 0, 0];
    sample.does_not_say("runtime");
    sample.says(Likely, "the test waits for time to pass");
}
