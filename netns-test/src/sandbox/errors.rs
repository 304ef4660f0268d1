//! Errors of a program that could not be started: step, object, the kernel's reason, and advice.

use std::ffi::OsStr;
use std::io;

use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::Failure;
use crate::sandbox::steps::LaidOut;
use crate::sys::errno;
use crate::sys::launch::{At, Call, Refusal};
use crate::sys::process::ALL_NAMESPACES;
use crate::sys::process::signals;

/// Explains a refusal that a new process has reported, with the output of a helper program.
pub(crate) fn explain(laid_out: &LaidOut, refusal: Refusal, words: &str) -> Failure {
    if let At::Death(signal) = refusal.at {
        return death(i32::try_from(signal).ok());
    }
    let error = io::Error::from_raw_os_error(refusal.errno);
    let object = object(laid_out, refusal);
    let mut failure = errno::failure(refusal.call.name(), object, &error);
    if matches!(refusal.call, Call::UserMapHelper | Call::GroupMapHelper) {
        "it has failed".clone_into(&mut failure.reason);
    }
    for line in words.lines() {
        failure = failure.advise(line);
    }
    if let Some(advice) = advice(laid_out, refusal) {
        return failure.advise(advice);
    }
    diagnose::with_cause(failure, cause(laid_out, refusal), &Witness::default())
}

/// Explains a failure to run the program, or to fork for it.
pub(crate) fn not_started(laid_out: &LaidOut, program: &OsStr, error: &io::Error) -> Failure {
    let failure = diagnose::explain("start", &program.to_string_lossy(), error);
    match (&laid_out.rootfs, error.kind()) {
        (None, io::ErrorKind::NotFound) if std::path::Path::new(program).exists() => {
            failure.advise("it is there; the interpreter or dynamic loader that it names is not")
        }
        (Some(rootfs), io::ErrorKind::NotFound) => failure.advise(format!(
            "it, or the interpreter or dynamic loader that it names, is not in {}",
            rootfs.display()
        )),
        _ => failure,
    }
}

/// Explains the end of the process before exec, by this signal if it is known.
pub(crate) fn death(signal: Option<i32>) -> Failure {
    let reason = match signal {
        None | Some(0) => "its process ended before exec, without a report".to_owned(),
        Some(signal) => {
            format!("its process was killed by {} before exec", signals::name(signal))
        }
    };
    let mut failure = Failure::new("start", "the program", reason);
    if signal == Some(signals::SYS) {
        failure.diagnosis = diagnose::killed_by_filter().diagnosis;
    }
    failure
}

fn object(laid_out: &LaidOut, refusal: Refusal) -> String {
    match (refusal.at, refusal.call) {
        (At::Step(at), _) => laid_out.objects.get(at as usize).cloned().unwrap_or_default(),
        (At::Namespace(at), _) => match ALL_NAMESPACES.get(at as usize) {
            Some(namespace) => format!("{} namespace", namespace.name()),
            None => "namespaces".to_owned(),
        },
        (_, Call::Clone) => "namespaces".to_owned(),
        (_, Call::JoinNetwork) => laid_out.network.clone(),
        (_, Call::OpenProcess) => "the caller's process".to_owned(),
        (_, Call::ChangeDirectory) => match &laid_out.plan.directory {
            Some(directory) => directory.to_string_lossy().into_owned(),
            None => "/".to_owned(),
        },
        _ => "the program's process".to_owned(),
    }
}

/// Returns the step for the diagnosis of this refusal.
fn cause(laid_out: &LaidOut, refusal: Refusal) -> Step {
    match (refusal.at, refusal.call) {
        (At::Namespace(at), _) => Step::Clone(ALL_NAMESPACES.get(at as usize).copied()),
        (_, Call::Clone) => Step::Clone(None),
        (_, Call::UserMap | Call::GroupMap | Call::SetGroupsFile) => {
            Step::Maps { of_root: laid_out.caller.uid == 0 }
        }
        (_, Call::MakePrivate) => Step::Mounts,
        (_, Call::Socket) => Step::Sockets,
        (_, Call::Loopback) => Step::Loopback,
        (_, call) if call.is_of_mounts() && is_forbidden(refusal.errno) => Step::Mounts,
        // Only limits are known to cause it.
        _ => Step::Resources,
    }
}

fn is_forbidden(code: i32) -> bool {
    matches!(code, errno::EPERM | errno::EACCES)
}

/// Returns advice for this errno of this call.
fn advice(laid_out: &LaidOut, refusal: Refusal) -> Option<String> {
    let has_rootfs = laid_out.rootfs.is_some();
    let kernel = |version: &str| {
        format!("it takes Linux {version} or later, and a seccomp filter that knows the call")
    };
    Some(match (refusal.call, refusal.errno) {
        (Call::OpenProcess, errno::ENOSYS) => kernel("5.3"),
        (Call::OpenProcess, errno::ESRCH) => {
            "its children do not see it, as after unshare(CLONE_NEWPID): start the program from a child"
                .to_owned()
        }
        (Call::OpenPlace, errno::ENOSYS) => kernel("5.6"),
        (Call::ReadOnly, errno::ENOSYS) => kernel("5.12"),
        (Call::CopyTree | Call::Attach | Call::OpenKind | Call::Mount, errno::ENOSYS) => {
            kernel("5.2")
        }
        (Call::OpenPlace, errno::ENOENT) => match &laid_out.rootfs {
            Some(rootfs) => format!(
                "create the mount point first: nothing is created in {}",
                rootfs.display()
            ),
            None => "create the mount point first".to_owned(),
        },
        (Call::Create | Call::Mount, errno::EPERM) => {
            "the kernel mounts a new one only where an old one is fully visible: in many containers, parts of \
             /proc and /sys are covered or read-only"
                .to_owned()
        }
        (Call::Pivot, errno::EINVAL) if has_rootfs => {
            "it cannot be done in a chroot, whose root is not a mount".to_owned()
        }
        (Call::Hostname, errno::EINVAL) => "a hostname has at most 64 bytes".to_owned(),
        (Call::JoinNetwork, errno::EPERM) => {
            "it takes CAP_SYS_ADMIN over the namespace and in the caller's own user namespace"
                .to_owned()
        }
        (Call::UserId | Call::GroupId, errno::EINVAL) => {
            "that id is not mapped in the sandbox".to_owned()
        }
        _ => return None,
    })
}
