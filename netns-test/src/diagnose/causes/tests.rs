//! Every known environment: its facts, and the expected diagnosis.

use crate::diagnose::causes::*;
use crate::diagnose::chroot::Root;
use crate::diagnose::facts::{Container, Facts, Witness};
use crate::diagnose::user_namespaces;
use crate::env::Surroundings;
use crate::sys::errno::*;
use crate::sys::process::Namespace;

/// A machine that allows everything.
fn facts() -> Facts {
    Facts {
        namespace_limits: vec![
            ("max_net_namespaces".into(), "20".into()),
            ("max_user_namespaces".into(), "0".into()),
        ],
        root: Root::Mount,
        proc_is_there: true,
        threads: some("1"),
        seccomp: some("0"),
        ..Facts::default()
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn labelled(label: &str) -> Witness {
    let file = "/proc/self/attr/current, in the new namespaces".to_owned();
    Witness { label: Some((file, label.to_owned())), dumpable: Some(true) }
}

fn topic(step: Step, code: i32, facts: &Facts, witness: &Witness) -> String {
    diagnose(step, code, facts, witness).map_or_else(String::new, |diagnosis| diagnosis.topic)
}

const CLONE: Step = Step::Clone(Some(Namespace::User));
const MAPS: Step = Step::Maps { of_root: false };

#[test]
fn facts_show_the_cause_of_refused_namespaces() {
    let filtered = || Facts { seccomp: some("2"), ..facts() };
    let by = |errno: &str| Facts { clone_filtered: some(errno), ..filtered() };
    let unshare = || Facts { unshare_filtered: some("EPERM"), ..filtered() };
    // Ubuntu's sysctl is seen in a container whose own filter is what refuses.
    let container = Facts {
        unshare_filtered: some("EPERM"),
        clone_filtered: some("EPERM"),
        apparmor_restricts: some("1"),
        root: Root::NoMount,
        ..filtered()
    };
    let unmapped = Facts { unmapped: Some((1000, "/proc/self/uid_map".into())), ..filtered() };
    let clone_off = Facts { unprivileged_clone: some("0"), ..filtered() };
    let clone_off_for_root = Facts { caps: 1 << 21, unprivileged_clone: some("0"), ..facts() };
    let selinux = Facts { selinux_enforces: some("1"), ..facts() };
    let label = |text: &str| Some(("/proc/self/attr/current".to_owned(), text.to_owned()));
    let elsewhere = Root::Elsewhere("/proc/7/mountinfo".into(), "/srv/root".into());
    let version = |text: &str| Facts { version: some(text), ..facts() };
    let wsl1 = Facts {
        unknown_namespaces: vec!["user".into()],
        ..version("Linux version 4.4.0-19041-Microsoft (…)")
    };
    let table = [
        (EPERM, container, "seccomp-container"),
        // A filter on unshare alone has not refused clone.
        (EPERM, Facts { root: Root::NoMount, ..unshare() }, "chroot"),
        (EPERM, Facts { root: Root::Unknown, ..unshare() }, "unknown"),
        (EPERM, unmapped, "unmapped-ids"),
        (EPERM, clone_off, "userns-clone"),
        (EPERM, Facts { root: Root::Unknown, ..clone_off_for_root }, "unknown"),
        (EPERM, Facts { root: Root::NoMount, ..filtered() }, "chroot"),
        (EPERM, by("EPERM"), "seccomp-arguments"),
        (EPERM, Facts { root: Root::NoMount, ..by("EPERM") }, "seccomp-arguments"),
        // A filter that has nothing to do with it.
        (EPERM, Facts { root: Root::Unknown, ..filtered() }, "unknown"),
        (EPERM, Facts { root: Root::Unknown, ..facts() }, "unknown"),
        (EPERM, Facts { root: elsewhere, ..facts() }, "chroot"),
        // Nothing else is left.
        (EPERM, filtered(), "chroot"),
        (EPERM, facts(), "chroot"),
        (EPERM, selinux.clone(), "unknown"),
        (EPERM, version("Linux version 4.4.0 #1 SMP gVisor"), "gvisor"),
        (EACCES, by("EACCES"), "seccomp-arguments"),
        (EOPNOTSUPP, by("EOPNOTSUPP"), "seccomp-arguments"),
        (EOPNOTSUPP, facts(), "unknown"),
        (EACCES, Facts { apparmor_restricts: some("1"), ..facts() }, "apparmor"),
        (EACCES, Facts { label: label("u:r:untrusted_app:s0"), ..selinux }, "selinux"),
        (EACCES, Facts { label: label("nouserns (enforce)"), ..facts() }, "apparmor-profile"),
        (EACCES, Facts { label: label("unconfined"), ..facts() }, "unknown"),
        (EACCES, Facts { label: label("u:r:untrusted_app:s0"), ..facts() }, "unknown"),
        (EINVAL, wsl1, "wsl1"),
        (EINVAL, Facts { unknown_namespaces: vec!["user".into()], ..facts() }, "kernel"),
        (EINVAL, Facts { threads: some("2"), ..facts() }, "threads"),
        (EINVAL, Facts { interpreter: some("/usr/bin/qemu-arm"), ..facts() }, "qemu-user"),
        (EINVAL, facts(), "unknown"),
        (ENOSYS, by("ENOSYS"), "seccomp-enosys"),
        (ENOSYS, filtered(), "unknown"),
        (ENOSYS, facts(), "unknown"),
        (ENOSPC, facts(), "max-namespaces"),
    ];
    for (code, facts, expected) in table {
        assert_eq!(topic(CLONE, code, &facts, &Witness::default()), expected, "{code} {facts:?}");
    }
}

#[test]
fn facts_show_the_cause_of_refused_steps() {
    let ubuntu = || Facts { apparmor_restricts: some("1"), ..facts() };
    let undumpable = Witness { label: None, dumpable: Some(false) };
    let root = Step::Maps { of_root: true };
    let none = Witness::default;
    let filtered = || Facts { seccomp: some("2"), ..facts() };
    let table = [
        (MAPS, EACCES, facts(), labelled("unprivileged_userns (enforce)"), "apparmor"),
        (MAPS, EPERM, ubuntu(), labelled("vscode (unconfined)"), "apparmor"),
        (MAPS, EACCES, facts(), labelled("snap.code (enforce)"), "apparmor-profile"),
        (MAPS, EACCES, facts(), labelled("unconfined"), "unknown"),
        (MAPS, EACCES, facts(), undumpable, "non-dumpable"),
        (MAPS, EROFS, facts(), labelled("unconfined"), "masked-proc"),
        (MAPS, ENOENT, facts(), labelled("unconfined"), "unknown"),
        (MAPS, EACCES, ubuntu(), labelled("snap.code (enforce)"), "apparmor-profile"),
        (root, EPERM, facts(), labelled("unconfined"), "setfcap"),
        (root, EPERM, ubuntu(), labelled("unprivileged_userns (enforce)"), "apparmor"),
        (Step::Sockets, EPERM, filtered(), labelled("unconfined"), "network-filter"),
        (Step::Sockets, EACCES, Facts { seccomp: some("2"), ..ubuntu() }, none(), "network-filter"),
        (Step::Sockets, EACCES, facts(), labelled("docker-default (enforce)"), "apparmor-profile"),
        (Step::Loopback, EPERM, filtered(), labelled("unconfined"), "unknown"),
        (Step::Loopback, EPERM, facts(), labelled("unprivileged_userns (enforce)"), "apparmor"),
        (Step::Loopback, EPERM, facts(), labelled("unconfined"), "unknown"),
        (Step::Mounts, EACCES, facts(), labelled("docker-default (enforce)"), "apparmor-profile"),
        (Step::Mounts, EPERM, facts(), labelled("unconfined"), "unknown"),
    ];
    for (step, code, facts, witness, expected) in table {
        assert_eq!(topic(step, code, &facts, &witness), expected, "{step:?} {code} {witness:?}");
    }
    // In one step with the user namespace, which was made.
    let label = Some(("/proc/self/attr/current".to_owned(), "nocaps (enforce)".to_owned()));
    let net = Step::Clone(Some(Namespace::Net));
    assert_eq!(topic(net, EPERM, &Facts { label, ..facts() }, &none()), "apparmor-profile");
    assert_eq!(topic(net, EPERM, &ubuntu(), &none()), "apparmor");
    assert_eq!(topic(net, EPERM, &facts(), &none()), "unknown");
    let nothing = Facts { proc_is_there: false, ..facts() };
    assert_eq!(topic(CLONE, EPERM, &nothing, &Witness::default()), "no-proc");
    let two = Facts { threads: some("2"), ..facts() };
    assert_eq!(topic(Step::Threads, 0, &two, &Witness::default()), "threads");
}

#[test]
fn limits_are_named_with_their_values() {
    let net = Step::Clone(Some(Namespace::Net));
    let text =
        |step, code| diagnose(step, code, &facts(), &Witness::default()).unwrap().to_string();
    let forbidden = text(CLONE, ENOSPC);
    assert!(forbidden.contains("this machine allows no user namespaces"), "{forbidden}");
    assert!(forbidden.contains("/proc/sys/user/max_user_namespaces = 0"), "{forbidden}");
    assert!(forbidden.contains("sudo sysctl -w user.max_user_namespaces=15000"), "{forbidden}");
    assert!(forbidden.contains("/etc/sysctl.d/"), "{forbidden}");
    let reached = text(net, ENOSPC);
    assert!(reached.contains("the limit on net namespaces is reached"), "{reached}");
    assert!(reached.contains("/proc/sys/user/max_net_namespaces = 20"), "{reached}");
    assert!(reached.contains("sudo sysctl -w user.max_net_namespaces=15000"), "{reached}");
    let many = vec![("max_net_namespaces".into(), "2147483647".into())];
    let many = Facts { namespace_limits: many, ..facts() };
    let elsewhere = diagnose(net, ENOSPC, &many, &Witness::default()).unwrap().to_string();
    assert!(elsewhere.contains("outside of the sandbox"), "{elsewhere}");
    assert!(!elsewhere.contains("sysctl -w"), "{elsewhere}");
    let unlimited = Facts { namespace_limits: Vec::new(), ..facts() };
    assert_eq!(topic(CLONE, ENOSPC, &unlimited, &Witness::default()), "nesting");
    assert_eq!(topic(Step::Call, EAGAIN, &facts(), &Witness::default()), "process-limit");
    let short = Facts { lacks_memory: Some(1), ..facts() };
    assert_eq!(topic(Step::Call, EAGAIN, &short, &Witness::default()), "memory");
    assert_eq!(topic(Step::Call, ENOMEM, &facts(), &Witness::default()), "memory");
    assert_eq!(diagnose(Step::Call, EPERM, &facts(), &Witness::default()), None);
    let filtered = Facts { seccomp: some("2"), ..facts() };
    for code in [EPERM, EACCES, ENOSYS] {
        assert_eq!(topic(Step::Call, code, &filtered, &Witness::default()), "seccomp-call");
        assert_eq!(diagnose(Step::Resources, code, &filtered, &Witness::default()), None);
    }
}

/// A chroot into a mount point is certain only if a process outside shows it.
#[test]
fn a_chroot_is_named_as_far_as_it_is_known() {
    let text = |root| {
        let facts = Facts { root, ..facts() };
        diagnose(CLONE, EPERM, &facts, &Witness::default()).unwrap().to_string()
    };
    let certain = text(Root::Elsewhere("/proc/7/mountinfo".into(), "/srv/root".into()));
    assert!(certain.contains("cause: this process is in a chroot\n"), "{certain}");
    assert!(certain.contains("/proc/7/mountinfo = "), "{certain}");
    assert!(certain.contains(" is at /srv/root there"), "{certain}");
    assert!(text(Root::Mount).contains("cause: likely a chroot into a mount point"));
}

/// The user namespace whose limit is reached is named as far as it is known.
#[test]
fn the_level_of_a_limit_is_named() {
    let limits = |value: &str| vec![("max_net_namespaces".to_owned(), value.to_owned())];
    let text = |facts: Facts| {
        let step = Step::Namespaces(Some(Namespace::Net));
        diagnose(step, ENOSPC, &facts, &Witness::default()).unwrap().to_string()
    };
    const NONE: &str = "2147483647";
    let facts =
        |value, is_outermost| Facts { namespace_limits: limits(value), is_outermost, ..facts() };
    let around = |value, is_outermost| {
        let outer = user_namespaces::Limits { values: limits(value), is_outermost };
        Facts { outer: Some(outer), ..facts(NONE, false) }
    };
    let (here, further) =
        ("is reached: by namespaces", "not that of this user namespace, but of one around it");
    let either = "that of this user namespace, or of one around it";
    let sysctl = "fix until reboot: sudo sysctl -w user.max_net_namespaces=15000";
    let there = "as root of that user namespace: sysctl -w user.max_net_namespaces=15000";
    let table = [
        (facts("20", true), here, sysctl),
        (facts("63000", true), here, "lsns -t net"),
        (facts("20", false), either, sysctl),
        (facts("63000", false), either, "outside of the sandbox"),
        (facts(NONE, false), further, "outside of the sandbox"),
        (around("2", false), further, there),
        (around("20", true), further, sysctl),
        (around("63000", true), further, "lsns -t net"),
        (around(NONE, false), further, "outside of the sandbox"),
    ];
    for (facts, cause, fix) in table {
        let text = text(facts.clone());
        assert!(text.contains(cause) && text.contains(fix), "{facts:?}\n{text}");
        let is_shown = text.contains("max_net_namespaces, around this test = ");
        assert_eq!(is_shown, facts.outer.is_some(), "{text}");
    }
}

#[test]
fn a_missing_device_is_explained_by_its_environment() {
    let chroot = Facts { root: Root::NoMount, ..facts() };
    let cause = |code, facts: &Facts| {
        let diagnosis = diagnose(Step::Null, code, facts, &Witness::default()).unwrap();
        assert!(diagnosis.lasting.is_some());
        diagnosis.cause
    };
    assert!(cause(ENOENT, &chroot).contains("in a chroot"));
    assert!(cause(ENOENT, &facts()).contains("this sandbox has no /dev/null"));
    assert!(cause(EACCES, &facts()).contains("may not open devices"));
    assert!(cause(EISDIR, &facts()).contains("not the null device"));
}

#[test]
fn the_fix_is_for_the_environment_at_hand() {
    let container = |container, surroundings| Facts {
        unshare_filtered: some("EPERM"),
        clone_filtered: some("EPERM"),
        seccomp: some("2"),
        container,
        surroundings,
        ..facts()
    };
    let none = Surroundings::default();
    let table = [
        (Some(Container::Docker), none, "docker run --security-opt seccomp=unconfined"),
        (Some(Container::Podman), none, "podman run --security-opt seccomp=unconfined"),
        (Some(Container::Flatpak), none, "flatpak-spawn --host"),
        (Some(Container::Docker), Surroundings { github: true, ..none }, "in the job: container:"),
        (None, Surroundings { kubernetes: true, ..none }, "in the pod: securityContext:"),
        (None, Surroundings { gitlab: true, ..none }, "config.toml"),
    ];
    for (container_file, around, expected) in table {
        let facts = container(container_file, around);
        let text = diagnose(CLONE, EPERM, &facts, &Witness::default()).unwrap().to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn an_unknown_cause_lists_all_facts() {
    let version = some("Linux version 9.9");
    let facts = Facts { version, root: Root::Unknown, ..facts() };
    let text = diagnose(CLONE, EPERM, &facts, &labelled("x")).unwrap().to_string();
    for part in ["/proc/version = Linux version 9.9", "max_net_namespaces = 20", "please report"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
