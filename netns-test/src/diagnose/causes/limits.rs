//! Limits on namespaces, processes and memory. Pure.

use crate::diagnose::causes::{fixes, memory, processes};
use crate::diagnose::facts::{Container, Facts};
use crate::error::Diagnosis;
use crate::sys::errno::{EAGAIN, ENOMEM};
use crate::sys::process::Namespace;

/// Finds the limit on processes or memory. (Those on open files are known to
/// [`errno::failure`](crate::sys::errno::failure).)
pub(crate) fn of_resources(code: i32, facts: &Facts) -> Option<Diagnosis> {
    Some(match code {
        // The C library returns it for a thread, if there is no memory for its stack.
        EAGAIN if facts.lacks_memory.is_some() => memory::diagnose(facts),
        EAGAIN => processes::diagnose(facts),
        ENOMEM => memory::diagnose(facts),
        _ => return None,
    })
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
    let value = limit_of(namespace, &facts.namespace_limits);
    if value == Some(0) {
        return forbidden(namespace, facts);
    }
    // The kernel limits the nesting of user namespaces only.
    let topic = if namespace == Namespace::User { "nesting" } else { "max-namespaces" };
    let diagnosis = Diagnosis::new(topic, cause(namespace, value, facts));
    let shown = value.map_or_else(|| "(none)".to_owned(), |value| value.to_string());
    raise(namespace, value, facts, diagnosis.shown_by(file(namespace), shown))
}

fn sysctl(namespace: Namespace) -> String {
    format!("max_{}_namespaces", namespace.name())
}

fn file(namespace: Namespace) -> String {
    format!("/proc/sys/user/{}", sysctl(namespace))
}

/// Returns the value of `user.max_*_namespaces` for a namespace.
fn limit_of(namespace: Namespace, limits: &[(String, String)]) -> Option<u64> {
    let name = sysctl(namespace);
    limits.iter().find(|(other, _)| *other == name)?.1.parse().ok()
}

/// Explains a limit of 0.
fn forbidden(namespace: Namespace, facts: &Facts) -> Diagnosis {
    let set = format!("user.{}={ENOUGH}", sysctl(namespace));
    let diagnosis = Diagnosis::new(
        "max-namespaces",
        format!("this machine allows no {} namespaces", namespace.name()),
    )
    .shown_by(file(namespace), "0");
    match facts.container {
        Some(Container::Flatpak) => diagnosis
            .shown_by("/.flatpak-info", "there")
            .for_good("run the tests outside of the sandbox: flatpak-spawn --host cargo test"),
        _ => diagnosis
            .until_reboot(format!("sudo sysctl -w {set}"))
            .for_good(fixes::sysctl_for_good(&set)),
    }
}

/// Names the user namespace whose limit is reached, as far as that can be known: the kernel counts
/// in each one up to the first.
fn cause(namespace: Namespace, value: Option<u64>, facts: &Facts) -> String {
    let name = namespace.name();
    let (sandbox, nested) = if namespace == Namespace::User {
        (", as a sandbox sets it (bwrap --disable-userns)", "; or they are nested 33 deep")
    } else {
        ("", "")
    };
    let taken = "by namespaces that are in use, or that the kernel has not yet taken down";
    if facts.is_outermost {
        return format!("the limit on {name} namespaces is reached: {taken}");
    }
    let whose = if value == Some(UNLIMITED) {
        "not that of this user namespace, but of one around it"
    } else {
        "that of this user namespace, or of one around it"
    };
    format!("the limit on {name} namespaces is reached, {taken}: {whose}{sandbox}{nested}")
}

/// Adds how to raise the limit, and the limit around this one if it was recorded.
fn raise(
    namespace: Namespace,
    value: Option<u64>,
    facts: &Facts,
    diagnosis: Diagnosis,
) -> Diagnosis {
    let set = format!("user.{}={ENOUGH}", sysctl(namespace));
    let is_low = |value: Option<u64>| value.is_some_and(|value| value < ENOUGH);
    let is_below = value.is_some_and(|value| value != UNLIMITED);
    let outer = facts.outer.as_ref().filter(|_| !is_below);
    let around = outer.and_then(|outer| limit_of(namespace, &outer.values));
    let diagnosis = match around {
        Some(around) => {
            diagnosis.shown_by(format!("{}, around this test", file(namespace)), around.to_string())
        }
        None => diagnosis,
    };
    let is_outermost = facts.is_outermost || outer.is_some_and(|outer| outer.is_outermost);
    if is_low(if around.is_some() { around } else { value }) {
        if is_outermost || outer.is_none() {
            return diagnosis.until_reboot(format!("sudo sysctl -w {set}"));
        }
        return diagnosis.for_good(format!(
            "where the tests are started, as root of that user namespace: sysctl -w {set}"
        ));
    }
    if is_outermost {
        return diagnosis.for_good(format!(
            "end what holds so many (lsns -t {}), or raise the limit: sudo sysctl -w user.{}=…",
            namespace.name(),
            sysctl(namespace),
        ));
    }
    diagnosis.for_good(
        "run the tests outside of the sandbox or container, or raise the limit where it is set",
    )
}

/// Value of each limit in a new user namespace, which cannot be reached.
const UNLIMITED: u64 = i32::MAX as u64;

/// A limit that tests do not reach.
const ENOUGH: u64 = 15000;
