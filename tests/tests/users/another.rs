//! `user = "nobody"`, or a uid: for a caller who is root.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use netns_test::netns_test;
use netns_test_tests::confine::may_map_all;
use netns_test_tests::{
    again, copy_this_program, fails, left_out, passes, scratch, status, stdout_of, text,
};

/// A uid that no machine has a line for.
const UNKNOWN: u32 = 1_234_567;

fn capabilities(field: &str) -> u64 {
    u64::from_str_radix(&status(field), 16).unwrap()
}

/// Runs bodies of other users, which takes a caller that may map every id.
fn as_root(what: &str, test: &str) {
    if !may_map_all() {
        return left_out(what, "only root of the machine can be another user");
    }
    passes(&mut again(&[], &["--exact", test]), 1);
}

fn the_ids_are(uid: u32, gid: u32) {
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    assert_eq!((status("Uid"), status("Gid")), (four(uid), four(gid)));
    let shown = stdout_of("id", &["-u"]);
    assert_eq!(shown.trim(), uid.to_string());
}

#[test]
fn a_body_can_be_a_user_by_name() {
    as_root("a_body_can_be_a_user_by_name", "another::is_the_user_nobody");
}

#[netns_test(user = "nobody")]
#[ignore = "run by a_body_can_be_a_user_by_name"]
fn is_the_user_nobody() {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).unwrap();
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    the_ids_are(ids[0], ids[1]);
}

#[test]
fn a_body_can_be_a_user_by_number() {
    let what = "a_body_can_be_a_user_by_number";
    as_root(what, "another::is_a_number");
    as_root(what, "another::is_a_number_in_quotes");
}

#[netns_test(user = 1_234_567)]
#[ignore = "run by a_body_can_be_a_user_by_number"]
fn is_a_number() {
    the_ids_are(UNKNOWN, UNKNOWN);
    assert_eq!(status("Groups"), "");
}

#[netns_test(user = "1234567")]
#[ignore = "run by a_body_can_be_a_user_by_number"]
fn is_a_number_in_quotes() {
    the_ids_are(UNKNOWN, UNKNOWN);
}

/// All over the network, none over the files of others, also in programs.
#[test]
fn another_user_has_its_rights_over_files_and_all_over_the_network() {
    let what = "another_user_has_its_rights_over_files_and_all_over_the_network";
    if !may_map_all() {
        return left_out(what, "only root of the machine can be another user");
    }
    let place = scratch("another");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&place, open).unwrap();
    for (name, owner) in [("own", UNKNOWN), ("roots", 0)] {
        fs::write(place.join(name), "content").unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        chown(place.join(name), Some(owner), Some(owner)).unwrap();
    }
    let public = public_copy();
    let mut run = Command::new(&public);
    run.args(["--ignored", "--exact", "another::tries_its_rights"]);
    passes(run.env("PLACE", &place).current_dir("/"), 1);
    fs::remove_dir_all(place).unwrap();
    fs::remove_dir_all(public.parent().unwrap()).unwrap();
}

/// A copy of this binary in a directory that every user may search.
fn public_copy() -> PathBuf {
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    let directory = scratch(&format!("users-{}", COPIES.fetch_add(1, Ordering::Relaxed)));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join("users");
    copy_this_program(&copy);
    copy
}

#[netns_test(user = 1_234_567)]
#[ignore = "run by another_user_has_its_rights_over_files_and_all_over_the_network"]
fn tries_its_rights() {
    let place = PathBuf::from(std::env::var_os("PLACE").unwrap());
    if fs::metadata(&place).is_ok() {
        assert_eq!(fs::read_to_string(place.join("own")).unwrap(), "content");
        let refused = fs::read(place.join("roots")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        let refused = chown(place.join("own"), Some(7), None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(fs::write("/etc/netns-test", "").unwrap_err().kind(), ErrorKind::PermissionDenied);
    stdout_of("ip", &["addr", "add", "10.0.0.1/24", "dev", "lo"]);
    TcpListener::bind("10.0.0.1:80").unwrap();
    let (setuid, net_admin) = (1 << 7, 1 << 12);
    for field in ["CapEff", "CapBnd"] {
        assert_eq!(capabilities(field) & (setuid | net_admin), net_admin, "{field}");
    }
    let of_program = stdout_of("sed", &["-n", "s/^CapEff:\t//p", "/proc/self/status"]);
    assert_eq!(of_program.trim(), status("CapEff"));
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::setuid(0) }, -1);
}

/// The process can look at itself, and its output can be opened anew.
#[test]
fn another_user_finds_its_own_process() {
    as_root("another_user_finds_its_own_process", "another::looks_at_itself");
}

#[netns_test(user = "nobody")]
#[ignore = "run by another_user_finds_its_own_process"]
fn looks_at_itself() {
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() >= 3);
    fs::read_link("/proc/self/exe").unwrap();
    fs::write("/proc/self/oom_score_adj", "500").unwrap();
    let uid = status("Uid").split('\t').next().unwrap().parse::<u32>();
    assert_eq!(fs::metadata("/proc/self").unwrap().uid(), uid.unwrap());
    for stream in ["/dev/stdout", "/dev/stderr"] {
        fs::OpenOptions::new().write(true).open(stream).unwrap().write_all(b"seen\n").unwrap();
    }
}

#[test]
fn the_verdict_of_another_user_is_its_own() {
    if !may_map_all() {
        return left_out("the_verdict_of_another_user_is_its_own", "it takes root of the machine");
    }
    let message = fails(&mut again(&[], &["--exact", "another::panics"]));
    assert!(message.contains("by the user nobody") && message.contains("another.rs:"), "{message}");
    let message = fails(&mut again(&[], &["--exact", "another::leaves"]));
    assert!(message.contains("exited with status 0 before the test had ended"), "{message}");
}

#[netns_test(user = "nobody")]
#[ignore = "run by the_verdict_of_another_user_is_its_own"]
fn panics() {
    panic!("by the user nobody");
}

#[netns_test(user = "nobody")]
#[ignore = "run by the_verdict_of_another_user_is_its_own"]
fn leaves() {
    std::process::exit(0);
}

/// With the groups that `/etc/group` has, by files that are this test's alone.
#[test]
fn another_user_has_its_groups() {
    let what = "another_user_has_its_groups";
    if !may_map_all() {
        return left_out(what, "it takes root of the machine");
    }
    with_users(&["--exact", "another::has_groups"], |run| drop(passes(run, 1)));
    // As a spare, which is made before the test asks.
    with_users(&["--exact", "another::has_groups"], |run| {
        passes(run.env("NETNS_TEST_SPARES", "1"), 1);
    });
}

#[netns_test(user = "netns-ann")]
#[ignore = "run by another_user_has_its_groups"]
fn has_groups() {
    the_ids_are(7_001, 7_002);
    assert_eq!(status("Groups"), "7003 7004");
}

/// Runs tests where `/etc/passwd` and `/etc/group` have one more user, in mounts of its own.
fn with_users(arguments: &[&str], check: impl FnOnce(&mut Command)) {
    let place = scratch("passwd");
    let add = |file: &str, lines: &str| {
        let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        fs::write(place.join(file), format!("{text}{lines}")).unwrap();
        format!("mount --bind {} /etc/{file}", place.join(file).display())
    };
    let users = add("passwd", "netns-ann:x:7001:7002::/nowhere:/bin/false\n");
    let groups = add("group", "g:x:7002:netns-ann\ng3:x:7003:a,netns-ann\ng4:x:7004:netns-ann\n");
    let script = format!("{users} && {groups} && exec \"$@\"");
    let around = ["unshare", "--mount", "--propagation=private", "sh", "-ec", &script, "sh"];
    check(&mut again(&around, arguments));
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn an_unknown_user_name_is_named() {
    let message = fails(&mut again(&[], &["--exact", "another::is_an_unknown_user"]));
    let expected = "find user no-such-user in /etc/passwd: there is no such line";
    assert!(message.contains(expected) && message.contains("or a uid"), "{message}");
}

#[netns_test(user = "no-such-user")]
#[ignore = "run by an_unknown_user_name_is_named"]
fn is_an_unknown_user() {}

/// A test that cannot be had keeps no other one from running.
#[test]
fn other_tests_go_on() {
    let mut run = again(&[], &["another::is_an_unknown_user", "another::is_the_caller"]);
    let message = text(&run.arg("--test-threads=1").output().unwrap());
    assert!(message.contains("1 passed; 1 failed"), "{message}");
}

#[netns_test]
#[ignore = "run by other_tests_go_on"]
fn is_the_caller() {}

#[test]
fn an_ordinary_caller_can_be_no_other_user() {
    let ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let copy = public_copy();
    let run = |test: &str| {
        let mut command = Command::new("env");
        if may_map_all() {
            command.args(ordinary);
        }
        command.arg(&copy).args(["--ignored", "--exact", test]).current_dir("/");
        command
    };
    let message = fails(&mut run("another::is_a_number"));
    let expected = "make the test's process uid 1234567 and gid 1234567: the caller is uid 65534";
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("`ids = \"subordinate\"`"), "{message}");
    // Its own name and uid are itself.
    passes(&mut run("another::runs_as_the_user_nobody"), 1);
    fs::remove_dir_all(copy.parent().unwrap()).unwrap();
}

#[netns_test(user = 65_534)]
#[ignore = "run by an_ordinary_caller_can_be_no_other_user"]
fn runs_as_the_user_nobody() {
    the_ids_are(65_534, 65_534);
    stdout_of("ip", &["link", "set", "lo", "down"]);
}
