//! Who a body is: the caller, with the caller's rights over files and all rights over the
//! new namespaces.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::Command;

use netns_test::netns_test;
use netns_test_tests::{again, is_root, passes, scratch, status, stdout_of};

/// Capabilities 1 to 3: `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`.
const OVER_FILES: u64 = 0b1110;

fn capabilities(field: &str) -> u64 {
    u64::from_str_radix(&status(field), 16).unwrap()
}

fn all_capabilities() -> u64 {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    (1 << (last.trim().parse::<u32>().unwrap() + 1)) - 1
}

#[test]
fn the_body_is_the_caller() {
    let mut run = again(&[], &["--exact", "identity::is_the_caller"]);
    for field in ["Uid", "Gid", "Groups"] {
        run.env(field, status(field));
    }
    passes(&mut run, 1);
}

#[netns_test]
#[ignore = "run by the_body_is_the_caller"]
fn is_the_caller() {
    for field in ["Uid", "Gid"] {
        assert_eq!(status(field), std::env::var(field).unwrap());
    }
    // Groups of an ordinary caller cannot be mapped; they show as the overflow id.
    if is_root() {
        assert_eq!(status("Groups"), std::env::var("Groups").unwrap());
    }
}

#[netns_test]
fn programs_have_the_rights_of_the_body() {
    let own = status("CapEff");
    let of_program = stdout_of("sed", &["-n", "s/^CapEff:\t//p", "/proc/self/status"]);
    assert_eq!(of_program.trim(), own);
    let dropped = if is_root() { 0 } else { OVER_FILES };
    assert_eq!(capabilities("CapEff"), all_capabilities() & !dropped);
    assert_eq!(capabilities("CapBnd"), all_capabilities() & !dropped);
}

#[test]
fn a_body_can_do_to_files_what_its_caller_can() {
    let scratch = scratch("files");
    let closed = scratch.join("closed");
    fs::write(&closed, "content").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read(&closed).is_ok();
    if is_root() {
        fs::write(scratch.join("other"), "").unwrap();
        chown(scratch.join("other"), Some(12_345), Some(12_345)).unwrap();
    }
    let mut run = again(&[], &["--exact", "identity::tries_the_files"]);
    passes(run.env("SCRATCH", &scratch).env("READABLE", readable.to_string()), 1);
    if is_root() {
        let other = fs::metadata(scratch.join("other")).unwrap();
        assert_eq!((other.uid(), other.len()), (54_321, 7));
    }
    assert_eq!(fs::metadata(scratch.join("new")).unwrap().uid(), own_uid());
    fs::remove_dir_all(scratch).unwrap();
}

fn own_uid() -> u32 {
    status("Uid").split('\t').next().unwrap().parse().unwrap()
}

#[netns_test]
#[ignore = "run by a_body_can_do_to_files_what_its_caller_can"]
fn tries_the_files() {
    let scratch = std::path::PathBuf::from(std::env::var_os("SCRATCH").unwrap());
    let read = fs::read(scratch.join("closed"));
    let expected = std::env::var("READABLE").unwrap() == "true";
    assert_eq!(read.is_ok(), expected, "{read:?}");
    fs::write(scratch.join("new"), "").unwrap();
    if is_root() {
        fs::write(scratch.join("other"), "written").unwrap();
        chown(scratch.join("other"), Some(54_321), None).unwrap();
    } else {
        let refused = fs::write("/etc/netns-test", "").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
}

#[netns_test(user = "root")]
fn root_is_root() {
    assert!(status("Uid").starts_with("0\t0\t0"), "{}", status("Uid"));
    assert!(status("Gid").starts_with("0\t0\t0"), "{}", status("Gid"));
    assert_eq!(capabilities("CapEff"), all_capabilities());
    assert_eq!(stdout_of("id", &["-u"]).trim(), "0");
    let of_program = stdout_of("sed", &["-n", "s/^CapEff:\t//p", "/proc/self/status"]);
    assert_eq!(of_program.trim(), status("CapEff"));
}

#[netns_test(user = "root")]
fn root_can_mount() {
    let mount = Command::new("mount").args(["-t", "tmpfs", "none", "/mnt"]).status().unwrap();
    assert!(mount.success());
    fs::write("/mnt/file", "").unwrap();
}

/// Root without some capabilities does not get them inside: only a caller that is root can
/// give rights up.
#[test]
fn a_right_over_files_that_root_has_given_up_stays_away() {
    if !is_root() {
        return;
    }
    let without = ["capsh", "--drop=cap_fowner,cap_chown", "--", "-c", "exec \"$0\" \"$@\""];
    passes(&mut again(&without, &["--exact", "identity::has_no_fowner"]), 1);
}

#[netns_test]
#[ignore = "run by a_right_over_files_that_root_has_given_up_stays_away"]
fn has_no_fowner() {
    let (chown, fowner) = (1 << 0, 1 << 3);
    assert_eq!(capabilities("CapEff"), all_capabilities() & !(chown | fowner));
    let of_program = stdout_of("sed", &["-n", "s/^CapEff:\t//p", "/proc/self/status"]);
    assert_eq!(of_program.trim(), status("CapEff"));
}
