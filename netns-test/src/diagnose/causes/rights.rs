//! Causes for which a step in new namespaces is refused. Pure.

use crate::diagnose::causes::evidence::with;
use crate::diagnose::causes::fixes;
use crate::diagnose::causes::security_modules::{confined, taken_away};
use crate::diagnose::facts::{Facts, Witness};
use crate::error::Diagnosis;
use crate::sys::errno::{EACCES, ENOENT, ENOSYS, EPERM, EROFS};
use crate::sys::process::caps::Caps;

/// Explains that id maps could not be written.
pub(crate) fn maps(
    code: i32,
    of_root: bool,
    facts: &Facts,
    witness: &Witness,
) -> Option<Diagnosis> {
    match code {
        EPERM | EACCES => taken_away(facts, witness)
            .or_else(|| (of_root && code == EPERM).then(|| without_setfcap(facts)))
            .or_else(|| not_dumpable(code, witness)),
        EROFS => Some(
            Diagnosis::new(
                "masked-proc",
                "/proc is mounted read-only; it has the files of id maps",
            )
            .for_good("before the tests: mount -o remount,rw /proc"),
        ),
        _ => None,
    }
}

/// Explains that mounts could not be made private.
pub(crate) fn mounts(code: i32, facts: &Facts, witness: &Witness) -> Option<Diagnosis> {
    if code != EPERM && code != EACCES {
        return None;
    }
    let is_barred = !Caps(facts.caps).contains(Caps::SYS_CHROOT);
    let in_a_chroot = || facts.root.evidence().filter(|_| is_barred);
    in_a_chroot()
        .map(|evidence| without_sys_chroot(facts, evidence))
        .or_else(|| taken_away(facts, witness))
}

/// Explains a chroot without `CAP_SYS_CHROOT`, which is needed to reach the mounts around it.
fn without_sys_chroot(facts: &Facts, (file, value): (String, String)) -> Diagnosis {
    let cause = "this process is in a chroot, and has no CAP_SYS_CHROOT to make the mounts \
                 around it private";
    Diagnosis::new("chroot", cause)
        .shown_by(file, value)
        .shown_by("CapEff in /proc/self/status", format!("{:016x}", facts.caps))
        .for_good("run the tests outside of it, or with CAP_SYS_CHROOT")
}

/// Explains that `lo` could not be brought up.
pub(crate) fn loopback(code: i32, facts: &Facts, witness: &Witness) -> Option<Diagnosis> {
    (code == EPERM || code == EACCES).then(|| taken_away(facts, witness)).flatten()
}

/// Explains that a socket could not be created, bound or connected, which takes no capability.
pub(crate) fn sockets(code: i32, facts: &Facts, witness: &Witness) -> Option<Diagnosis> {
    if !matches!(code, EPERM | EACCES | ENOSYS) {
        return None;
    }
    let cause = "a sandbox around this process refuses it sockets, also in a network of its own";
    let by_filter = (facts.seccomp.as_deref() == Some("2")).then(|| {
        with(Diagnosis::new("network-filter", cause), facts.seccomp_file(), facts.seccomp.as_ref())
            .for_good("run the tests outside of the sandbox, or allow it sockets")
    });
    by_filter.or_else(|| confined(witness.label.as_ref()))
}

/// Explains the refusal of a call that the kernel itself never refuses, or does not know.
pub(crate) fn call(code: i32, facts: &Facts) -> Option<Diagnosis> {
    if !matches!(code, EPERM | EACCES | ENOSYS) {
        return None;
    }
    let seccomp = facts.seccomp.as_ref();
    if seccomp.map(String::as_str) == Some("2") {
        let cause = "a seccomp filter refuses this system call, as that of a container, of a systemd \
                     service or of a sandbox";
        let diagnosis = with(Diagnosis::new("seccomp-call", cause), facts.seccomp_file(), seccomp);
        return Some(diagnosis.for_good(fixes::without_seccomp(facts)));
    }
    if code == ENOSYS {
        return Some(
            Diagnosis::new("seccomp-call", "the kernel does not know this system call")
                .shown_by(facts.seccomp_file(), seccomp.map_or("(none)", String::as_str))
                .for_good("run the tests on Linux 4.7 or later, not emulated"),
        );
    }
    confined(facts.label.as_ref())
}

/// Explains that `/dev/null` cannot be opened.
pub(crate) fn null(code: i32, facts: &Facts) -> Option<Diagnosis> {
    let chroot = facts.root.evidence();
    let diagnosis = match code {
        ENOENT if chroot.is_some() => Diagnosis::new(
            "dev-null",
            "this process is in a chroot, whose /dev has no null",
        )
        .for_good("before the tests, outside: mount --rbind /dev ROOT/dev (or mknod -m 666 ROOT/dev/null c 1 3)"),
        ENOENT => Diagnosis::new("dev-null", "this sandbox has no /dev/null").for_good(
            "give the sandbox devices: bwrap --dev /dev; for others mount a /dev, or bind the \
             machine's /dev/null there",
        ),
        EPERM | EACCES => Diagnosis::new(
            "dev-null",
            "this process may not open devices: by the mode of /dev/null, a mount with `nodev`, or \
             a device controller of control groups",
        )
        .for_good("chmod 666 /dev/null, mount /dev without nodev, or allow the device c 1:3 rw"),
        _ => Diagnosis::new("dev-null", "/dev/null is not the null device, but something else")
            .for_good("as root: rm -r /dev/null && mknod -m 666 /dev/null c 1 3"),
    };
    let shown = |diagnosis: Diagnosis, (file, value)| diagnosis.shown_by(file, value);
    let diagnosis = chroot.into_iter().fold(diagnosis, shown);
    Some(diagnosis.shown_by("/dev/null", if code == ENOENT { "(none)" } else { "there" }))
}

fn without_setfcap(facts: &Facts) -> Diagnosis {
    Diagnosis::new(
        "setfcap",
        "root without CAP_SETFCAP may not map the user id 0 (since Linux 5.12)",
    )
    .shown_by("CapEff in /proc/self/status", format!("{:016x}", facts.caps))
    .for_good(
        "add the capability (docker run --cap-add=SETFCAP), or run the tests as an ordinary user",
    )
}

fn not_dumpable(code: i32, witness: &Witness) -> Option<Diagnosis> {
    (code == EACCES && witness.dumpable == Some(false)).then(|| {
        Diagnosis::new(
            "non-dumpable",
            "this process may not open its own files in /proc: its program may not be read, or \
             its credentials have changed",
        )
        .shown_by("prctl(PR_GET_DUMPABLE)", "0")
        .for_good("make the test binary readable, and start it without changing its user")
    })
}
