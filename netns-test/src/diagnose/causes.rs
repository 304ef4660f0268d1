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
        EPERM | EACCES if step != Step::Other => refusal(step, facts),
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
const ENOSPC: i32 = 28;
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

fn refusal(step: Step, facts: &Facts) -> Vec<String> {
    if facts.apparmor_restricts.as_deref() == Some("1") {
        let label = known(facts.apparmor_label.as_ref());
        return vec![
            format!(
                "cause: AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1; profile: {label})"
            ),
            "fix: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".into(),
        ];
    }
    if step == Step::Clone && facts.unprivileged_clone.as_deref() == Some("0") {
        return vec![
            "cause: user namespaces are for root only (kernel.unprivileged_userns_clone = 0)"
                .into(),
            "fix: sudo sysctl -w kernel.unprivileged_userns_clone=1".into(),
        ];
    }
    if facts.root_is_mounted == Some(false) {
        return vec![
            "cause: this process is in a chroot (nothing is mounted at / in /proc/self/mountinfo)"
                .into(),
            "fix: run the tests outside the chroot".into(),
        ];
    }
    if facts.seccomp.as_deref() == Some("2") {
        return vec![
            "cause: a seccomp filter (Seccomp: 2 in /proc/self/status), as of a container or a service".into(),
            "fix: docker run --security-opt seccomp=unconfined, or RestrictNamespaces=no of the service".into(),
        ];
    }
    vec![format!(
        "cause: unknown; the profile of this process is {}, its seccomp mode {}",
        known(facts.apparmor_label.as_ref()),
        known(facts.seccomp.as_ref()),
    )]
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
            ..Facts::default()
        }
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
    fn refusals_are_told_apart_by_their_facts() {
        let cause =
            |facts: Facts| advice(Step::Clone, EPERM, Some(Namespace::User), &facts)[0].clone();
        let some = |text: &str| Some(text.to_owned());
        assert!(cause(Facts { apparmor_restricts: some("1"), ..facts() }).contains("AppArmor"));
        assert!(
            cause(Facts { unprivileged_clone: some("0"), ..facts() }).contains("userns_clone = 0")
        );
        assert!(cause(Facts { root_is_mounted: Some(false), ..facts() }).contains("chroot"));
        assert!(cause(Facts { seccomp: some("2"), ..facts() }).contains("seccomp filter"));
        assert!(cause(facts()).contains("unknown"));
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
