//! `ids = "subordinate"`: the ids of `/etc/subuid` and `/etc/subgid`, mapped by newuidmap.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use netns_test::netns_test;
use netns_test_tests::confine::may_map_all;
use netns_test_tests::{again, fails, left_out, missing, passes, scratch, status};

/// A run as uid 65534, to which the files give these lines, in mounts that go with it; without
/// newuidmap and newgidmap, if they are to be missing.
fn as_a_user(lines: &str, has_programs: bool, test: &str, check: impl FnOnce(&mut Command)) {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let place = scratch(&format!("subuid-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
    fs::write(place.join("ids"), lines).unwrap();
    let given = place.join("ids").display().to_string();
    let hide = if has_programs {
        String::new()
    } else {
        "for p in /usr/bin/newuidmap /usr/bin/newgidmap; do mount --bind /dev/null $p; done &&"
            .into()
    };
    let script = format!(
        "mount --bind {given} /etc/subuid && mount --bind {given} /etc/subgid && {hide}
         exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\""
    );
    let around = ["unshare", "--mount", "--propagation=private", "sh", "-ec", &script, "sh"];
    check(&mut again(&around, &["--exact", test]));
    fs::remove_dir_all(place).unwrap();
}

/// Returns whether these tests can run; reports it if they cannot.
fn can_run(what: &str) -> bool {
    if !may_map_all() {
        left_out(what, "only root of the machine can say which ids are whose");
        return false;
    }
    if !fs::exists("/usr/bin/newuidmap").unwrap() {
        missing(what, "there is no newuidmap, which ci/setup installs");
        return false;
    }
    true
}

fn users() -> String {
    let named = Command::new("id").args(["-nu", "65534"]).output().unwrap();
    format!("{}:100000:65536\n", String::from_utf8(named.stdout).unwrap().trim())
}

#[test]
fn root_has_the_ids_and_daemons_can_drop_their_rights() {
    let what = "root_has_the_ids_and_daemons_can_drop_their_rights";
    if can_run(what) {
        for spares in ["0", "1"] {
            as_a_user(&users(), true, "subordinate::root_drops_its_rights", |run| {
                passes(run.env("NETNS_TEST_SPARES", spares), 1);
            });
        }
    }
}

#[netns_test(user = "root", ids = "subordinate")]
#[ignore = "run by root_has_the_ids_and_daemons_can_drop_their_rights"]
fn root_drops_its_rights() {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let map: Vec<Vec<&str>> = map.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(map, [["0", "65534", "1"], ["1", "100000", "65536"]]);
    assert!(status("Uid").starts_with("0\t0\t0"));
    // As nginx, sshd and tcpdump do.
    let dropped = ["--reuid=33", "--regid=44", "--groups=55,66", "id"];
    let output = Command::new("setpriv").args(dropped).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("uid=33") && shown.contains("gid=44") && shown.contains("66"),
        "{shown}"
    );
    let range = fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
    assert_eq!(range.split_whitespace().collect::<Vec<_>>(), ["0", "65536"]);
    let file = std::path::Path::new("/run/netns-test-own");
    fs::write(file, "").unwrap();
    chown(file, Some(5), Some(6)).unwrap();
    assert_eq!(fs::metadata(file).unwrap().uid(), 5);
}

#[test]
fn an_ordinary_body_has_the_ids_too() {
    if can_run("an_ordinary_body_has_the_ids_too") {
        for test in ["subordinate::caller_has_ids", "subordinate::another_user_by_ids"] {
            as_a_user(&users(), true, test, |run| drop(passes(run, 1)));
        }
    }
}

#[netns_test(ids = "subordinate")]
#[ignore = "run by an_ordinary_body_has_the_ids_too"]
fn caller_has_ids() {
    assert!(status("Uid").starts_with("65534\t65534"));
    assert!(fs::read_to_string("/proc/self/uid_map").unwrap().lines().count() > 1);
}

/// The files of the caller are that user's.
#[netns_test(user = 33, ids = "subordinate")]
#[ignore = "run by an_ordinary_body_has_the_ids_too"]
fn another_user_by_ids() {
    assert!(status("Uid").starts_with("33\t33"), "{}", status("Uid"));
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert!(map.lines().any(|line| line.split_whitespace().eq(["33", "65534", "1"])), "{map}");
    fs::write("/proc/self/oom_score_adj", "500").unwrap();
}

#[test]
fn a_missing_requirement_is_named() {
    let what = "a_missing_requirement_is_named";
    if !can_run(what) {
        return;
    }
    let test = "subordinate::root_drops_its_rights";
    as_a_user("somebody:1:1\n", true, test, |run| {
        let message = fails(run);
        assert!(message.contains("in /etc/subuid: there is no such line"), "{message}");
        assert!(message.contains("fix: usermod --add-subuids"), "{message}");
    });
    as_a_user(&users(), false, test, |run| {
        let message = fails(run);
        assert!(message.contains("newuidmap the test's process: "), "{message}");
    });
}

/// Under `no_new_privs`, newuidmap has no rights.
#[test]
fn a_refusal_of_newuidmap_is_passed_on() {
    if !can_run("a_refusal_of_newuidmap_is_passed_on") {
        return;
    }
    as_a_user(&users(), true, "subordinate::unprivileged_run", |run| {
        let message = fails(run);
        assert!(message.contains("newuidmap the test's process: it has failed"), "{message}");
        assert!(message.contains("no_new_privs is set here"), "{message}");
    });
}

#[test]
#[ignore = "run by a_refusal_of_newuidmap_is_passed_on"]
fn unprivileged_run() {
    let around = ["setpriv", "--no-new-privs"];
    let test = ["--exact", "subordinate::root_drops_its_rights"];
    let message = fails(&mut again(&around, &test));
    panic!("{message}");
}

/// All ids are there anyway, and nothing else is asked for.
#[test]
fn a_caller_with_every_id_needs_no_subordinate_ones() {
    if !may_map_all() {
        return left_out("a_caller_with_every_id_needs_no_subordinate_ones", "it takes root");
    }
    passes(&mut again(&[], &["--exact", "subordinate::root_has_all"]), 1);
}

#[netns_test(user = "root", ids = "subordinate")]
#[ignore = "run by a_caller_with_every_id_needs_no_subordinate_ones"]
fn root_has_all() {
    let own = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(own.split_whitespace().next(), Some("0"));
    let output =
        Command::new("setpriv").args(["--reuid=33", "--clear-groups", "id", "-u"]).output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "33\n");
}
