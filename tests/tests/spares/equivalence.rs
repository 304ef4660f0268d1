//! A spare equals a sandbox that is made for its test: what the runner has changed
//! meanwhile holds for it, too.

use std::fs;
use std::path::Path;
use std::process::Command;

use netns_test::netns_test;

use super::{plays, read, run, shared, succeeds, unshare, wait_for};

/// Writes the state that a body finds, for its runner.
#[netns_test]
#[ignore = "run by the runners of this file"]
fn records_its_view() {
    fs::write(shared("directory"), std::env::current_dir().unwrap().to_str().unwrap()).unwrap();
    let output = Command::new("hostname").output().unwrap();
    fs::write(shared("hostname"), output.stdout).unwrap();
    let there = ["mounted/file", "/run/new"].map(|path| Path::new(path).exists());
    fs::write(shared("there"), format!("{there:?}")).unwrap();
    fs::write(shared("variable"), std::env::var("VARIABLE").unwrap_or_default()).unwrap();
}

/// Two tests, after which there is a spare.
fn warm_up() {
    run();
    run();
    wait_for(1);
}

#[test]
fn the_directory_is_the_one_of_the_request() {
    plays("equivalence::moves", &[], "");
}

#[test]
#[ignore = "run by the_directory_is_the_one_of_the_request"]
fn moves() {
    warm_up();
    for name in ["one", "two"] {
        let directory = fs::canonicalize(shared("")).unwrap().join(name);
        fs::create_dir(&directory).unwrap();
        std::env::set_current_dir(&directory).unwrap();
        records_its_view();
        assert_eq!(read("directory"), directory.to_str().unwrap());
        // The same directory by its new name.
        let renamed = directory.with_extension("renamed");
        fs::rename(&directory, &renamed).unwrap();
        records_its_view();
        assert_eq!(read("directory"), renamed.to_str().unwrap());
    }
}

#[test]
fn mounts_and_unmounts_of_the_machine_are_seen() {
    plays("equivalence::mounts", &unshare("-Urm"), "");
}

#[test]
#[ignore = "run by mounts_and_unmounts_of_the_machine_are_seen"]
fn mounts() {
    fs::create_dir(shared("mounted")).unwrap();
    fs::create_dir(shared("source")).unwrap();
    fs::write(shared("source/file"), "").unwrap();
    std::env::set_current_dir(shared("")).unwrap();
    warm_up();
    succeeds(Command::new("mount").args(["--bind", "source", "mounted"]));
    records_its_view();
    assert_eq!(read("there"), "[true, false]");
    // Until one is kept again.
    for _ in 0..4 {
        run();
    }
    wait_for(1);
    succeeds(Command::new("umount").arg("mounted"));
    records_its_view();
    assert_eq!(read("there"), "[false, false]");
}

/// The request's directory may be in mounts that the server does not have.
#[test]
fn private_mounts_of_the_runner_are_seen() {
    plays("equivalence::mounts_of_its_own", &unshare("-Ur"), "3");
}

#[test]
#[ignore = "run by private_mounts_of_the_runner_are_seen"]
fn mounts_of_its_own() {
    fs::create_dir(shared("mounted")).unwrap();
    std::env::set_current_dir(shared("")).unwrap();
    run();
    wait_for(3);
    // SAFETY: moves this thread into mounts of its own.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    succeeds(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "mounted"]));
    fs::write("mounted/file", "").unwrap();
    records_its_view();
    assert_eq!(read("there"), "[true, false]");
}

#[test]
fn new_entries_of_run_are_seen() {
    plays("equivalence::runs", &unshare("-Urm"), "");
}

#[test]
#[ignore = "run by new_entries_of_run_are_seen"]
fn runs() {
    succeeds(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    warm_up();
    fs::write("/run/new", "").unwrap();
    records_its_view();
    assert_eq!(read("there"), "[false, true]");
}

#[test]
fn the_hostname_is_the_one_of_the_request() {
    plays("equivalence::names", &unshare("-Uru"), "");
}

#[test]
#[ignore = "run by the_hostname_is_the_one_of_the_request"]
fn names() {
    warm_up();
    succeeds(Command::new("hostname").arg("renamed"));
    records_its_view();
    assert_eq!(read("hostname"), "renamed\n");
}

/// Environment, masks and limits go to the body with the request, whoever its init is.
#[test]
fn the_environment_is_the_one_of_the_request() {
    plays("equivalence::sets", &[], "");
}

#[test]
#[ignore = "run by the_environment_is_the_one_of_the_request"]
fn sets() {
    warm_up();
    // SAFETY: no other thread of this run looks at the environment.
    unsafe { std::env::set_var("VARIABLE", "value") };
    records_its_view();
    assert_eq!(read("variable"), "value");
}

/// Copied files are copied anew, also from deeper directories.
#[test]
fn changed_files_below_run_are_seen() {
    plays("equivalence::copies", &unshare("-Urm"), "");
}

#[test]
#[ignore = "run by changed_files_below_run_are_seen"]
fn copies() {
    succeeds(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    fs::create_dir_all("/run/one/two").unwrap();
    fs::write("/run/one/two/file", "old").unwrap();
    warm_up();
    copies_a_file();
    assert_eq!(read("file"), "old");
    wait_for(1);
    fs::write("/run/one/two/file", "new").unwrap();
    copies_a_file();
    assert_eq!(read("file"), "new");
}

#[netns_test]
#[ignore = "run by the runners of this file"]
fn copies_a_file() {
    fs::copy("/run/one/two/file", shared("file")).unwrap();
}
