//! What the machine says of itself: all the reading, and no conclusions.

use std::fs;

use crate::sys::process;

/// Files that bear on namespaces, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Names and values of `/proc/sys/user/max_*_namespaces`.
    pub(crate) namespace_limits: Vec<(String, String)>,
    /// `kernel.unprivileged_userns_clone`: Debian and hardened kernels.
    pub(crate) unprivileged_clone: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`: Ubuntu.
    pub(crate) apparmor_restricts: Option<String>,
    /// The AppArmor profile of this process.
    pub(crate) apparmor_label: Option<String>,
    /// `Seccomp:` of this process: 2 if it has a filter.
    pub(crate) seccomp: Option<String>,
    /// Whether a filter refuses unshare(2) whatever it is asked for.
    pub(crate) unshare_refused: bool,
    /// Whether SELinux enforces its rules.
    pub(crate) selinux_enforces: bool,
    /// Whether this process's user has a number in its own user namespace.
    pub(crate) user_is_mapped: bool,
    /// Whether `/proc` is there.
    pub(crate) proc_is_there: bool,
    /// Whether a file system is mounted at `/`, as seen from here.
    pub(crate) root_is_mounted: Option<bool>,
    /// Whether the kernel knows user namespaces.
    pub(crate) user_namespaces: bool,
    /// `Max processes` of this process: the soft limit.
    pub(crate) process_limit: Option<String>,
    /// `Max open files` of this process: the soft limit.
    pub(crate) file_limit: Option<String>,
}

impl Facts {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            namespace_limits: namespace_limits(),
            unprivileged_clone: value("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts: value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            apparmor_label: value("/proc/self/attr/apparmor/current")
                .or_else(|| value("/proc/self/attr/current")),
            seccomp: after(&status, "Seccomp:").map(str::to_owned),
            unshare_refused: process::is_unshare_refused(),
            selinux_enforces: value("/sys/fs/selinux/enforce").as_deref() == Some("1"),
            user_is_mapped: fs::read_to_string("/proc/self/uid_map")
                .map_or(true, |map| is_mapped(&map, process::effective_ids().0)),
            proc_is_there: fs::exists("/proc/self").unwrap_or(false),
            root_is_mounted: fs::read_to_string("/proc/self/mountinfo")
                .ok()
                .map(|mounts| mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))),
            user_namespaces: fs::exists("/proc/self/ns/user").unwrap_or(false),
            process_limit: soft_limit(&limits, "Max processes"),
            file_limit: soft_limit(&limits, "Max open files"),
        }
    }
}

fn value(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_matches(['\0', '\n', ' ']).to_owned())
}

/// Names and values of `/proc/sys/user/max_*_namespaces`.
pub(super) fn namespace_limits() -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir("/proc/sys/user") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.ends_with("_namespaces"))
        .filter_map(|name| {
            let value = value(&format!("/proc/sys/user/{name}"))?;
            Some((name, value))
        })
        .collect()
}

/// Whether one of the lines (inside, outside, count) covers `id`.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first + count).contains(&u64::from(id))
    })
}

fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim)
}

fn soft_limit(limits: &str, label: &str) -> Option<String> {
    after(limits, label)?.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_by_their_label() {
        let text = "Limit  Soft Limit  Hard Limit  Units\n\
                    Max processes             95983                95983                processes\n";
        assert_eq!(soft_limit(text, "Max processes").as_deref(), Some("95983"));
        assert_eq!(soft_limit(text, "Max open files"), None);
    }

    #[test]
    fn ids_are_looked_up_in_a_map() {
        let map = "         0     100000      65536\n     70000 1 1\n";
        assert!(is_mapped(map, 0) && is_mapped(map, 65_535) && is_mapped(map, 70_000));
        assert!(!is_mapped(map, 65_536));
        assert!(!is_mapped("", 0));
    }

    #[test]
    fn this_machine_has_some() {
        let facts = Facts::read();
        assert!(facts.user_namespaces);
        assert!(facts.file_limit.is_some());
    }
}
