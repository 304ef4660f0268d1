//! From a refused step, the kernel's reason and the facts to causes and what helps. Pure.

use super::facts::Facts;
use crate::sys::process::Namespace;

/// Which step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Making namespaces.
    Clone,
    /// Using the rights over them: id maps, the network.
    Rights,
    /// Mapping the id 0, for a caller that may map no other.
    MapRoot,
    /// Anything else.
    Other,
}

/// Lines for the person whose test was not started.
pub(super) fn advice(
    step: Step,
    code: i32,
    refused: Option<Namespace>,
    facts: &Facts,
) -> Vec<String> {
    if !facts.proc_is_there {
        return vec!["cause: /proc is not mounted".into(), "fix: mount -t proc proc /proc".into()];
    }
    match code {
        ENOSPC | EUSERS if step == Step::Clone => namespace_limit(refused, facts),
        EAGAIN => vec![
            format!(
                "cause: a limit on processes; `ulimit -u` is {}",
                known(facts.process_limit.as_ref())
            ),
            "fix: raise `ulimit -u`, pids.max of the control group, or kernel.pid_max; \
             or run fewer tests at once (--test-threads)"
                .into(),
        ],
        EMFILE => vec![
            format!(
                "cause: too many open files; `ulimit -n` is {}",
                known(facts.file_limit.as_ref())
            ),
            "fix: raise `ulimit -n`, or run fewer tests at once (--test-threads)".into(),
        ],
        ENFILE => vec![
            "cause: the machine's limit on open files, fs.file-max".into(),
            "fix: sudo sysctl -w fs.file-max=1000000".into(),
        ],
        EPERM | EACCES if step != Step::Other => refusal(step, code, facts),
        EINVAL if step == Step::Clone && !facts.user_namespaces => {
            vec!["cause: this kernel has no user namespaces (/proc/self/ns/user is missing)".into()]
        }
        _ => Vec::new(),
    }
}

/// `user`, as in `/proc/sys/user/max_user_namespaces`.
pub(super) fn name(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::User => "user",
        Namespace::Net => "net",
        Namespace::Mount => "mnt",
        Namespace::Pid => "pid",
        Namespace::Uts => "uts",
        Namespace::Ipc => "ipc",
    }
}

const EPERM: i32 = 1;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
const EUSERS: i32 = 87;

fn namespace_limit(refused: Option<Namespace>, facts: &Facts) -> Vec<String> {
    let Some(namespace) = refused else {
        return vec![
            "cause: a limit on namespaces, /proc/sys/user/max_*_namespaces, which is \
                     not reached any more"
                .into(),
        ];
    };
    let limit = format!("max_{}_namespaces", name(namespace));
    let value = facts.namespace_limits.iter().find(|(name, _)| *name == limit);
    let value = known(value.map(|(_, value)| value));
    let mut lines = vec![format!("cause: the limit user.{limit} is reached; it is {value} here")];
    if value != "0" {
        lines.push(
            "it may be lower in a user namespace around this one, or these may be nested \
                    33 deep; namespaces that other programs hold count as well"
                .into(),
        );
    }
    lines.push(format!("fix: sudo sysctl -w user.{limit}=15000"));
    lines
}

/// Whoever refused namespaces, or the rights over them: EPERM or EACCES.
fn refusal(step: Step, code: i32, facts: &Facts) -> Vec<String> {
    let found = match step {
        Step::Clone if code == EPERM => refused_by_kernel(facts),
        Step::Clone => refused_by_module(facts),
        Step::Rights | Step::MapRoot => taken_away(step, facts),
        Step::Other => None,
    };
    let [cause, fix] = found.unwrap_or_else(|| unknown(facts));
    vec![format!("cause: {cause}"), format!("fix: {fix}")]
}

fn refused_by_kernel(facts: &Facts) -> Option<[String; 2]> {
    let is_filtered = facts.seccomp.as_deref() == Some("2");
    if facts.unshare_refused {
        return Some([
            format!("a seccomp filter refuses unshare(2) as a whole, as a container's does (Seccomp: {} in /proc/self/status)", known(facts.seccomp.as_ref())),
            "docker run --security-opt seccomp=unconfined (or --privileged); in Kubernetes seccompProfile: { type: Unconfined }".into(),
        ]);
    }
    if !facts.user_is_mapped {
        return Some([
            "this process's user has no number in its own user namespace (/proc/self/uid_map)"
                .into(),
            "run the tests as a user that the container maps".into(),
        ]);
    }
    if facts.unprivileged_clone.as_deref() == Some("0") {
        return Some([
            "user namespaces are for root only (kernel.unprivileged_userns_clone = 0)".into(),
            "sudo sysctl -w kernel.unprivileged_userns_clone=1".into(),
        ]);
    }
    if facts.root_is_mounted == Some(false) {
        return Some([
            "this process is in a chroot (nothing is mounted at / in /proc/self/mountinfo)".into(),
            "run the tests outside of it".into(),
        ]);
    }
    is_filtered.then(|| [
        "a seccomp filter that looks at arguments, as systemd's RestrictNamespaces=, Flatpak's or snap's (Seccomp: 2 in /proc/self/status)".into(),
        "RestrictNamespaces=no for the service, or run the tests outside of the sandbox".into(),
    ])
}

fn refused_by_module(facts: &Facts) -> Option<[String; 2]> {
    if facts.apparmor_restricts.as_deref() == Some("1") {
        return Some(apparmor(facts));
    }
    facts.selinux_enforces.then(|| [
        "SELinux does not allow this domain to make user namespaces (/sys/fs/selinux/enforce = 1)".into(),
        "see `ausearch -m avc -ts recent`, and allow user_namespace { create }".into(),
    ])
}

/// The namespaces were made, but what they are for is refused.
fn taken_away(step: Step, facts: &Facts) -> Option<[String; 2]> {
    let label = facts.apparmor_label.as_deref().unwrap_or_default();
    if label.contains("unprivileged_userns") || facts.apparmor_restricts.as_deref() == Some("1") {
        return Some(apparmor(facts));
    }
    if step == Step::MapRoot {
        return Some([
            "root without CAP_SETFCAP may not map the user id 0 (since Linux 5.12)".into(),
            "add the capability (docker run --cap-add=SETFCAP), or run the tests as an ordinary user".into(),
        ]);
    }
    let confined = !label.is_empty() && !label.starts_with("unconfined");
    confined.then(|| {
        [
            format!(
                "a security module took the rights away; the profile of this process is {label}"
            ),
            "run the tests outside of that profile, or allow it user namespaces".into(),
        ]
    })
}

fn apparmor(facts: &Facts) -> [String; 2] {
    [
        format!(
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = {}; profile of this process: {})",
            known(facts.apparmor_restricts.as_ref()),
            known(facts.apparmor_label.as_ref())
        ),
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".into(),
    ]
}

fn unknown(facts: &Facts) -> [String; 2] {
    let (label, seccomp) = (known(facts.apparmor_label.as_ref()), known(facts.seccomp.as_ref()));
    [
        format!(
            "unknown; the security profile of this process is {label}, its seccomp mode {seccomp}"
        ),
        "please report this, with `uname -a` and the kind of machine or container".into(),
    ]
}

fn known(value: Option<&String>) -> &str {
    value.map_or("unknown", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            namespace_limits: vec![("max_net_namespaces".into(), "20".into())],
            root_is_mounted: Some(true),
            user_namespaces: true,
            user_is_mapped: true,
            proc_is_there: true,
            ..Facts::default()
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_limit_is_named_with_its_sysctl() {
        let lines = advice(Step::Clone, ENOSPC, Some(Namespace::Net), &facts());
        assert!(
            lines[0].contains("user.max_net_namespaces is reached; it is 20 here"),
            "{lines:?}"
        );
        assert!(lines[2].contains("sysctl -w user.max_net_namespaces="), "{lines:?}");
    }

    #[test]
    fn who_refuses_namespaces_is_told_by_the_facts() {
        // Ubuntu's sysctl is seen in a container whose own filter is what refuses.
        let container = Facts {
            unshare_refused: true,
            apparmor_restricts: some("1"),
            seccomp: some("2"),
            ..facts()
        };
        let table = [
            (EPERM, container, "refuses unshare(2) as a whole"),
            (EPERM, Facts { user_is_mapped: false, ..facts() }, "no number in its own"),
            (EPERM, Facts { unprivileged_clone: some("0"), ..facts() }, "userns_clone = 0"),
            (EPERM, Facts { root_is_mounted: Some(false), ..facts() }, "chroot"),
            (EPERM, Facts { seccomp: some("2"), ..facts() }, "RestrictNamespaces="),
            (EPERM, facts(), "unknown"),
            (EACCES, Facts { apparmor_restricts: some("1"), ..facts() }, "AppArmor"),
            (EACCES, Facts { selinux_enforces: true, ..facts() }, "SELinux"),
            (EACCES, facts(), "unknown"),
        ];
        for (code, facts, expected) in table {
            let lines = advice(Step::Clone, code, Some(Namespace::User), &facts);
            assert!(lines[0].contains(expected), "{expected}: {lines:?}");
        }
    }

    #[test]
    fn who_takes_rights_away_is_told_by_the_facts() {
        let table = [
            (
                Facts { apparmor_label: some("unprivileged_userns (enforce)"), ..facts() },
                "AppArmor",
            ),
            (Facts { apparmor_label: some("snap.code (enforce)"), ..facts() }, "snap.code"),
            (Facts { apparmor_label: some("unconfined"), ..facts() }, "unknown"),
            (Facts { proc_is_there: false, ..facts() }, "/proc is not mounted"),
        ];
        for (facts, expected) in table {
            let lines = advice(Step::Rights, EPERM, None, &facts);
            assert!(lines[0].contains(expected), "{expected}: {lines:?}");
        }
        let lines = advice(Step::MapRoot, EPERM, None, &facts());
        assert!(lines[0].contains("CAP_SETFCAP"), "{lines:?}");
    }

    #[test]
    fn limits_on_processes_and_files_are_named() {
        for (code, limit) in [(EAGAIN, "ulimit -u"), (EMFILE, "ulimit -n"), (ENFILE, "fs.file-max")]
        {
            let lines = advice(Step::Other, code, None, &facts());
            assert!(lines[0].contains(limit), "{lines:?}");
        }
        assert_eq!(advice(Step::Other, EPERM, None, &facts()), Vec::<String>::new());
    }
}
