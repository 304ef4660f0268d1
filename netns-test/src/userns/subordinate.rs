//! Subordinate ids: `/etc/subuid` and `/etc/subgid` assign them to users (subuid(5)), and the
//! set-user-ID programs newuidmap(1) and newgidmap(1) map them.

use std::fs;

use crate::error::Failure;
use crate::sys::launch;
use crate::sys::launch::Helper;
use crate::sys::process::Pid;
use crate::sys::process::credentials;
use crate::sys::text::field;
use crate::sys::{errno, fds};

/// A range of consecutive ids, in the sandbox and outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the sandbox.
    pub inside: u32,
    /// The first id in the caller's user namespace.
    pub outside: u32,
    /// The number of ids; at least 1.
    pub count: u32,
}

impl IdRange {
    /// Returns whether the sandbox has this id.
    pub(crate) fn has_inside(&self, id: u32) -> bool {
        id.checked_sub(self.inside).is_some_and(|offset| offset < self.count)
    }
}

/// Formats the lines of an id map.
pub(crate) fn lines(ranges: &[IdRange]) -> Vec<u8> {
    let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.outside, range.count);
    ranges.iter().map(line).collect::<String>().into_bytes()
}

/// Finds the program `name` (newuidmap or newgidmap), and lays out `ranges` as its arguments.
pub(crate) fn helper(name: &str, ranges: &[IdRange]) -> Result<Helper, Failure> {
    /// Directories to search instead of `PATH`, because these programs have more rights than the
    /// caller.
    const PLACES: [&str; 6] =
        ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/run/wrappers/bin"];
    let mut paths = PLACES.iter().map(|place| format!("{place}/{name}"));
    let Some(program) = paths.find(|path| fs::exists(path).unwrap_or(false)) else {
        let reason = format!("it is not in {}", PLACES.join(", "));
        return Err(Failure::new("find", name, reason)
            .advise("several ids take it, or CAP_SETUID, CAP_SETGID and CAP_SETFCAP")
            .advise("Debian and Ubuntu: apt install uidmap; Fedora: dnf install shadow-utils"));
    };
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.count]);
    let ranges = numbers.map(|number| fds::c_text(&number.to_string())).collect::<Result<_, _>>();
    let failed = |error| errno::failure("lay out", name, &error);
    let program = fds::c_text(&program).map_err(failed)?;
    Ok(Helper { program, ranges: ranges.map_err(failed)? })
}

/// Reads the ranges of the user `caller` (a uid) from `path`, and lays them out from id 0 on,
/// around `own`, which is `outside` for the caller.
pub(crate) fn subordinate(
    path: &str,
    own: u32,
    outside: u32,
    caller: u32,
) -> Result<Vec<IdRange>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        errno::failure("read", path, &error)
            .advise("it has the ids that users may map, see subuid(5)")
    })?;
    let name = credentials::user_name(caller);
    let ranges = assigned_to(&text, name.as_deref(), caller);
    if ranges.is_empty() {
        let name = name.unwrap_or_else(|| format!("uid {caller}"));
        return Err(Failure::new(
            "find",
            format!("ids for {name} in {path}"),
            "there is no such line",
        )
        .advise(format!("fix: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST {name}"))
        .advise(
            "with a range that no other line of that file has: users that share ids share files",
        ));
    }
    Ok(around(own, outside, &ranges))
}

/// Returns the ranges of a user in the text of subuid(5), as (first, count).
fn assigned_to(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (user, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let is_own = Some(user) == name || user.parse() == Ok(uid);
        Some((first.parse().ok()?, count.parse().ok()?)).filter(|(_, count)| is_own && *count > 0)
    });
    ranges.collect()
}

/// Maps `own` to `outside`, and every other id from 0 on to the next one of `ranges`.
fn around(own: u32, outside: u32, ranges: &[(u32, u32)]) -> Vec<IdRange> {
    let mut maps = vec![IdRange { inside: own, outside, count: 1 }];
    let mut next = u32::from(own == 0);
    for &(mut first, mut left) in ranges {
        while left > 0 {
            let room = if next < own { own - next } else { u32::MAX - next };
            let count = left.min(room);
            if count == 0 {
                break;
            }
            maps.push(IdRange { inside: next, outside: first, count });
            (first, left, next) = (first.saturating_add(count), left - count, next + count);
            next += u32::from(next == own);
        }
    }
    maps
}

/// Runs newuidmap and newgidmap, which write the maps of the child `pid`.
pub(crate) fn write(uids: &[IdRange], gids: &[IdRange], pid: Pid) -> Result<(), Failure> {
    let (uid, gid) = (helper("newuidmap", uids)?, helper("newgidmap", gids)?);
    launch::write_maps(&launch::Maps::Helpers { uid, gid }, pid).map_err(|(refusal, words)| {
        let reason = match refusal.errno {
            errno::EPERM => "it has failed".to_owned(),
            other => errno::describe_raw(other),
        };
        let failure = Failure::new(refusal.call.name(), "the test's process", reason);
        let failure = words.lines().fold(failure, Failure::advise);
        if has_no_new_privileges() {
            let cause = "no_new_privs is set here, so a program gets no rights of its file's owner";
            return failure
                .advise(cause)
                .advise("fix: start the tests without it (setpriv, systemd: NoNewPrivileges=no)");
        }
        failure
    })
}

/// Returns whether set-user-ID programs run without their owner's rights (prctl(2),
/// `PR_SET_NO_NEW_PRIVS`).
fn has_no_new_privileges() -> bool {
    let status = fds::read_small("/proc/self/status").unwrap_or_default();
    field(&status, "NoNewPrivs:") == Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_found_and_put_around_the_own_one() {
        let text = "# users\nroot:1:2\nann:100000:65536\n1000:300000:10\nbob:5:5\nann:x:1\n";
        let ranges = assigned_to(text, Some("ann"), 1000);
        assert_eq!(ranges, [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(assigned_to(text, None, 7), []);
        let range = |inside, outside, count| IdRange { inside, outside, count };
        let as_root = [range(0, 1000, 1), range(1, 100_000, 65_536), range(65_537, 300_000, 10)];
        assert_eq!(around(0, 1000, &ranges), as_root);
        let as_self = [range(2, 7, 1), range(0, 50, 2), range(3, 52, 3)];
        assert_eq!(around(2, 7, &[(50, 5)]), as_self);
    }
}
