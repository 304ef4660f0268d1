//! Ids in this process's user namespace: which it has, and how `/proc` shows the others.

use std::fs;

use crate::sys::text::field;

/// Id by which the kernel shows every id that a user namespace does not map (`overflowuid`,
/// `proc_sys_kernel(5)`), unless it was changed.
const OVERFLOW: u32 = 65_534;

/// Returns `id` with the map's file, if the own user namespace does not map it.
pub(crate) fn unmapped(kind: &str, id: u32) -> Option<(u32, String)> {
    let path = format!("/proc/self/{kind}_map");
    let map = fs::read_to_string(&path).ok()?;
    (!is_mapped(&map, id)).then_some((id, path))
}

/// Returns the real user id, by which the kernel counts processes, as `/proc` shows it.
pub(crate) fn real_user() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    field(&status, "Uid:")?.split_whitespace().next()?.parse().ok()
}

/// Returns whether no other user is shown by the same id in `/proc`.
pub(crate) fn is_shown_alone(uid: u32) -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_alone(&map, uid))
}

fn is_alone(map: &str, uid: u32) -> bool {
    is_mapped(map, uid) && (uid != OVERFLOW || is_mapped(map, u32::MAX - 1))
}

/// Returns whether one of the lines (inside, outside, count) contains `id`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_looked_up_in_a_map() {
        let map = "         0     100000      65536\n     70000 1 1\n";
        assert!(is_mapped(map, 0) && is_mapped(map, 65_535) && is_mapped(map, 70_000));
        assert!(!is_mapped(map, 65_536));
        assert!(!is_mapped("", 0));
    }

    #[test]
    fn users_that_a_map_lacks_are_shown_by_one_id() {
        assert!(is_alone("0 0 4294967295\n", OVERFLOW));
        assert!(is_alone("1000 1000 1\n", 1000));
        assert!(!is_alone("65534 65534 1\n", OVERFLOW));
        assert!(!is_alone("", 1000));
    }
}
