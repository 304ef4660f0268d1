//! Tests that close themselves to inspection, or break what evidence is taken from. The verdict
//! stays, and what could not be had is said.

use std::fs::File;
use std::net::TcpListener;

use netns_test::{Topology, netns_test};
use netns_test_tests::{LIMIT, eventually};

use super::{Evidence, body, one};

/// Panics with a lab and an own listener.
fn fails_with_a_lab() {
    let mut net = Topology::new();
    let (a, b) = (net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build().unwrap();
    let _listener = lab[a].run(|| TcpListener::bind("0.0.0.0:8080").unwrap());
    panic!("with a lab");
}

fn has_listener(look: &serde_json::Value) {
    let network = one(&look["networks"], "node", "a");
    let socket = one(&network["sockets"], "state", "LISTEN");
    assert_eq!(socket["local"], "0.0.0.0:8080");
    one(&network["interfaces"], "name", "eth0");
}

#[netns_test]
#[ignore = "run by another test"]
fn closes_itself() {
    // SAFETY: touches no memory.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) }, 0);
    fails_with_a_lab();
}

#[test]
fn a_closed_test_shows_what_can_be_had() {
    let evidence = Evidence::of("hostile::closes_itself");
    assert!(evidence.printed.contains("with a lab"), "{}", evidence.printed);
    let look = evidence.look("panic");
    assert!(evidence.gaps().contains("is closed to inspection"), "{}", evidence.gaps());
    let body = body(look);
    assert_eq!(body["is_closed"], true);
    assert!(!body["threads"].as_array().unwrap().is_empty());
    one(&look["networks"], "node", "");
}

#[netns_test]
#[ignore = "run by another test"]
fn unmounts_proc() {
    // SAFETY: the kernel reads a C string.
    assert_eq!(unsafe { libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH) }, 0);
    panic!("without a /proc");
}

#[test]
fn a_test_without_proc_is_shown() {
    let evidence = Evidence::of("hostile::unmounts_proc");
    assert!(evidence.printed.contains("without a /proc"), "{}", evidence.printed);
    let look = evidence.look("panic");
    assert!(!body(look)["threads"].as_array().unwrap().is_empty());
    one(&look["networks"], "node", "");
}

/// Covers `/run` by a small file system, and fills it.
#[netns_test]
#[ignore = "run by another test"]
fn fills_run() {
    let (kind, place, options) = (c"tmpfs", c"/run", c"size=16k");
    // SAFETY: the kernel reads C strings.
    let mounted = unsafe {
        libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast())
    };
    assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
    let full = std::fs::write("/run/full", [0; 64 << 10]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // Of a file there is no content any more, of a directory the name.
    let place = netns_test::artifact_dir().unwrap();
    std::fs::write(place.join("log"), "text").unwrap_err();
    fails_with_a_lab();
}

#[test]
fn a_test_that_fills_run_is_shown() {
    let evidence = Evidence::of("hostile::fills_run");
    assert!(evidence.printed.contains("with a lab"), "{}", evidence.printed);
    has_listener(evidence.look("panic"));
    assert_eq!(evidence.gaps(), "");
}

#[netns_test]
#[ignore = "run by another test"]
fn closes_all_files() {
    // SAFETY: touches no memory; what owns these files is not used any more.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) }, 0);
    panic!("without files");
}

#[test]
fn a_test_without_files_is_shown() {
    let evidence = Evidence::of("hostile::closes_all_files");
    let look = evidence.look("panic");
    assert_eq!(evidence.gaps(), "");
    assert_eq!(body(look)["descriptors"], serde_json::json!([]));
    one(&one(&look["networks"], "node", "")["interfaces"], "name", "lo");
}

#[netns_test]
#[ignore = "run by another test"]
fn fills_its_table() {
    let limit = libc::rlimit { rlim_cur: 60_000, rlim_max: 60_000 };
    // SAFETY: the kernel reads one `rlimit`.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let opened = (0..10_000).map_while(|_| File::open("/dev/null").ok());
    let mut files: Vec<File> = opened.collect();
    // The rest is for the lab.
    files.truncate(files.len().saturating_sub(200));
    let threads = (0..900).map_while(|_| std::thread::Builder::new().spawn(std::thread::park).ok());
    println!("{} files\n{} threads", files.len(), threads.count());
    fails_with_a_lab();
}

#[test]
fn a_test_with_many_files_and_threads_is_shown_in_part() {
    let evidence = Evidence::of("hostile::fills_its_table");
    assert!(evidence.printed.contains("with a lab"), "{}", evidence.printed);
    let look = evidence.look("panic");
    let body = body(look);
    assert!(body["descriptors"].as_array().unwrap().len() <= 2_000);
    assert!(body["threads"].as_array().unwrap().len() <= 500);
    let (gaps, printed) = (evidence.gaps(), &evidence.printed);
    assert!(gaps.contains("more open files"), "{gaps}\n{printed}");
    // A busy machine may not have that many.
    let count = printed.lines().find_map(|line| line.strip_suffix(" threads")?.parse::<u32>().ok());
    assert!(count.unwrap() < 500 || gaps.contains("more threads"), "{gaps}\n{printed}");
    // Nor the time for all of it.
    if !gaps.contains("the time was over") {
        has_listener(look);
    }
}

#[netns_test]
#[ignore = "run by another test"]
fn limits_the_files_of_init() {
    let none = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    // SAFETY: the kernel reads one `rlimit`.
    let set =
        unsafe { libc::prlimit(1, libc::RLIMIT_NOFILE, &raw const none, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    panic!("init has no room");
}

#[test]
fn an_init_without_room_for_files_keeps_the_verdict() {
    let evidence = Evidence::of("hostile::limits_the_files_of_init");
    assert!(evidence.printed.contains("init has no room"), "{}", evidence.printed);
    assert_eq!(evidence.all["looks"], serde_json::json!([]));
    assert!(evidence.gaps().contains("the look at the panic"), "{}", evidence.gaps());
}

/// Sends a signal to every other process that appears, as long as the body lives.
fn signals_all(number: i32) {
    let own = std::process::id().to_string();
    std::thread::spawn(move || {
        loop {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            let all = all.filter_map(|entry| entry.file_name().into_string().ok());
            for pid in all.filter(|name| *name != own && name != "1") {
                // SAFETY: touches no memory.
                unsafe { libc::kill(pid.parse().unwrap_or(i32::MAX), number) };
            }
        }
    });
}

#[netns_test]
#[ignore = "run by another test"]
fn kills_the_examiner() {
    signals_all(libc::SIGKILL);
    fails_with_a_lab();
}

#[netns_test]
#[ignore = "run by another test"]
fn stops_the_examiner() {
    signals_all(libc::SIGSTOP);
    fails_with_a_lab();
}

#[test]
fn an_examiner_that_dies_or_hangs_keeps_the_verdict() {
    for name in ["kills_the_examiner", "stops_the_examiner"] {
        // The signal may come too late.
        eventually(LIMIT, name, || {
            let evidence = Evidence::once(&format!("hostile::{name}"));
            assert!(evidence.printed.contains("with a lab"), "{}", evidence.printed);
            evidence.gaps().contains("the look at the panic")
        });
    }
}
