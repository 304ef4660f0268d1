//! Usage of each limit on processes and memory: counters and events, and no conclusions.

use std::fs;
use std::sync::OnceLock;

use crate::diagnose::{ids, user_namespaces};
use crate::env;
use crate::sys::text::field;

/// A limit, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) kind: Kind,
    /// The limit's source and value.
    pub(crate) limit: (String, u64),
    /// The usage's source and value, if it can be read.
    pub(crate) used: Option<(String, u64)>,
    /// Whether the kernel has counted a refusal since [`note_refusals`].
    pub(crate) has_refused: bool,
}

/// Kinds of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `pids.max` of a control group; whether events are counted where the limit is.
    Group { counts_own: bool },
    /// `RLIMIT_NPROC`.
    User,
    /// `kernel.threads-max`.
    Threads,
    /// `kernel.pid_max`.
    Ids,
    /// `RLIMIT_AS`.
    AddressSpace,
    /// `RLIMIT_DATA`.
    Data,
    /// `vm.max_map_count`.
    Mappings,
    /// The kernel's promises of memory, with `vm.overcommit_memory` 2.
    Commitment,
}

/// Reads the limits on processes and threads: first those of control groups, the innermost first.
pub(crate) fn of_processes() -> Vec<Limit> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let all = fs::read_to_string("/proc/loadavg").ok().and_then(|text| threads_in(&text));
    let of_all = |kind, file: &str| {
        let used = all.map(|count| ("threads in /proc/loadavg".to_owned(), count));
        Some(Limit { kind, limit: (file.to_owned(), number(file)?), used, has_refused: false })
    };
    let user = ids::real_user().filter(|&uid| !is_exempt(uid));
    let of_user = user.zip(soft(&limits, "Max processes")).map(|(uid, limit)| {
        // In a test's user namespace `/proc` does not show what else the kernel counts.
        let seen = user_namespaces::outer().is_none().then(|| tasks_of(uid)).flatten();
        let used =
            seen.map(|count| (format!("processes and threads of user {uid} in /proc"), count));
        let limit = ("Max processes in /proc/self/limits".to_owned(), limit);
        Limit { kind: Kind::User, limit, used, has_refused: false }
    });
    let mut found = groups();
    found.extend(of_user);
    found.extend(of_all(Kind::Threads, "/proc/sys/kernel/threads-max"));
    found.extend(of_all(Kind::Ids, "/proc/sys/kernel/pid_max"));
    found
}

/// Returns how many more processes each control group allows, and the user's limit
/// (`RLIMIT_NPROC`).
pub(crate) fn room_for_processes() -> Vec<u64> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let left = |limit: Limit| Some(limit.limit.1.saturating_sub(limit.used?.1));
    groups().into_iter().filter_map(left).chain(soft(&limits, "Max processes")).collect()
}

/// Reads the limits on the memory of this process.
pub(crate) fn of_memory() -> Vec<Limit> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = |kind, name: &str, field: &str| {
        let used =
            in_kib(&status, field).map(|used| (format!("{field} in /proc/self/status"), used));
        let limit = (format!("{name} in /proc/self/limits"), soft(&limits, name)?);
        Some(Limit { kind, limit, used, has_refused: false })
    };
    let mappings = number("/proc/sys/vm/max_map_count").map(|limit| {
        let maps = fs::read_to_string("/proc/self/maps").ok();
        let used =
            maps.map(|maps| ("lines of /proc/self/maps".into(), maps.lines().count() as u64));
        let limit = ("/proc/sys/vm/max_map_count".to_owned(), limit);
        Limit { kind: Kind::Mappings, limit, used, has_refused: false }
    });
    let all = [
        own(Kind::AddressSpace, "Max address space", "VmSize"),
        own(Kind::Data, "Max data size", "VmData"),
        mappings,
        commitment(),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the stack size that `RUST_MIN_STACK` sets for threads, in bytes.
pub(crate) fn asked_stack() -> Option<u64> {
    env::stack_of_threads()
}

/// Records how many refusals the kernel has counted so far, for each control group.
pub(crate) fn note_refusals() {
    counted_before();
}

fn counted_before() -> &'static [(String, u64)] {
    static BEFORE: OnceLock<Vec<(String, u64)>> = OnceLock::new();
    BEFORE.get_or_init(|| {
        let directories = group_directories().into_iter();
        directories.filter_map(|group| Some((group.clone(), refusals(&group)?))).collect()
    })
}

/// Reads `pids.max` of this process's control group and of its ancestors, as far as they are
/// visible.
fn groups() -> Vec<Limit> {
    let before = counted_before();
    let limit = |group: String| {
        let file = format!("{group}/pids.max");
        let counted = before.iter().find(|(other, _)| *other == group).map(|(_, count)| *count);
        let has_refused = refusals(&group) > counted && counted.is_some();
        let current = format!("{group}/pids.current");
        let used = number(&current).map(|used| (current, used));
        let counts_own = fs::exists(format!("{group}/pids.events.local")).unwrap_or(false);
        let kind = Kind::Group { counts_own };
        match fs::read_to_string(&file).ok()?.trim() {
            // No limit, but version 2 counts refusals of an ancestor here, too.
            "max" => {
                has_refused.then_some(Limit { kind, limit: (file, u64::MAX), used, has_refused })
            }
            value => {
                let limit = (file, value.parse().ok()?);
                Some(Limit { kind, limit, used, has_refused })
            }
        }
    };
    group_directories().into_iter().filter_map(limit).collect()
}

/// Reads how many processes the control group has refused.
fn refusals(group: &str) -> Option<u64> {
    let events = fs::read_to_string(format!("{group}/pids.events")).ok()?;
    events.lines().find_map(|line| line.strip_prefix("max ")?.parse().ok())
}

/// Lists the directories of this process's control groups, the innermost first.
fn group_directories() -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    [false, true].into_iter().flat_map(|is_first| directories(&groups, &mounts, is_first)).collect()
}

/// Lists the directories of version 1 of control groups if `is_first`, or of version 2.
fn directories(groups: &str, mounts: &str, is_first: bool) -> Vec<String> {
    let of_line = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_it = if is_first {
            controllers.split(',').any(|controller| controller == "pids")
        } else {
            controllers.is_empty()
        };
        is_it.then(|| group.to_owned())
    };
    let of_mount = |line: &str| {
        let (mount, system) = line.split_once(" - ")?;
        let mount: Vec<&str> = mount.split(' ').collect();
        let system: Vec<&str> = system.split(' ').collect();
        let (kind, options) = (system.first()?, system.get(2)?);
        let is_it = if is_first {
            *kind == "cgroup" && options.split(',').any(|option| option == "pids")
        } else {
            *kind == "cgroup2"
        };
        is_it.then(|| {
            (mount.get(3).map(|root| (*root).to_owned()), mount.get(4).map(|p| (*p).to_owned()))
        })
    };
    let Some(group) = groups.lines().find_map(of_line) else { return Vec::new() };
    let Some((Some(root), Some(place))) = mounts.lines().find_map(of_mount) else {
        return Vec::new();
    };
    // A part of the tree may be mounted only.
    let below = match root.trim_end_matches('/') {
        "" => group.as_str(),
        root => group.strip_prefix(root).unwrap_or(""),
    };
    let mut below = below.trim_end_matches('/');
    let mut found = vec![format!("{place}{below}")];
    while let Some((parent, _)) = below.rsplit_once('/') {
        below = parent;
        found.push(format!("{place}{below}"));
    }
    found
}

/// Returns whether the kernel exempts this user from `RLIMIT_NPROC`: root on the machine.
fn is_exempt(uid: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    uid == 0 && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Counts the threads of the user's processes, as far as `/proc` shows them. `None` if it shows
/// other users by the same id.
fn tasks_of(uid: u32) -> Option<u64> {
    if !ids::is_shown_alone(uid) {
        return None;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = processes.filter_map(|entry| {
        let name = entry.file_name();
        let is_process = name.to_str()?.bytes().all(|byte| byte.is_ascii_digit());
        is_process.then(|| fs::read_to_string(entry.path().join("status")).ok())?
    });
    let number = |status: &str, name: &str| -> Option<u64> {
        field(status, name)?.split_whitespace().next()?.parse().ok()
    };
    let own = statuses.filter(|status| number(status, "Uid:") == Some(u64::from(uid)));
    Some(own.filter_map(|status| number(&status, "Threads:")).sum())
}

fn commitment() -> Option<Limit> {
    if number("/proc/sys/vm/overcommit_memory") != Some(2) {
        return None;
    }
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let used = in_kib(&memory, "Committed_AS")?;
    Some(Limit {
        kind: Kind::Commitment,
        limit: ("CommitLimit in /proc/meminfo".into(), in_kib(&memory, "CommitLimit")?),
        used: Some(("Committed_AS in /proc/meminfo".into(), used)),
        has_refused: false,
    })
}

/// Returns the bytes of a field in KiB.
fn in_kib(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Returns the soft limit with this label in `/proc/self/limits`; `None` if it is unlimited.
fn soft(limits: &str, label: &str) -> Option<u64> {
    field(limits, label)?.split_whitespace().next()?.parse().ok()
}

/// Returns the second number of the fourth field, `1/234`.
fn threads_in(loadavg: &str) -> Option<u64> {
    loadavg.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_are_found_where_they_are_mounted() {
        let first = "8:pids:/a/b\n1:name=systemd:/\n0::/\n";
        let mounts = "30 25 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let place = "/sys/fs/cgroup/pids";
        let expected = [format!("{place}/a/b"), format!("{place}/a"), place.to_owned()];
        assert_eq!(directories(first, mounts, true), expected);
        assert_eq!(directories(first, mounts, false), ["/sys/fs/cgroup/unified"]);
        // A container without a control group namespace.
        let second = "0::/docker/c\n";
        let mounts = "30 25 0:26 /docker /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(directories(second, mounts, false), ["/sys/fs/cgroup/c", "/sys/fs/cgroup"]);
        assert_eq!(directories(second, mounts, true), <[String; 0]>::default());
    }

    #[test]
    fn limits_and_counts_are_found_by_their_labels() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95983                95983                processes \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(soft(limits, "Max processes"), Some(95983));
        assert_eq!(soft(limits, "Max address space"), None);
        assert_eq!(threads_in("0.00 0.01 0.05 1/234 567\n"), Some(234));
        assert_eq!(in_kib("VmPeak:\t  8 kB\nVmSize:\t  4 kB\n", "VmSize"), Some(4096));
    }

    #[test]
    fn this_process_counts() {
        let uid = ids::real_user().unwrap();
        assert!(!ids::is_shown_alone(uid) || tasks_of(uid) >= Some(1));
        assert!(of_processes().iter().any(|limit| limit.kind == Kind::Threads));
        assert!(of_memory().iter().any(|limit| limit.kind == Kind::Mappings));
    }
}
