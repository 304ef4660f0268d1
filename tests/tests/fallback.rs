//! Where a user namespace is refused, but the caller has the capabilities that it would grant: in the
//! other namespaces, with nothing mounted outside of them, and told.

use std::fs;
use std::path::Path;
use std::process::Command;

use netns_test::{IsolationMode, isolation, netns_test};
use netns_test_tests::confine::may_map_all;
use netns_test_tests::{again, fails, passes, status, stdout_of};

/// A caller who is root over its own namespaces, and may make no further user namespace.
const WITHOUT_USERS: &str = "echo 0 > /proc/sys/user/max_user_namespaces";

fn without_users(more: &str, arguments: &[&str]) -> Command {
    let script = format!("{WITHOUT_USERS} && {more} exec \"$0\" \"$@\"");
    again(&["unshare", "-Urm", "--propagation", "unchanged", "sh", "-c", &script], arguments)
}

/// A directory that is no mount point, with what a test binary needs in it.
const CHROOT: &str = "
    base=$(mktemp -d) && mount -t tmpfs none $base && root=$base/root && mkdir $root &&
    mount --make-rshared $base &&
    for name in /*; do
        if [ -L $name ]; then cp -P $name $root
        elif [ -d $name ]; then mkdir $root$name && mount --rbind $name $root$name
        fi
    done
    cat /proc/self/mountinfo > $base/before
    chroot $root \"$0\" \"$@\"; status=$?
    cat /proc/self/mountinfo > $base/after
    cmp $base/before $base/after || status=99
    umount -l $base; rmdir $base; exit $status";

fn in_a_chroot(arguments: &[&str]) -> Command {
    let around = ["unshare", "-Urm", "--propagation", "unchanged", "sh", "-c", CHROOT];
    again(&around, arguments)
}

#[netns_test]
fn an_ordinary_body_is_isolated_in_full() {
    let isolation = isolation();
    assert_eq!(isolation.mode(), IsolationMode::Full);
    assert_eq!(isolation.limitations(), <&[String]>::default());
    assert_eq!(isolation.to_string(), "isolated, with a user namespace");
}

#[test]
fn the_test_runner_is_not_isolated() {
    assert_eq!(isolation().mode(), IsolationMode::Outside);
}

#[test]
fn root_needs_no_user_namespace() {
    passes(&mut without_users("", &["sees_its_own"]), 2);
}

#[test]
fn missing_isolation_is_noted_with_a_failure() {
    let text = fails(&mut without_users("", &["--exact", "fails_with_the_limitations"]));
    let line = "netns-test: not isolated: the user namespace is the caller's: clone user namespace: \
                ENOSPC (No space left on device): this machine allows no user namespaces";
    assert!(text.contains(line), "{text}");
}

/// A body with a neighbour, and one of another user: these have rights over the network alone.
#[test]
fn options_work_without_a_user_namespace() {
    passes(&mut without_users("", &["has_a_neighbour"]), 1);
    if may_map_all() {
        let around = ["unshare", "-m", "--propagation", "private", "sh", "-c", CHROOT];
        passes(&mut again(&around, &["is_another_user"]), 1);
    }
    let text = fails(&mut without_users("", &["is_another_user"]));
    let message = "make the test's process uid 33: /proc/self/uid_map has no such id";
    assert!(text.contains(message), "{text}");
}

#[netns_test(network = "lan")]
#[ignore = "run by options_work_without_a_user_namespace"]
fn has_a_neighbour() {
    assert_eq!(isolation().mode(), IsolationMode::Privileged);
    let refused = std::net::TcpStream::connect("192.168.1.1:80").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[netns_test(user = 33)]
#[ignore = "run by options_work_without_a_user_namespace"]
fn is_another_user() {
    assert_eq!(isolation().mode(), IsolationMode::Privileged);
    assert!(status("Uid").starts_with("33\t33\t33"));
    let (network, bind) = ((1 << 11) | (1 << 12) | (1 << 13), 1 << 10);
    let held = u64::from_str_radix(&status("CapEff"), 16).unwrap();
    assert_eq!(held, network | bind);
    stdout_of("ip", &["addr", "add", "10.0.0.1/24", "dev", "lo"]);
    fs::read_link("/proc/self/exe").unwrap();
}

/// Also in a chroot, whose root is no mount point, among mounts that pass all on to others.
#[test]
fn root_in_a_chroot_is_isolated_and_mounts_nothing_outside() {
    passes(&mut in_a_chroot(&["sees_its_own"]), 2);
    let text = fails(&mut in_a_chroot(&["--exact", "fails_with_the_limitations"]));
    assert!(text.contains("clone user namespace: EPERM"), "{text}");
    assert!(text.contains(": this process is in a chroot"), "{text}");
}

/// A step that is not needed may fail, and is noted.
#[test]
fn namespaces_that_are_not_needed_may_be_refused() {
    let script = "echo 0 > /proc/sys/user/max_uts_namespaces &&";
    passes(&mut without_users(script, &["sees_its_own"]), 2);
    let text = fails(&mut without_users(script, &["--exact", "fails_with_the_limitations"]));
    for kind in ["user", "uts"] {
        let line = format!("netns-test: not isolated: the {kind} namespace is the caller's: ");
        assert!(text.contains(&line), "{text}");
    }
}

/// Without a network namespace a test would use the host's.
#[test]
fn namespaces_that_are_needed_may_not() {
    for kind in ["net", "mnt", "pid"] {
        let script = format!("echo 0 > /proc/sys/user/max_{kind}_namespaces &&");
        let text = fails(&mut without_users(&script, &["--exact", "sees_its_own_network"]));
        assert!(text.contains("clone user namespace: ENOSPC"), "{text}");
        let line =
            format!("without a user namespace, which root can do: clone {kind} namespace: ENOSPC");
        assert!(text.contains(&line), "{text}");
    }
}

/// A caller that has only part of the rights has none of them.
#[test]
fn an_ordinary_user_is_not_let_in() {
    let part =
        "set -- setpriv --bounding-set=-net_admin --inh-caps=-net_admin \"$0\" \"$@\"; shift 0;";
    let script = format!("{WITHOUT_USERS} && {part} exec \"$@\"");
    let around = ["unshare", "-Urm", "sh", "-c", &script];
    let text = fails(&mut again(&around, &["--exact", "sees_its_own_network"]));
    assert!(text.contains("clone user namespace: ENOSPC"), "{text}");
    assert!(!text.contains("without a user namespace"), "{text}");
}

#[netns_test]
#[ignore = "run by the tests above"]
fn sees_its_own_network() {
    assert_eq!(isolation().mode(), IsolationMode::Privileged);
    assert!(!isolation().limitations().is_empty());
    std::net::TcpListener::bind("127.0.0.1:80").unwrap();
    let links = fs::read_to_string("/proc/net/dev").unwrap();
    let links: Vec<_> = links.lines().skip(2).collect();
    assert!(links.len() == 1 && links[0].trim().starts_with("lo:"), "{links:?}");
    assert_eq!(fs::read_dir("/sys/class/net").unwrap().count(), 1);
    assert!(stdout_of("ip", &["link", "show", "lo"]).contains(",UP"));
}

#[netns_test(user = "root")]
#[ignore = "run by the tests above"]
fn sees_its_own_processes() {
    assert_eq!(status("Uid").split('\t').next(), Some("0"));
    assert_eq!(status("PPid"), "1");
    let own = std::process::id().to_string();
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let numbers = all.filter_map(|name| name.into_string().ok()?.parse::<u32>().ok());
    assert_eq!(numbers.filter(|pid| pid.to_string() != own).collect::<Vec<_>>(), [1]);
    assert!(Path::new("/run/.host").exists(), "/run is the caller's");
}

#[netns_test]
#[ignore = "run by the tests above"]
fn fails_with_the_limitations() {
    panic!("on purpose");
}
