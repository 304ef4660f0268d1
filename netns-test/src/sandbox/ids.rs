//! The user of a program, and the ids of its user namespace.

use std::fs;

use crate::error::Failure;
use crate::isolate::{Identity, Mode, Setting, User};
use crate::sys::launch::{MOST_RANGES, Maps, Person};
use crate::sys::process;
use crate::sys::process::caps::Caps;
use crate::userns;
use crate::userns::{Caller, IdRange, helper, lines, subordinate};

/// The user of a [`Sandbox`](crate::Sandbox)'s program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxUser {
    /// The caller, with all capabilities over the sandbox (`CAP_NET_ADMIN` and so on), except those
    /// over files that the caller does not have.
    #[default]
    Caller,
    /// uid and gid 0, with all capabilities over the sandbox.
    Root,
    /// This uid and gid, without any capability unless the uid is 0.
    ///
    /// If only one id is mapped, it is the caller's, under this number: the caller's files belong
    /// to the program. If several are mapped, the program changes to this one.
    Ids {
        /// The user id in the sandbox.
        uid: u32,
        /// The group id in the sandbox.
        gid: u32,
    },
}

/// The ids of the sandbox.
#[derive(Clone, Debug, Default)]
pub(crate) enum Ranges {
    /// The caller's.
    #[default]
    Own,
    Given {
        uids: Vec<IdRange>,
        gids: Vec<IdRange>,
    },
    Subordinate,
}

/// The ids of a program, laid out.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) maps: Maps,
    pub(crate) person: Person,
    /// Texts for `ping_group_range`, the widest first; the kernel takes one whose ids are mapped.
    pub(crate) groups: Vec<Vec<u8>>,
}

const AS_IS: Person =
    Person { change: None, clear_groups: false, dropped: Caps::NONE, ambient: false };

impl Ids {
    /// Lays out ids in the caller's own user namespace.
    pub(crate) fn shared(
        user: SandboxUser,
        ranges: &Ranges,
        caller: &Caller,
    ) -> Result<Self, Failure> {
        if !matches!(ranges, Ranges::Own) {
            let reason = "a program that shares a network stays in the caller's user namespace";
            return Err(Failure::new("map", "ids of a program", reason));
        }
        check(user)?;
        let person = match user {
            SandboxUser::Caller => AS_IS,
            SandboxUser::Root if (caller.uid, caller.gid) == (0, 0) => AS_IS,
            SandboxUser::Root => {
                let reason = format!("the caller is uid {} and gid {}", caller.uid, caller.gid);
                let object = "root without a user namespace of its own";
                return Err(Failure::new("make the program", object, reason)
                    .advise("to join a network it stays in the caller's user namespace"));
            }
            SandboxUser::Ids { uid, gid } => {
                Person { change: Some((uid, gid)), clear_groups: may_change_groups(), ..AS_IS }
            }
        };
        Ok(Self { maps: Maps::None, person, groups: Vec::new() })
    }

    /// Lays out ids in a new user namespace.
    pub(crate) fn new(
        user: SandboxUser,
        ranges: &Ranges,
        caller: &Caller,
    ) -> Result<Self, Failure> {
        check(user)?;
        let ids = match ranges {
            Ranges::Own => Self::of_caller(user, caller)?,
            Ranges::Given { uids, gids } => Self::of_ranges(user, uids, gids, caller)?,
            Ranges::Subordinate => {
                let (uid, gid) = inside(user, caller);
                let uids = subordinate("/etc/subuid", uid, caller.uid, caller.uid)?;
                let gids = subordinate("/etc/subgid", gid, caller.gid, caller.uid)?;
                Self::of_ranges(user, &uids, &gids, caller)?
            }
        };
        // A number names another process in the /proc of another PID namespace.
        if matches!(ids.maps, Maps::All { .. } | Maps::Helpers { .. }) && !process::proc_is_own() {
            let reason = "/proc shows another PID namespace than this process's own";
            return Err(Failure::new("write", "the id maps of a program", reason)
                .advise("fix: mount -t proc proc /proc (unshare and others: --mount-proc)"));
        }
        Ok(ids)
    }

    fn of_caller(user: SandboxUser, caller: &Caller) -> Result<Self, Failure> {
        let wanted = match user {
            SandboxUser::Root => User::Root,
            SandboxUser::Caller | SandboxUser::Ids { .. } => User::Caller,
        };
        let setting = Setting { user: wanted, ..Setting::CALLER };
        let identity = Identity::new(setting, caller, &Mode::full())?;
        let own = |uid: u32, gid: u32| Maps::Own {
            uid: format!("{uid} {} 1", caller.uid).into_bytes(),
            gid: format!("{gid} {} 1", caller.gid).into_bytes(),
        };
        let (uid, gid) = inside(user, caller);
        let all = |uid: String, gid: String| Maps::All { uid: uid.into(), gid: gid.into() };
        let (maps, is_all) = match identity.maps.clone() {
            userns::Maps::All { uid_map, gid_map } => (all(uid_map, gid_map), true),
            userns::Maps::One { .. } | userns::Maps::Subordinate { .. } | userns::Maps::Callers => {
                (own(uid, gid), false)
            }
        };
        let person = match user {
            SandboxUser::Caller => {
                Person { dropped: identity.dropped(), ambient: caller.uid != 0, ..AS_IS }
            }
            SandboxUser::Ids { .. } if is_all => {
                Person { change: Some((uid, gid)), clear_groups: may_change_groups(), ..AS_IS }
            }
            SandboxUser::Root | SandboxUser::Ids { .. } => AS_IS,
        };
        Ok(Self { maps, person, groups: groups(gid, is_all) })
    }

    fn of_ranges(
        user: SandboxUser,
        uids: &[IdRange],
        gids: &[IdRange],
        caller: &Caller,
    ) -> Result<Self, Failure> {
        for (kind, ranges) in [("uid", uids), ("gid", gids)] {
            if ranges.is_empty() || ranges.len() > MOST_RANGES {
                let reason =
                    format!("there are {} ranges; it takes 1 to {MOST_RANGES}", ranges.len());
                return Err(Failure::new("map", format!("the {kind}s of a program"), reason));
            }
            check_ranges(kind, ranges)?;
        }
        let (uid, gid) = inside(user, caller);
        for (kind, own, ranges) in [("uid", uid, uids), ("gid", gid, gids)] {
            let mut own_range = ranges.iter().filter(|range| range.has_inside(own));
            if own_range.next().is_none() {
                let object = format!("{kind} {own} of a program");
                return Err(Failure::new("map", object, "it is in none of the ranges"));
            }
        }
        let maps = if caller.may_map_all() {
            Maps::All { uid: lines(uids), gid: lines(gids) }
        } else {
            Maps::Helpers { uid: helper("newuidmap", uids)?, gid: helper("newgidmap", gids)? }
        };
        let as_caller = user == SandboxUser::Caller;
        let dropped = if as_caller { Identity::over_files(caller) } else { Caps::NONE };
        let ambient = as_caller && uid != 0;
        let person = Person {
            change: Some((uid, gid)),
            clear_groups: may_change_groups(),
            dropped,
            ambient,
        };
        Ok(Self { maps, person, groups: groups(gid, true) })
    }
}

/// The highest number stands for "no id" (setresuid(2)).
fn check(user: SandboxUser) -> Result<(), Failure> {
    match user {
        SandboxUser::Ids { uid: u32::MAX, .. } | SandboxUser::Ids { gid: u32::MAX, .. } => {
            let reason = format!("{} is no id; they are 0 to {}", u32::MAX, u32::MAX - 1);
            Err(Failure::new("make the program", "another user", reason))
        }
        _ => Ok(()),
    }
}

fn check_ranges(kind: &str, ranges: &[IdRange]) -> Result<(), Failure> {
    let refused = |range: &IdRange, reason: &str| {
        let IdRange { inside, outside, count } = range;
        let object = format!("{count} {kind}s from {inside}, outside {outside}");
        Err(Failure::new("map", object, reason))
    };
    let meet = |a: u32, b: u32, a_count: u32, b_count: u32| {
        let (a_end, b_end) = (u64::from(a) + u64::from(a_count), u64::from(b) + u64::from(b_count));
        u64::from(a) < b_end && u64::from(b) < a_end
    };
    for (at, range) in ranges.iter().enumerate() {
        let ends = [range.inside, range.outside].map(|first| first.checked_add(range.count));
        if range.count == 0 || ends.contains(&None) {
            return refused(range, "a range has at least one id, and ends before 4294967295");
        }
        for other in ranges.iter().take(at) {
            if meet(range.inside, other.inside, range.count, other.count)
                || meet(range.outside, other.outside, range.count, other.count)
            {
                return refused(range, "it overlaps with another range, inside or outside");
            }
        }
    }
    Ok(())
}

/// Returns whether setgroups(2) is allowed here, and so in nested user namespaces
/// (`user_namespaces(7)`, "setgroups"). Otherwise the program keeps the caller's groups, which the
/// caller cannot leave either.
fn may_change_groups() -> bool {
    fs::read_to_string("/proc/self/setgroups").map_or(true, |text| text.trim() != "deny")
}

/// Returns the uid and gid of the program, as numbers of its own user namespace.
fn inside(user: SandboxUser, caller: &Caller) -> (u32, u32) {
    match user {
        SandboxUser::Caller => (caller.uid, caller.gid),
        SandboxUser::Root => (0, 0),
        SandboxUser::Ids { uid, gid } => (uid, gid),
    }
}

/// Returns texts for `ping_group_range`: all groups, if they are mapped, then the own group.
fn groups(own: u32, all: bool) -> Vec<Vec<u8>> {
    let every = all.then(|| b"0 2147483647".to_vec());
    every.into_iter().chain([format!("{own} {own}").into_bytes()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_written_as_the_kernel_wants_them() {
        let ranges = [
            IdRange { inside: 0, outside: 1000, count: 1 },
            IdRange { inside: 1, outside: 100_000, count: 9 },
        ];
        assert_eq!(lines(&ranges), b"0 1000 1\n1 100000 9\n");
        assert_eq!(groups(5, true), [b"0 2147483647".to_vec(), b"5 5".to_vec()]);
        assert_eq!(groups(5, false), [b"5 5".to_vec()]);
    }
}
