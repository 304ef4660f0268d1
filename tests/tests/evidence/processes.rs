//! Processes and threads: what they wait for and have open.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use netns_test::netns_test;
use serde_json::Value;

use super::{Evidence, body, one, thread};

#[netns_test]
#[ignore = "run by another test"]
fn threads_wait() {
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
    println!("listener {}", listener.as_raw_fd());
    thread("accepts", &[libc::SYS_accept4], move || drop(listener.accept()));
    let udp = UdpSocket::bind("127.0.0.1:5353").unwrap();
    println!("udp {}", udp.as_raw_fd());
    thread("receives", &[libc::SYS_recvfrom], move || drop(udp.recv(&mut [0; 8])));
    let (mut reader, writer) = UnixStream::pair().unwrap();
    println!("reader {}", reader.as_raw_fd());
    let polled = reader.try_clone().unwrap();
    thread("reads", &[libc::SYS_recvfrom, libc::SYS_read], move || drop(reader.read(&mut [0; 8])));
    println!("polled {}", polled.as_raw_fd());
    thread("polls", &[libc::SYS_poll, libc::SYS_ppoll], move || {
        let fd = polled.as_raw_fd();
        let mut all = [
            libc::pollfd { fd, events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: -1, events: 0, revents: 0 },
        ];
        // SAFETY: the kernel reads and writes two `pollfd`.
        unsafe { libc::poll(all.as_mut_ptr(), 2, -1) };
    });
    let (sender, channel) = mpsc::channel::<()>();
    thread("channel", &[libc::SYS_futex], move || {
        let _ = channel.recv();
    });
    let kept = (writer, sender);
    panic!("all wait {:?}", kept.0);
}

fn number(printed: &str, name: &str) -> i64 {
    let line = printed.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {printed}")).trim().parse().unwrap()
}

#[test]
fn what_threads_wait_for_is_known() {
    let evidence = Evidence::of("processes::threads_wait");
    let look = evidence.look("panic");
    assert_eq!(evidence.gaps(), "");
    let body = body(look);
    assert!(!body["is_closed"].as_bool().unwrap());
    assert!(body["command"][0].as_str().unwrap().contains("evidence"), "{body:#}");
    assert!(body["open_files"].as_u64().unwrap() > 0);
    let call = |name: &str| &one(&body["threads"], "name", name)["call"];
    for (name, expected, descriptor) in [
        ("accepts", "accept4", "listener "),
        ("receives", "recvfrom", "udp "),
        ("polls", "poll", "polled "),
    ] {
        let call = call(name);
        assert_eq!(call["name"], expected, "{call:#}");
        let number = number(&evidence.printed, descriptor);
        assert_eq!(call["descriptors"], serde_json::json!([number]), "{call:#}");
        let open = one(&body["descriptors"], "number", number);
        let target = open["target"].as_str().unwrap();
        let inode = target.strip_prefix("socket:[").unwrap().trim_end_matches(']');
        let inode: u64 = inode.parse().unwrap();
        let network = one(&look["networks"], "node", "");
        let socket = one(&network["sockets"], "inode", inode);
        match name {
            "accepts" => assert_eq!(socket["local"], "127.0.0.1:8080", "{socket:#}"),
            "receives" => assert_eq!(socket["local"], "127.0.0.1:5353", "{socket:#}"),
            _ => assert_eq!(socket["protocol"], "unix", "{socket:#}"),
        }
    }
    assert_eq!(call("channel")["name"], "futex");
    for thread in body["threads"].as_array().unwrap() {
        assert_eq!(thread["network"], one(&look["networks"], "node", "")["inode"], "{thread:#}");
    }
}

#[netns_test(timeout = "500ms")]
#[ignore = "run by another test"]
async fn runtime_hangs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await.unwrap();
    println!("listener {}", listener.as_raw_fd());
    drop(listener.accept().await);
}

#[test]
fn what_a_runtime_waits_for_is_known() {
    let evidence = Evidence::of("processes::runtime_hangs");
    let look = evidence.look("time limit");
    assert_eq!(evidence.gaps(), "");
    let body = body(look);
    let threads = body["threads"].as_array().unwrap();
    let number = number(&evidence.printed, "listener ");
    let waits = |thread: &&Value| {
        let call = &thread["call"];
        let is_epoll = call["name"].as_str().is_some_and(|name| name.starts_with("epoll_"));
        is_epoll && call["descriptors"].as_array().unwrap().contains(&number.into())
    };
    assert!(threads.iter().any(|thread| waits(&thread)), "{threads:#?}");
}

#[netns_test]
#[ignore = "run by another test"]
fn has_children() {
    let mut living = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let mut ended = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
    println!("living {}\nended {}", living.id(), ended.id());
    let path = format!("/proc/{}/stat", ended.id());
    netns_test_tests::eventually(netns_test_tests::LIMIT, "the end of the child", || {
        std::fs::read_to_string(&path).unwrap().contains(") Z ")
    });
    let path = format!("/proc/{}/wchan", living.id());
    netns_test_tests::eventually(netns_test_tests::LIMIT, "the child sleeps", || {
        std::fs::read_to_string(&path).unwrap().contains("nanosleep")
    });
    assert!(living.try_wait().unwrap().is_some(), "it sleeps");
    ended.wait().unwrap();
}

#[test]
fn children_and_zombies_are_shown() {
    let evidence = Evidence::of("processes::has_children");
    let look = evidence.look("panic");
    assert_eq!(evidence.gaps(), "");
    let process = |name| one(&look["processes"], "pid", number(&evidence.printed, name));
    let (living, ended) = (process("living "), process("ended "));
    assert_eq!((&living["name"], &living["state"]), (&"sleep".into(), &"S".into()));
    assert_eq!(living["command"], serde_json::json!(["sleep", "1000"]));
    assert_eq!(living["threads"][0]["call"]["name"], "clock_nanosleep");
    assert_eq!(living["parent"], body(look)["pid"]);
    assert_eq!((&ended["state"], &ended["status"]), (&"Z".into(), &(3 << 8).into()));
    let listed = look["processes"].as_array().unwrap();
    assert_eq!(listed.len(), 3, "{listed:#?}");
}
