//! Bad input: each a clear error.

use std::fs;

use netns_test::{NamedNetNs, NetNs, netns_test};

fn error(result: netns_test::Result<NetNs>) -> String {
    result.unwrap_err().to_string()
}

#[netns_test]
fn other_files_than_network_namespaces_are_named() {
    for (path, what) in [
        ("/proc/version", "it is a regular file"),
        ("/proc", "it is a directory"),
        ("/dev/null", "it is a device"),
        ("/proc/self/ns/mnt", "it is a mnt namespace"),
        ("/proc/self/ns/user", "it is a user namespace"),
        ("/proc/self/ns/cgroup", "it is a namespace, but"),
    ] {
        let error = error(NetNs::from_path(path));
        assert!(error.contains(&format!("take {path}: {what}")), "{error}");
        assert!(error.contains("not a network namespace"), "{error}");
    }
    let missing = error(NetNs::from_path("/nowhere"));
    assert!(missing.contains("open /nowhere: ENOENT"), "{missing}");
    let file = fs::File::open("/dev/null").unwrap();
    assert!(error(NetNs::try_from(std::os::fd::OwnedFd::from(file))).contains("it is a device"));
}

#[netns_test]
fn unknown_processes_are_named() {
    let gone = error(NetNs::from_pid(4_000_000));
    assert!(gone.contains("ENOENT") && gone.contains("there is no process 4000000"), "{gone}");
    let gone = error(NetNs::from_thread(std::process::id(), 4_000_000));
    assert!(gone.contains("there is no thread 4000000 of process"), "{gone}");
    for pid in [0, u32::MAX, 1 << 31] {
        let error = error(NetNs::from_pid(pid));
        assert!(error.contains(&format!("{pid} is no process id")), "{error}");
    }
}

#[netns_test]
fn names_that_cannot_be_names_are_refused() {
    let long = "x".repeat(256);
    for name in ["", ".", "..", "../x", "a/b", "/run/x", "a\0b", &long] {
        let named = [
            NetNs::from_name(name).map(drop),
            NamedNetNs::create(name).map(drop),
            NamedNetNs::remove(name),
        ];
        for result in named {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("use the name {name:?}: ")), "{error}");
        }
    }
    let missing = error(NetNs::from_name("unknown"));
    assert!(missing.contains("open /run/netns/unknown: ENOENT"), "{missing}");
    let missing = NamedNetNs::remove("unknown").unwrap_err().to_string();
    assert!(missing.contains("take away /run/netns/unknown: ENOENT"), "{missing}");
}

#[netns_test]
fn unknown_containers_are_named() {
    let error = error(NetNs::from_container("0123456789ab"));
    assert!(error.contains("find container 0123456789ab: no process"), "{error}");
}

/// EMFILE is reported, and no thread is moved.
#[netns_test]
fn a_full_table_of_descriptors_is_an_error() {
    let before = NetNs::current().unwrap();
    let mut held = Vec::new();
    let full = loop {
        match fs::File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(full.raw_os_error(), Some(libc::EMFILE));
    for result in [NetNs::current(), NetNs::new(), before.try_clone()] {
        let error = result.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
    }
    assert_eq!(before.enter().map(drop).unwrap_err().raw_os_error(), Some(libc::EMFILE));
    assert_eq!(
        NamedNetNs::create("full").map(drop).unwrap_err().raw_os_error(),
        Some(libc::EMFILE)
    );
    drop(held);
    assert_eq!(NetNs::current().unwrap(), before);
    assert!(!std::path::Path::new("/run/netns/full").exists());
}
