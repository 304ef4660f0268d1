//! Two thousand tests in one binary, and a hundred with a lab, and nothing of them left.
//!
//! Each is declared within a function, so that libtest does not list two thousand lines in every
//! run. One ignored test calls them, sixteen at a time.

#![expect(unnameable_test_items, reason = "they are called, not listed")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use netns_test::Topology;
use netns_test_tests::{
    LIMIT, Resources, again, call_all, call_all_on, children, eventually, fork_server, many,
    passes, scratch,
};

const THREADS: usize = 16;

#[test]
fn two_thousand_tests_pass_and_leave_nothing() {
    leave_nothing(1);
}

#[test]
#[ignore = "takes a minute: CONTRIBUTING.md"]
fn ten_thousand_tests_pass_and_leave_nothing() {
    leave_nothing(5);
}

/// Runs two thousand tests a few times, and checks that no process, namespace, mount or file is
/// left, then or afterwards.
fn leave_nothing(times: usize) {
    // Orphans become children of this process, which leaves them to be seen.
    // SAFETY: a flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
    let before = Resources::of_program();
    for _ in 0..times {
        without_files(again(&[], &["--exact", "calls_two_thousand_tests"]));
    }
    eventually(2 * LIMIT, "nothing is left", || {
        let seen = Resources::of_program();
        if seen.is_within(&before) { Ok(()) } else { Err(Box::new((seen, "before:", &before))) }
    });
    // This process has a server, and the runner has reaped its own.
    assert_eq!(children(std::process::id()), [fork_server()]);
}

#[test]
fn a_hundred_labs_pass_and_leave_no_file() {
    without_files(many(&[], "calls_a_hundred_labs", 4));
}

/// Runs a test that passes and writes no file: neither evidence nor a temporary one.
fn without_files(mut command: Command) {
    let (temporary, out) = (scratch("temporary"), scratch("out"));
    let place = out.join("made");
    command.env("TMPDIR", &temporary).env("NETNS_TEST_OUT", &place).env_remove("NETNS_TEST_KEEP");
    passes(&mut command, 1);
    assert!(!place.exists(), "{}", place.display());
    for directory in [temporary, out] {
        let left: Vec<_> = fs::read_dir(&directory).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        fs::remove_dir(directory).unwrap();
    }
}

#[test]
#[ignore = "run by a_hundred_labs_pass_and_leave_no_file"]
fn calls_a_hundred_labs() {
    call_all(labs::ALL.as_flattened());
}

/// A module, as both macros declare modules of the same names.
mod labs {
    netns_test_tests::hundred_tests!(crate::connects);

    pub(crate) const ALL: &[[fn(); 10]] = &HUNDRED;
}

/// Connects two hosts, and notes it.
fn connects() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    net.link(client, server);
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    lab.note("it listens");
    let to = (lab[server].ipv4(), 80);
    let stream = lab[client].run(move || TcpStream::connect(to).unwrap());
    assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
    Ok(())
}

#[test]
#[ignore = "run by two_thousand_tests_pass_and_leave_nothing"]
fn calls_two_thousand_tests() {
    let all = ALL.as_flattened().as_flattened();
    assert_eq!(all.len(), 2_000);
    call_all_on(THREADS, all);
}

/// Declares functions of these names, each of which calls an isolated test of its own.
macro_rules! one {
    ($($name:ident)*) => {
        pub(crate) const ALL: [fn(); 20] = [$($name),*];

        $(fn $name() {
            #[netns_test::netns_test]
            fn $name() {}
            $name();
        })*
    };
}

macro_rules! twenty {
    ($($module:ident)*) => {
        pub(crate) const ALL: [[fn(); 20]; 10] = [$($module::ALL),*];

        $(mod $module {
            one! { a b c d e f g h i j k l m n o p q r s t }
        })*
    };
}

macro_rules! two_hundred {
    ($($module:ident)*) => {
        const ALL: [[[fn(); 20]; 10]; 10] = [$($module::ALL),*];

        $(mod $module {
            twenty! { a b c d e f g h i j }
        })*
    };
}

two_hundred! { a b c d e f g h i j }
