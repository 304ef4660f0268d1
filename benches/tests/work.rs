//! The tests that the benchmark measures: a thousand with an empty body, one that takes 5 ms,
//! one that prints 100 MB, some with a lab, and some that panic. The test `driver` calls them as
//! libtest would and reports how long they took.
//!
//! The manifest has `test = false` for this target, so `cargo test` does not run it.

use std::alloc::{Layout, alloc};
use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{panic, thread};

use netns_test::{Topology, netns_test};

/// Duration of the body of [`five_ms`].
const BODY: Duration = Duration::from_millis(5);

/// Number of bytes that [`hundred_mb`] prints, in lines of 64 bytes.
const PRINTED: usize = 100_000_000;

#[netns_test]
fn five_ms() {
    thread::sleep(BODY);
}

#[netns_test]
fn hundred_mb() -> io::Result<()> {
    let line = [&[b'x'; 63][..], b"\n"].concat();
    let piece = line.repeat(1000);
    let mut stdout = io::stdout().lock();
    for _ in 0..PRINTED / piece.len() {
        stdout.write_all(&piece)?;
    }
    stdout.write_all(&line.repeat(PRINTED % piece.len() / line.len()))
}

/// File for the time at which the body of a test with a lab has ended.
const ENDED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/lab-ended");

#[netns_test]
fn direct_link() {
    pair(false);
}

#[netns_test]
fn impairable_link() {
    pair(true);
}

/// Builds a lab of two hosts, and notes the time before its end.
fn pair(is_impairable: bool) {
    let mut net = Topology::new();
    if is_impairable {
        net.impairable_links();
    }
    let (near, far) = (net.host("near"), net.host("far"));
    net.link(near, far);
    let _lab = net.build().unwrap();
    fs::write(ENDED, now().to_string()).unwrap();
}

/// Runs a test with a lab so many times, and returns the times from the end of each body to the
/// verdict.
fn ends(count: &str, test: fn()) -> Vec<u64> {
    let end = |_| {
        test();
        let now = now();
        now - fs::read_to_string(ENDED).unwrap().parse::<u64>().unwrap()
    };
    (0..count.parse::<u32>().unwrap()).map(end).collect()
}

/// Reads the monotonic clock, which all processes share.
fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the C library writes one `timespec` to the live variable.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(result, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Runs the request on each line of stdin, and answers with durations in nanoseconds.
#[test]
fn driver() {
    let tests = empty::all();
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["empty", count] => vec![repeat(count, tests[0])],
            ["5ms", count] => vec![repeat(count, five_ms)],
            ["sleep", count] => vec![repeat(count, || thread::sleep(BODY))],
            ["touch", megabytes] => vec![touch(megabytes.parse().unwrap())],
            ["panic2"] => vec![from_panic(panics_with_two_nodes)],
            ["panic200"] => vec![from_panic(panics_with_two_hundred_nodes)],
            ["ends-direct", count] => ends(count, direct_link),
            ["ends-impairable", count] => ends(count, impairable_link),
            ["each", count] => each(count.parse().unwrap(), &tests),
            _ => panic!("{line}"),
        };
        let answer: Vec<String> = answer.iter().map(ToString::to_string).collect();
        // libtest captures `print!`. The answer begins a new line, after what libtest has printed.
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "\n= {}", answer.join(" ")).unwrap();
        stdout.flush().unwrap();
    }
}

fn repeat(count: &str, test: fn()) -> u64 {
    let start = Instant::now();
    for _ in 0..count.parse().unwrap() {
        test();
    }
    nanoseconds(start)
}

/// Runs `count` tests, starting over after the last one, and returns the duration of each.
fn each(count: usize, tests: &[fn()]) -> Vec<u64> {
    let time = |test: &fn()| {
        let start = Instant::now();
        test();
        nanoseconds(start)
    };
    tests.iter().cycle().take(count).map(time).collect()
}

/// Allocates and writes `megabytes` MiB that this process keeps until it ends.
fn touch(megabytes: usize) -> u64 {
    let layout = Layout::from_size_align(megabytes << 20, 4096).unwrap();
    let start = Instant::now();
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc(layout) };
    assert!(!memory.is_null());
    // SAFETY: the memory has this size, and nothing else refers to it.
    unsafe { memory.write_bytes(1, layout.size()) };
    std::hint::black_box(memory);
    nanoseconds(start)
}

/// Returns the time from the panic of a test, whose message is that moment, to its end.
fn from_panic(test: fn()) -> u64 {
    let message = panic::catch_unwind(test).unwrap_err();
    let end = now();
    let began = message.downcast_ref::<String>().map(|text| text.parse::<u64>());
    end - began.expect("a message").expect("a number")
}

/// Fails at once: the time between is the harness's.
#[netns_test]
#[ignore = "called by the driver"]
fn panics_with_two_nodes() {
    panics(2);
}

#[netns_test]
#[ignore = "called by the driver"]
fn panics_with_two_hundred_nodes() {
    panics(200);
}

fn panics(nodes: usize) {
    let mut net = Topology::new();
    let router = net.router("router");
    for number in 1..nodes {
        let host = net.host(format!("h{number}"));
        net.link(host, router);
    }
    let _lab = net.build().unwrap();
    panic!("{}", now());
}

/// Connects two nodes.
fn connects() {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build().unwrap();
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let to = (lab[server].ipv4(), 80);
    let stream = lab[client].run(move || TcpStream::connect(to).unwrap());
    assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
}

mod labs {
    macro_rules! connect {
        ($($name:ident)*) => {
            $(
                #[netns_test::netns_test]
                fn $name() {
                    super::connects();
                }
            )*
        };
    }

    connect! { a b c d e f g h i j k l m n o p q r s t }
}

fn nanoseconds(start: Instant) -> u64 {
    start.elapsed().as_nanos().try_into().unwrap()
}

macro_rules! ten {
    ($($name:ident)*) => {
        $(
            #[netns_test::netns_test]
                        fn $name() {}
        )*
        pub(crate) fn all() -> Vec<fn()> {
            vec![$($name),*]
        }
    };
}

macro_rules! hundred {
    ($($module:ident)*) => {
        $(mod $module { ten! { a b c d e f g h i j } })*
        pub(crate) fn all() -> Vec<fn()> {
            [$($module::all()),*].concat()
        }
    };
}

macro_rules! thousand {
    ($($module:ident)*) => {
        $(mod $module { hundred! { a b c d e f g h i j } })*
        pub(crate) fn all() -> Vec<fn()> {
            [$($module::all()),*].concat()
        }
    };
}

/// A thousand empty tests: `empty::a` to `empty::j` hold a hundred each.
mod empty {
    thousand! { a b c d e f g h i j }
}
