//! Limits on namespaces, open files, processes and memory. Pure.

use crate::diagnose::causes::evidence::with_some;
use crate::diagnose::causes::{fixes, memory, processes};
use crate::diagnose::facts::{Container, Facts};
use crate::error::Diagnosis;
use crate::sys::errno::{EAGAIN, EMFILE, ENFILE, ENOMEM};
use crate::sys::process::Namespace;

/// Finds the limit on processes, memory or open files.
pub(crate) fn of_resources(code: i32, facts: &Facts) -> Option<Diagnosis> {
    Some(match code {
        // The C library returns it for a thread, if there is no memory for its stack.
        EAGAIN if facts.lacks_memory.is_some() => memory::diagnose(facts),
        EAGAIN => processes::diagnose(facts),
        ENOMEM => memory::diagnose(facts),
        EMFILE => {
            let limit = facts.file_limit.as_ref();
            with_some(
                Diagnosis::new("process-limit", "too many open files in one process"),
                "Max open files in /proc/self/limits",
                limit,
            )
            .for_good("raise `ulimit -n`, or run fewer tests at once (--test-threads)")
        }
        ENFILE => Diagnosis::new("process-limit", "too many open files on the machine")
            .for_good("raise fs.file-max, or run fewer tests at once (--test-threads)"),
        _ => return None,
    })
}

/// Returns the value of `user.max_*_namespaces` for a namespace.
fn limit_of(namespace: Namespace, facts: &Facts) -> Option<&str> {
    let limit = sysctl(namespace);
    let found = facts.namespace_limits.iter().find(|(name, _)| *name == limit);
    found.map(|(_, value)| value.as_str())
}

fn sysctl(namespace: Namespace) -> String {
    format!("max_{}_namespaces", namespace.name())
}

/// Explains ENOSPC (before Linux 4.9 EUSERS): the limit on namespaces is reached.
pub(crate) fn of_namespaces(refused: Option<Namespace>, facts: &Facts) -> Diagnosis {
    let Some(namespace) = refused else {
        return Diagnosis::new(
            "max-namespaces",
            "a limit on namespaces, /proc/sys/user/max_*_namespaces, which is not reached any more",
        )
        .for_good("run the tests again, with fewer at once (--test-threads)");
    };
    let (limit, value) = (sysctl(namespace), limit_of(namespace, facts));
    let file = format!("/proc/sys/user/{limit}");
    if value != Some("0") {
        return reached(namespace, &file, &limit, value);
    }
    let set = format!("user.{limit}={ENOUGH}");
    let diagnosis = Diagnosis::new(
        "max-namespaces",
        format!("this machine allows no {} namespaces", namespace.name()),
    )
    .shown_by(file, "0");
    match facts.container {
        Some(Container::Flatpak) => diagnosis
            .shown_by("/.flatpak-info", "there")
            .for_good("run the tests outside of the sandbox: flatpak-spawn --host cargo test"),
        _ => diagnosis
            .until_reboot(format!("sudo sysctl -w {set}"))
            .for_good(fixes::sysctl_for_good(&set)),
    }
}

/// Explains a limit that is not 0.
fn reached(namespace: Namespace, file: &str, limit: &str, value: Option<&str>) -> Diagnosis {
    let name = namespace.name();
    let mut cause = format!("the limit on {name} namespaces is reached");
    // The kernel limits the nesting of user namespaces only.
    let topic = if namespace == Namespace::User { "nesting" } else { "max-namespaces" };
    cause += match namespace {
        Namespace::User => {
            ": here, or in a user namespace around this one, as a sandbox sets it \
             (bwrap --disable-userns); or they are nested 33 deep"
        }
        _ => {
            ": by namespaces that are in use, or that the kernel has not yet taken down; \
             it may be lower in a user namespace around this one"
        }
    };
    let diagnosis = Diagnosis::new(topic, cause).shown_by(file, value.unwrap_or("(none)"));
    let is_low =
        value.and_then(|value| value.parse().ok()).is_some_and(|value: u64| value < ENOUGH);
    if is_low {
        return diagnosis.until_reboot(format!("sudo sysctl -w user.{limit}={ENOUGH}"));
    }
    diagnosis.for_good("run the tests outside of the sandbox, or raise the limit where it is set")
}

/// A limit that tests do not reach.
const ENOUGH: u64 = 15000;
