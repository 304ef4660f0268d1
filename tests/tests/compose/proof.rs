//! How a test body proves that it ran, where, and that it was the only one there.

use std::net::TcpListener;

/// Passes once in each sandbox, and leaves a line that `compose.rs` looks for.
#[track_caller]
pub(crate) fn isolated() {
    let interfaces: Vec<_> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(interfaces, ["lo"]);
    assert_eq!(std::os::unix::process::parent_id(), 1, "the parent is not the sandbox's init");
    // It stays bound until the process ends: a second body in this sandbox could not have it,
    // nor could any body outside a sandbox, unless root runs it.
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    std::mem::forget(listener);
    println!("ran {}", std::thread::current().name().unwrap());
}

/// A line such as `Uid: 0 0 0 0` of `/proc/self/status`, as its numbers.
pub(crate) fn status_numbers(key: &str) -> Vec<u32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}
