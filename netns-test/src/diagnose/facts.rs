//! Facts about the machine and the process: reads files, and draws no conclusions.

use std::fs;
use std::path::PathBuf;

use crate::env;
use crate::env::Surroundings;
use crate::isolate::NAMESPACES;
use crate::sys::process;
use crate::sys::process::Namespace;
use crate::sys::process::caps;
use crate::sys::process::caps::Caps;
use crate::sys::process::shared_record;
use crate::sys::seccomp::Call;

use crate::diagnose::usage::Limit;
use crate::diagnose::{chroot, ids, usage, user_namespaces};
use crate::sys::text::field;

/// The standard library's default stack size of a thread, in bytes.
const STACK: u64 = 2 << 20;

pub(crate) const USERNS_CLONE: &str = "/proc/sys/kernel/unprivileged_userns_clone";
pub(crate) const APPARMOR_USERNS: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
pub(crate) const SELINUX: &str = "/sys/fs/selinux/enforce";

/// Files and calls that concern namespaces; `None` if one cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Names and values of `/proc/sys/user/max_*_namespaces`.
    pub(crate) namespace_limits: Vec<(String, String)>,
    /// [`USERNS_CLONE`]: Debian and hardened kernels.
    pub(crate) unprivileged_clone: Option<String>,
    /// [`APPARMOR_USERNS`]: Ubuntu.
    pub(crate) apparmor_restricts: Option<String>,
    /// The profile of this process (AppArmor) or its context (SELinux), and the file.
    pub(crate) label: Option<(String, String)>,
    /// [`SELINUX`].
    pub(crate) selinux_enforces: Option<String>,
    /// `Seccomp:` of this thread: 2 if it has a filter.
    pub(crate) seccomp: Option<String>,
    /// Whether [`Self::seccomp`] is not that of the process's first thread.
    pub(crate) is_filter_of_thread: bool,
    /// `Threads:` of this process.
    pub(crate) threads: Option<String>,
    /// The result of unshare(2) without flags, if a filter changes it.
    pub(crate) unshare_filtered: Option<String>,
    /// The result of clone(2) with `CLONE_NEWUSER`, if a filter changes it.
    pub(crate) clone_filtered: Option<String>,
    /// The effective capabilities.
    pub(crate) caps: u64,
    /// The effective user id.
    pub(crate) uid: u32,
    /// The id that is not mapped in this process's user namespace, and the map's file.
    pub(crate) unmapped: Option<(u32, String)>,
    /// Whether `/proc` is mounted.
    pub(crate) proc_is_there: bool,
    /// Place of the root directory among the mounts.
    pub(crate) root: chroot::Root,
    /// Whether this process's user namespace is the first one, which has none around it.
    pub(crate) is_outermost: bool,
    /// [`Self::namespace_limits`] of the fork server's user namespace, which is around this one.
    pub(crate) outer: Option<user_namespaces::Limits>,
    /// The namespaces, of the six, that the kernel does not know.
    pub(crate) unknown_namespaces: Vec<String>,
    /// `/proc/version`.
    pub(crate) version: Option<String>,
    /// The executable according to the kernel; under an emulator that is the emulator.
    pub(crate) interpreter: Option<String>,
    /// The executable, as the program itself sees it.
    pub(crate) executable: Option<PathBuf>,
    /// Limits on processes, as far as they can be seen from here.
    pub(crate) processes: Vec<Limit>,
    /// Limits on the memory of this process.
    pub(crate) memory: Vec<Limit>,
    /// The value of `RUST_MIN_STACK`, in bytes.
    pub(crate) asked_stack: Option<u64>,
    /// The size of a thread's stack in bytes, if it cannot be mapped.
    pub(crate) lacks_memory: Option<u64>,
    /// The container, by a file that Docker, Podman or Flatpak leaves.
    pub(crate) container: Option<Container>,
    /// The environment, by its variables.
    pub(crate) surroundings: Surroundings,
}

/// A kind of container that leaves a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Docker,
    Podman,
    Flatpak,
}

/// Facts that only the process in the new namespaces can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    /// As [`Facts::label`], in the new namespaces.
    pub(crate) label: Option<(String, String)>,
    /// Whether the process is dumpable, so that it owns its files in `/proc`.
    pub(crate) dumpable: Option<bool>,
}

impl Facts {
    /// Reads all facts.
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let (uid, gid) = process::effective_ids();
        Self {
            unprivileged_clone: value(USERNS_CLONE),
            apparmor_restricts: value(APPARMOR_USERNS),
            selinux_enforces: value(SELINUX),
            threads: field(&status, "Threads:").map(str::to_owned),
            unshare_filtered: Call::UnshareNothing.filtered(),
            clone_filtered: Call::CloneUser.filtered(),
            unmapped: ids::unmapped("uid", uid).or_else(|| ids::unmapped("gid", gid)),
            unknown_namespaces: unknown_namespaces(),
            version: value("/proc/version"),
            interpreter: fs::read_link("/proc/thread-self/exe")
                .ok()
                .map(|path| path.to_string_lossy().into_owned()),
            executable: std::env::current_exe().ok(),
            ..Self::of_this_process()
        }
    }

    /// Reads the facts about this process and its limits. Starts no process.
    pub(crate) fn of_this_process() -> Self {
        let seccomp = |file| {
            let status = fs::read_to_string(file).ok()?;
            field(&status, "Seccomp:").map(str::to_owned)
        };
        let of_process = seccomp("/proc/self/status");
        let of_thread = seccomp("/proc/thread-self/status").or_else(|| of_process.clone());
        Self {
            label: label(),
            is_filter_of_thread: of_thread != of_process,
            seccomp: of_thread,
            caps: caps::effective().unwrap_or(Caps::NONE).0,
            uid: process::effective_ids().0,
            namespace_limits: user_namespaces::limits(),
            is_outermost: user_namespaces::is_outermost(),
            outer: user_namespaces::outer(),
            root: chroot::Root::find(),
            proc_is_there: fs::exists("/proc/self").unwrap_or(false),
            processes: usage::of_processes(),
            container: container(),
            surroundings: env::surroundings(),
            ..Self::of_memory()
        }
    }

    /// Reads the facts about the memory of this process.
    pub(crate) fn of_memory() -> Self {
        let asked_stack = usage::asked_stack();
        let stack = asked_stack.unwrap_or(STACK);
        let is_there = usize::try_from(stack).is_ok_and(shared_record::can_map);
        let (memory, lacks_memory) = (usage::of_memory(), (!is_there).then_some(stack));
        Self { memory, asked_stack, lacks_memory, ..Self::default() }
    }

    /// Returns the source of [`Self::seccomp`].
    pub(crate) fn seccomp_file(&self) -> &'static str {
        if self.is_filter_of_thread {
            "Seccomp in /proc/thread-self/status"
        } else {
            "Seccomp in /proc/self/status"
        }
    }

    /// Lists all facts as files and values, to report an unknown cause.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let owned = |name: &str, value: &Option<String>| {
            (name.to_owned(), value.clone().unwrap_or_else(|| "(none)".to_owned()))
        };
        let mut all = vec![
            owned("/proc/version", &self.version),
            ("uid".to_owned(), self.uid.to_string()),
            ("CapEff in /proc/self/status".to_owned(), format!("{:016x}", self.caps)),
            owned(self.seccomp_file(), &self.seccomp),
            owned("Threads in /proc/self/status", &self.threads),
            owned(Call::UnshareNothing.name(), &self.unshare_filtered),
            owned(Call::CloneUser.name(), &self.clone_filtered),
            owned(USERNS_CLONE, &self.unprivileged_clone),
            owned(APPARMOR_USERNS, &self.apparmor_restricts),
            owned(SELINUX, &self.selinux_enforces),
        ];
        all.extend(self.label.iter().map(|(file, value)| (file.clone(), value.clone())));
        let limits = self.namespace_limits.iter();
        all.extend(limits.map(|(name, value)| (format!("/proc/sys/user/{name}"), value.clone())));
        all
    }
}

impl Witness {
    /// Reads the facts, in the process that was refused.
    pub(crate) fn new() -> Self {
        let label = label().map(|(file, label)| (format!("{file}, in the new namespaces"), label));
        Self { label, dumpable: process::is_dumpable() }
    }
}

fn value(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_matches(['\0', '\n', ' ']).to_owned())
}

fn label() -> Option<(String, String)> {
    ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"].into_iter().find_map(|path| {
        let label = value(path).filter(|label| !label.is_empty())?;
        Some((path.to_owned(), label))
    })
}

fn unknown_namespaces() -> Vec<String> {
    let names = NAMESPACES.into_iter().map(Namespace::name);
    let missing = names.filter(|name| !fs::exists(format!("/proc/self/ns/{name}")).unwrap_or(true));
    missing.map(str::to_owned).collect()
}

fn container() -> Option<Container> {
    let files = [
        ("/run/.containerenv", Container::Podman),
        ("/.dockerenv", Container::Docker),
        ("/.flatpak-info", Container::Flatpak),
    ];
    let there = files.into_iter().find(|(path, _)| fs::exists(path).unwrap_or(false));
    there.map(|(_, container)| container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_facts() {
        let facts = Facts::read();
        assert_eq!(facts.unknown_namespaces, Vec::<String>::new());
        assert!(!facts.namespace_limits.is_empty());
        assert!(facts.proc_is_there);
        assert!(facts.all().iter().any(|(file, _)| file == "/proc/sys/user/max_net_namespaces"));
    }
}
