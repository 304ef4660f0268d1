//! A lot of output: all of it arrives, no process hangs, and the runner does not keep
//! it all.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use netns_test::netns_test;
use netns_test_tests::{again, passes};

const LINE: &[u8; 100] = &[b'x'; 100];
const LINES: usize = 1_000_000;

#[test]
fn a_hundred_megabytes_are_replayed_in_bounded_memory() {
    let mut run = again(&[], &["--exact", "writes_a_lot", "--nocapture"]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut buffer, mut count) = (vec![0; 1 << 20], 0);
    let mut peak = 0;
    loop {
        let read = stdout.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        count += buffer[..read].iter().filter(|&&byte| byte == b'x').count();
        peak = peak.max(resident_kib(child.id()).unwrap_or(0));
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count, LINE.len() * LINES);
    assert!(peak > 0 && peak < 50_000, "the runner used {peak} KiB");
}

#[test]
fn a_hundred_megabytes_are_captured() {
    passes(&mut again(&[], &["--exact", "writes_a_lot"]), 1);
}

#[test]
fn a_reader_that_leaves_early_does_not_leave_anything_behind() {
    let mut run = again(&[], &["--exact", "writes_a_lot", "--nocapture"]);
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    drop(stdout);
    // Like any test that prints to a closed pipe, it fails.
    assert!(!child.wait().unwrap().success());
}

fn resident_kib(pid: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[netns_test(timeout = "none")]
#[ignore = "run by the tests above"]
fn writes_a_lot() {
    let mut stdout = std::io::stdout().lock();
    for _ in 0..LINES {
        stdout.write_all(LINE).unwrap();
    }
}
