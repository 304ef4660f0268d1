//! Limits on namespaces, of this process's user namespace and of the one of the fork server, which
//! a body cannot read: `/proc/sys/user` shows a process the values of its own user namespace.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Link of `/proc/self/ns/user` in the first user namespace (`PROC_USER_INIT_INO` of
/// `linux/proc_ns.h`).
const FIRST: &str = "user:[4026531837]";

/// Limits on namespaces of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Names and values of `/proc/sys/user/max_*_namespaces`.
    pub(crate) values: Vec<(String, String)>,
    /// Whether it is the first user namespace.
    pub(crate) is_outermost: bool,
}

/// Limits of the fork server's user namespace, and the link of that.
static NOTED: OnceLock<(Option<PathBuf>, Limits)> = OnceLock::new();

/// Records the limits of this process's user namespace, for itself and for processes forked from
/// it.
pub(crate) fn note() {
    NOTED.get_or_init(|| (own(), Limits { values: limits(), is_outermost: is_outermost() }));
}

/// Returns the limits that were recorded, if they are those of another user namespace than this
/// process's.
pub(crate) fn outer() -> Option<Limits> {
    let (noted, limits) = NOTED.get()?;
    (noted.is_some() && *noted != own()).then(|| limits.clone())
}

/// Returns whether this process's user namespace is the first one.
pub(crate) fn is_outermost() -> bool {
    own().is_some_and(|link| link.as_os_str() == FIRST)
}

/// Reads names and values of `/proc/sys/user/max_*_namespaces`, sorted by name.
pub(crate) fn limits() -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir("/proc/sys/user") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut limits: Vec<_> = names
        .filter(|name| name.ends_with("_namespaces"))
        .filter_map(|name| {
            let value = fs::read_to_string(format!("/proc/sys/user/{name}")).ok()?;
            Some((name, value.trim().to_owned()))
        })
        .collect();
    limits.sort();
    limits
}

fn own() -> Option<PathBuf> {
    fs::read_link("/proc/self/ns/user").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_own_user_namespace_are_not_those_of_another() {
        note();
        assert_eq!(outer(), None);
        assert!(limits().iter().any(|(name, _)| name == "max_net_namespaces"));
    }
}
