//! Sockets of a snapshot by `sock_diag(7)`, and by `/proc` where the kernel refuses that.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_test::lab::{NodeState, Protocol, Snapshot, SocketState, TcpState, WAIT_LIMIT};
use netns_test::{Lab, NodeId, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{LIMIT, eventually};

use crate::two_hosts;

/// Calls `work` on a thread that may open no socket.
fn without_sockets<T: Send>(errno: i32, work: impl FnOnce() -> T + Send) -> T {
    let filtered = || {
        filter_this_thread(Filter::Call(libc::SYS_socket, errno)).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(filtered).join().unwrap())
}

/// Returns the sockets of all nodes without what only `sock_diag` knows.
fn sockets(snapshot: Snapshot) -> Vec<Vec<SocketState>> {
    let of_node = |mut node: NodeState| {
        node.sockets.iter_mut().for_each(|socket| socket.is_ipv6_only = None);
        node.sockets
    };
    snapshot.nodes.into_iter().map(of_node).collect()
}

fn has_ipv6_only(snapshot: &Snapshot) -> bool {
    let mut all = snapshot.nodes.iter().flat_map(|node| &node.sockets);
    all.any(|socket| socket.is_ipv6_only.is_some())
}

fn count_of_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Opens connections to `far` from `near`, one in each of many states.
fn connections(lab: &Lab, near: NodeId, far: NodeId) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for address in ["0.0.0.0:80", "[::]:81"] {
        let listener = lab[far].run(|| TcpListener::bind(address)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // To the second port by IPv4 (mapped), and by IPv6.
        let targets = lab.plan().addresses_of(far).iter();
        for target in targets.filter(|to| port == 81 || to.is_ipv4()) {
            let target = SocketAddr::new(*target, port);
            let pair = || {
                let stream = lab[near].run(|| TcpStream::connect(target)).unwrap();
                [stream, listener.accept().unwrap().0]
            };
            let [[mut one, other], [closing, peer], [closed, mut last]] = [pair(), pair(), pair()];
            one.write_all(b"unread").unwrap();
            closing.shutdown(Shutdown::Write).unwrap();
            drop(closed);
            assert_eq!(last.read(&mut [0]).unwrap(), 0);
            drop(last);
            held.extend([one, other, closing, peer]);
            // Not accepted.
            held.push(lab[near].run(|| TcpStream::connect(target)).unwrap());
        }
        held.push(std::os::fd::OwnedFd::from(listener).into());
    }
    held
}

#[netns_test]
fn both_ways_show_the_same_sockets() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let _held = connections(&lab, client, server);
    let host = &lab[client];
    let bound = host.run(|| UdpSocket::bind("127.0.0.1:53"))?;
    let connected = host.run(|| UdpSocket::bind("[::]:54"))?;
    connected.connect("[::1]:99")?;
    for _ in 0..1000 {
        host.run(|| UdpSocket::bind("127.0.0.1:0"))?.send_to(&[0; 4096], "127.0.0.1:53")?;
    }
    host.sysctl("net.ipv6.bindv6only", 1)?;
    let _alone = host.run(|| TcpListener::bind("[::]:82"))?;
    lab.partition(&[client], &[server])?;
    let target = SocketAddr::new(lab.plan().addresses_of(server)[0], 83);
    std::thread::scope(|scope| {
        // The SYN is answered once the partition is healed.
        let timeout = Duration::from_secs(60);
        let asking = move || host.run(|| TcpStream::connect_timeout(&target, timeout).unwrap_err());
        let asking = scope.spawn(asking);
        let states = [
            TcpState::Listen,
            TcpState::Established,
            TcpState::SynSent,
            TcpState::FinWait2,
            TcpState::TimeWait,
            TcpState::CloseWait,
        ];
        eventually(LIMIT, "both ways show the same", || {
            let [by_diag, by_files] =
                [lab.snapshot().unwrap(), without_sockets(libc::EPERM, || lab.snapshot().unwrap())];
            assert!(!has_ipv6_only(&by_files), "{by_files}");
            let has_only = has_ipv6_only(&by_diag);
            let (one, other) = (sockets(by_diag), sockets(by_files));
            let all = || one.iter().flatten();
            let of_tcp = |state: &TcpState| {
                all().any(|one| one.protocol == Protocol::Tcp && one.state == *state)
            };
            let has_drops = all().any(|socket| socket.drops.is_some_and(|drops| drops > 0));
            let is_whole = has_only && has_drops && states.iter().all(of_tcp);
            if is_whole && one == other { Ok(()) } else { Err((one, other, asking.is_finished())) }
        });
        lab.heal().unwrap();
    });
    drop(bound);
    Ok(())
}

#[netns_test]
fn waits_need_no_sock_diag() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    let _socket = lab[server].run(|| UdpSocket::bind("0.0.0.0:53"))?;
    let target = SocketAddr::new(lab.plan().addresses_of(server)[0], 80);
    let _stream = lab[client].run(|| TcpStream::connect(target))?;
    for errno in [libc::EPERM, libc::EPROTONOSUPPORT, libc::EAFNOSUPPORT] {
        without_sockets(errno, || {
            let wait = lab[server].wait(WAIT_LIMIT);
            wait.listening(80)?;
            wait.bound(53)?;
            wait.established(80)
        })?;
    }
    drop(listener);
    Ok(())
}

#[netns_test]
fn nothing_is_left_open() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let _listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    let look = || {
        lab.snapshot()?;
        lab[server].wait(WAIT_LIMIT).listening(80)
    };
    look()?;
    let before = count_of_descriptors();
    (0..10).try_for_each(|_| look())?;
    assert_eq!(count_of_descriptors(), before);
    Ok(())
}

#[netns_test]
fn a_full_table_of_descriptors_is_named() -> netns_test::Result<()> {
    let (lab, ..) = two_hosts();
    lab.snapshot()?;
    let limit = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
    // SAFETY: the kernel reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let message = lab.snapshot().unwrap_err().to_string();
    let expected = "open /proc/thread-self/net/tcp of client: EMFILE (Too many open files)";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("sock_diag, which needs no file, is refused: EMFILE"), "{message}");
    drop(files);
    lab.snapshot()?;
    Ok(())
}
