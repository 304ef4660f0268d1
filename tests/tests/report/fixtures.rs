//! Tests whose reports and files are looked at.

use std::net::TcpListener;
use std::process::Command;

use netns_test::netns_test;

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
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("1000").spawn().unwrap();
    std::fs::remove_dir_all(place).unwrap();
    assert_eq!(child.id(), 0, "it has a number");
    child.kill().unwrap();
}
