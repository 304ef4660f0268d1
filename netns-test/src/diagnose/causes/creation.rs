//! Causes for which namespaces were not created. Pure.

use crate::diagnose::causes::evidence::{with, with_label};
use crate::diagnose::causes::security_modules::{apparmor, confined, taken_away};
use crate::diagnose::causes::{fixes, limits};
use crate::diagnose::chroot::Root;
use crate::diagnose::facts::{Container, Facts, SELINUX, USERNS_CLONE, Witness};
use crate::error::Diagnosis;
use crate::sys::errno::{EACCES, EINVAL, ENOSPC, ENOSYS, EPERM, EUSERS};
use crate::sys::process::Namespace;
use crate::sys::process::caps::Caps;
use crate::sys::seccomp::Call;

/// Finds the cause of `code`.
pub(crate) fn diagnose(code: i32, refused: Option<Namespace>, facts: &Facts) -> Option<Diagnosis> {
    match code {
        ENOSPC | EUSERS => Some(limits::of_namespaces(refused, facts)),
        // Created in one call with a user namespace, in which a security module denies
        // capabilities.
        EPERM | EACCES if refused.is_some_and(|refused| refused != Namespace::User) => {
            let witness = Witness { label: facts.label.clone(), dumpable: None };
            filtered(facts).or_else(|| taken_away(facts, &witness))
        }
        EPERM => refused_by_kernel(facts),
        EACCES => filtered(facts).or_else(|| refused_by_module(facts)),
        EINVAL => not_possible(facts),
        ENOSYS => not_there(facts),
        // The kernel itself does not return it.
        _ => filtered(facts),
    }
}

/// Explains that there are several threads before `main`.
pub(crate) fn threads(facts: &Facts) -> Diagnosis {
    if let Some(emulated) = emulated(facts) {
        return emulated;
    }
    let cause = "something starts threads before main, whose locks a fork would copy";
    let threads = facts.threads.as_ref();
    with(Diagnosis::new("threads", cause), "Threads in /proc/self/status", threads).for_good(
        "run the tests without the library that does so: one that is preloaded (LD_PRELOAD), or linked",
    )
}

fn refused_by_kernel(facts: &Facts) -> Option<Diagnosis> {
    if is_gvisor(facts) {
        return Some(gvisor(facts));
    }
    if let Some(filtered) = filtered(facts) {
        return Some(filtered);
    }
    if let Some((id, file)) = &facts.unmapped {
        let cause = "this process's user or group has no number in its own user namespace";
        return Some(
            Diagnosis::new("unmapped-ids", cause)
                .shown_by(file, format!("no line for {id}"))
                .for_good("run the tests as a user and group that the container maps"),
        );
    }
    if facts.unprivileged_clone.as_deref() == Some("0") && !has_admin(facts) {
        return Some(root_only(facts));
    }
    chroot(facts)
}

/// Explains a chroot, in which the kernel refuses user namespaces. A chroot into a mount point is
/// seen only with the help of a process outside; without that it is likely if no other cause is
/// left, since the kernel itself has no other.
fn chroot(facts: &Facts) -> Option<Diagnosis> {
    let fix = "run the tests outside of it, or as root with CAP_SYS_ADMIN";
    if let Some((file, value)) = facts.root.evidence() {
        let cause = "this process is in a chroot";
        return Some(Diagnosis::new("chroot", cause).shown_by(file, value).for_good(fix));
    }
    if facts.root != Root::Mount || has_security_policy(facts) {
        return None;
    }
    let cause = "likely a chroot into a mount point, the only reason of the kernel's own that is \
                 left; otherwise a security module";
    let diagnosis = Diagnosis::new("chroot", cause)
        .shown_by(Call::CloneUser.name(), "EINVAL, as without a filter")
        .shown_by("/proc/self/uid_map", "has the own id")
        .shown_by("/proc/self/mountinfo", "a file system is mounted at /");
    Some(
        with(diagnosis, "/proc/version", facts.version.as_ref())
            .for_good(format!("{fix}; or enter that root by pivot_root(2), as bwrap does")),
    )
}

/// Returns whether a security module has a policy that may be the cause.
fn has_security_policy(facts: &Facts) -> bool {
    facts.selinux_enforces.as_deref() == Some("1")
        || facts.apparmor_restricts.as_deref() == Some("1")
        || confined(facts.label.as_ref()).is_some()
}

/// Checks for a seccomp filter on the call. The mere presence of a filter shows nothing: most allow
/// namespaces.
fn filtered(facts: &Facts) -> Option<Diagnosis> {
    // The refused call is clone(2), so a filter on unshare(2) only is not the cause.
    let of_clone = facts.clone_filtered.as_ref()?;
    let Some(result) = &facts.unshare_filtered else {
        return Some(argument_filter(facts, of_clone));
    };
    let cause = "a seccomp filter refuses unshare(2) as a whole, as a container's does";
    let diagnosis =
        Diagnosis::new("seccomp-container", cause).shown_by(Call::UnshareNothing.name(), result);
    let diagnosis = diagnosis.shown_by(Call::CloneUser.name(), of_clone);
    Some(
        with(diagnosis, facts.seccomp_file(), facts.seccomp.as_ref())
            .for_good(fixes::without_seccomp(facts)),
    )
}

/// Explains a death by SIGSYS, which is the default action of systemd's `SystemCallFilter=`.
pub(crate) fn killed_by_filter(facts: &Facts) -> Diagnosis {
    let cause = "a seccomp filter kills processes that make a system call which it does not allow, \
                 as systemd's SystemCallFilter= does";
    with(Diagnosis::new("seccomp-kill", cause), facts.seccomp_file(), facts.seccomp.as_ref())
        .for_good(
            "for a systemd service, such as a CI runner: sudo systemctl edit NAME.service, with \
         [Service] and SystemCallFilter=@mount @process @network-io added; otherwise run the \
         tests outside of the sandbox",
        )
}

fn has_admin(facts: &Facts) -> bool {
    Caps(facts.caps).contains(Caps::SYS_ADMIN)
}

fn root_only(facts: &Facts) -> Diagnosis {
    let cause = "user namespaces are for root only, as in Debian 10 and hardened kernels";
    let set = "kernel.unprivileged_userns_clone=1";
    with(Diagnosis::new("userns-clone", cause), USERNS_CLONE, facts.unprivileged_clone.as_ref())
        .until_reboot(format!("sudo sysctl -w {set}"))
        .for_good(fixes::sysctl_for_good(set))
}

fn argument_filter(facts: &Facts, result: &str) -> Diagnosis {
    let cause = "a seccomp filter that looks at arguments refuses namespaces, as systemd's \
                 RestrictNamespaces=, Flatpak's or snap's does";
    let diagnosis = with(
        Diagnosis::new("seccomp-arguments", cause).shown_by(Call::CloneUser.name(), result),
        facts.seccomp_file(),
        facts.seccomp.as_ref(),
    );
    if facts.container == Some(Container::Flatpak) {
        return diagnosis
            .shown_by("/.flatpak-info", "there")
            .for_good("flatpak-spawn --host cargo test");
    }
    if facts.surroundings.snap {
        return diagnosis.shown_by("SNAP", "set").for_good("run the tests from a classic shell");
    }
    diagnosis.for_good(
        "for a systemd service, such as a CI runner: sudo systemctl edit NAME.service, with \
         [Service] and RestrictNamespaces=no; otherwise run the tests outside of the sandbox",
    )
}

/// Checks for a security module that denies the creation itself.
fn refused_by_module(facts: &Facts) -> Option<Diagnosis> {
    if let Some(confined) = confined(facts.label.as_ref()) {
        return Some(confined);
    }
    if facts.apparmor_restricts.as_deref() == Some("1") {
        return Some(apparmor(facts, facts.label.as_ref()));
    }
    if facts.selinux_enforces.as_deref() == Some("1") {
        let cause = "SELinux does not allow this domain to make user namespaces";
        let diagnosis = Diagnosis::new("selinux", cause).shown_by(SELINUX, "1");
        return Some(
            with_label(diagnosis, facts.label.as_ref())
                .for_good("see `ausearch -m avc -ts recent`, and allow user_namespace { create }"),
        );
    }
    None
}

fn not_possible(facts: &Facts) -> Option<Diagnosis> {
    if let Some(emulated) = emulated(facts) {
        return Some(emulated);
    }
    if !facts.unknown_namespaces.is_empty() {
        return Some(kernel_without(facts));
    }
    let several = facts.threads.as_deref().is_some_and(|threads| threads != "1");
    several.then(|| threads(facts))
}

fn not_there(facts: &Facts) -> Option<Diagnosis> {
    if is_gvisor(facts) {
        return Some(gvisor(facts));
    }
    if let Some(result) = &facts.clone_filtered {
        let cause = "a seccomp filter says that the kernel has no such system call";
        let diagnosis = Diagnosis::new("seccomp-enosys", cause);
        return Some(
            with(diagnosis, facts.seccomp_file(), facts.seccomp.as_ref())
                .shown_by(Call::CloneUser.name(), result)
                .for_good(fixes::without_seccomp(facts)),
        );
    }
    (!facts.unknown_namespaces.is_empty()).then(|| kernel_without(facts))
}

fn kernel_without(facts: &Facts) -> Diagnosis {
    let version = facts.version.as_ref();
    let missing: Vec<String> =
        facts.unknown_namespaces.iter().map(|name| format!("/proc/self/ns/{name}")).collect();
    let is_wsl1 = version.is_some_and(|text| text.contains("Microsoft") && text.contains(" 4.4.0"));
    let diagnosis = if is_wsl1 {
        let cause = "WSL 1 has no user namespaces";
        Diagnosis::new("wsl1", cause).for_good("wsl.exe --set-version DISTRIBUTION 2")
    } else {
        let cause = "this kernel was built without some of the namespaces";
        Diagnosis::new("kernel", cause).for_good(
            "a kernel with CONFIG_USER_NS, NET_NS, PID_NS, UTS_NS and IPC_NS (on RHEL 7 also \
             the boot argument user_namespace.enable=1)",
        )
    };
    let diagnosis =
        missing.into_iter().fold(diagnosis, |diagnosis, file| diagnosis.shown_by(file, "(none)"));
    with(diagnosis, "/proc/version", version)
}

/// Checks for user-mode emulation, which has threads of its own and does not support namespaces.
fn emulated(facts: &Facts) -> Option<Diagnosis> {
    let program = facts.interpreter.as_ref()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if !name.starts_with("qemu-") {
        return None;
    }
    let cause = "the program runs under qemu-user, which cannot make user namespaces";
    Some(
        Diagnosis::new("qemu-user", cause)
            .shown_by("/proc/thread-self/exe", program)
            .for_good("run the tests on a machine of that architecture, or in a virtual one"),
    )
}

fn is_gvisor(facts: &Facts) -> bool {
    facts.version.as_ref().is_some_and(|version| version.contains("gVisor"))
}

fn gvisor(facts: &Facts) -> Diagnosis {
    let cause = "gVisor, which is used instead of the kernel here, refuses these namespaces";
    with(Diagnosis::new("gvisor", cause), "/proc/version", facts.version.as_ref())
        .for_good("run the tests on a machine or in a pod without gVisor (runsc)")
}
