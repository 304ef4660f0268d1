//! Tests whose reports and files are looked at.

use std::ffi::CString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use netns_test::{Topology, artifact_dir, netns_test};

#[netns_test]
#[ignore = "run by main.rs"]
fn passes() {}

#[netns_test]
#[ignore = "run by main.rs"]
#[should_panic = "as it should"]
fn panics_as_it_should() {
    panic!("as it should");
}

#[netns_test]
#[ignore = "run by main.rs"]
fn fails_plainly() {
    assert_eq!(1 + 1, 3);
}

#[netns_test]
#[ignore = "run by main.rs"]
fn listens_and_panics() {
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    panic!("it listens and has no client");
}

/// Its name, which the kernel shows, is that of its file.
#[netns_test]
#[ignore = "run by main.rs"]
fn starts_a_program_with_a_hostile_name() {
    let place = netns_test_tests::scratch("name");
    let program = place.join("\u{1b}[31m\nred");
    fs::copy("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("1000").spawn().unwrap();
    fs::remove_dir_all(place).unwrap();
    assert_eq!(child.id(), 0, "it has a number");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[netns_test]
#[ignore = "run by main.rs"]
fn connects_to_another_port() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:8080").unwrap());
    let address = std::net::SocketAddr::new(lab[server].ipv4().into(), 8081);
    lab[client].run(|| std::net::TcpStream::connect(address)).unwrap();
    drop(listener);
}

/// Leaves files, and much that is none.
#[netns_test]
#[ignore = "run by main.rs"]
fn leaves_artifacts() {
    leave_artifacts();
    panic!("it has left artifacts");
}

#[netns_test]
#[ignore = "run by main.rs"]
fn leaves_artifacts_and_passes() {
    leave_artifacts();
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
fn leaves_artifacts_and_waits() {
    leave_artifacts();
    std::thread::park();
}

#[netns_test]
#[ignore = "run by main.rs"]
fn leaves_artifacts_and_is_killed() {
    leave_artifacts();
    // SAFETY: touches no memory.
    unsafe { libc::raise(libc::SIGKILL) };
}

fn leave_artifacts() {
    let place = artifact_dir().unwrap();
    assert_eq!(artifact_dir().unwrap(), place);
    fs::write(place.join("election.log"), "term 1\nterm 2\n").unwrap();
    fs::write(place.join("empty"), "").unwrap();
    fs::create_dir_all(place.join("a/b")).unwrap();
    fs::write(place.join("a/b/capture.pcap"), "packets").unwrap();
    fs::write(place.join("\u{1b}[31m\nred"), "of a hostile name").unwrap();
    symlink("/etc/passwd", place.join("link")).unwrap();
    symlink("/", place.join("root")).unwrap();
    symlink(".", place.join("circle")).unwrap();
    let fifo = CString::new(place.join("fifo").to_str().unwrap()).unwrap();
    // SAFETY: the kernel reads a C string.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    drop(UnixListener::bind(place.join("socket")).unwrap());
    // More than memory, and nothing in it.
    fs::File::create(place.join("sparse")).unwrap().set_len(1 << 40).unwrap();
    fs::create_dir_all(place.join("1/2/3/4/5/6/7/8/9/10")).unwrap();
    fs::write(place.join("1/2/3/4/5/6/7/8/9/deep"), "").unwrap();
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
fn waits_for_a_datagram() {
    let mut net = Topology::new();
    let (client, router, server) = (net.host("client"), net.router("router"), net.host("server"));
    net.link(client, router);
    let cut = net.link(router, server).id();
    let lab = net.build().unwrap();
    lab[cut].down().unwrap();
    let socket = lab[client].run(|| std::net::UdpSocket::bind("0.0.0.0:4000").unwrap());
    socket.send_to(b"x", (lab[server].ipv4(), 4000)).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}

#[netns_test(timeout = "1s")]
#[ignore = "run by main.rs"]
fn waits_in_a_function() {
    let worker = std::thread::Builder::new().name("worker".into());
    let _worker = worker.spawn(waits_for_work).unwrap();
    waits_for_the_reply();
}

#[inline(never)]
fn waits_for_work() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1000));
    }
}

#[inline(never)]
fn waits_for_the_reply() {
    loop {
        std::thread::park();
    }
}
