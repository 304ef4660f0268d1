//! User namespaces: the caller's identity, and id maps that preserve it (`user_namespaces(7)`).

pub(crate) mod subordinate;

use std::io;

pub use crate::userns::subordinate::IdRange;
pub(crate) use crate::userns::subordinate::{helper, lines, subordinate};

use crate::error::Failure;
use crate::sys::process::caps;
use crate::sys::process::caps::Caps;
use crate::sys::{errno, fds, process};

/// The identity of the process that makes namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) caps: Caps,
    /// Its own `uid_map` and `gid_map`.
    uid_map: String,
    gid_map: String,
}

/// The id maps of a new user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Maps {
    /// The caller's own uid and gid alone, as these; written by the new process itself.
    One { uid: Map, gid: Map },
    /// Every id of the caller, as itself; written by the caller, which has the capabilities.
    All { uid_map: String, gid_map: String },
    /// The caller's own ids, and its subordinate ones; written by newuidmap and newgidmap.
    Subordinate { uids: Vec<IdRange>, gids: Vec<IdRange> },
    /// No new user namespace: the maps are the caller's.
    Callers,
}

/// One id: its number inside and outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
}

impl Caller {
    /// Reads the identity of this process.
    pub(crate) fn read() -> Result<Self, Failure> {
        let (uid, gid) = process::effective_ids();
        let caps = caps::effective()
            .map_err(|error| errno::failure("capget", "own capabilities", &error))?;
        Ok(Self { uid, gid, caps, uid_map: read_map("uid")?, gid_map: read_map("gid")? })
    }

    /// Returns the identity, to compare with [`user_now`].
    pub(crate) fn user(&self) -> (u32, u32, u64) {
        (self.uid, self.gid, self.caps.0)
    }

    /// Returns whether the kernel lets this caller map ids other than its own. Mapping id 0 takes
    /// `CAP_SETFCAP` besides, since Linux 5.12.
    pub(crate) fn may_map_all(&self) -> bool {
        self.caps.contains(Caps::SETUID.and(Caps::SETGID).and(Caps::SETFCAP))
    }

    /// Maps every id to itself if that is allowed, otherwise the caller's own id only.
    pub(crate) fn identity_maps(&self) -> Maps {
        if self.may_map_all() {
            let (uid_map, gid_map) = (identity(&self.uid_map), identity(&self.gid_map));
            return Maps::All { uid_map, gid_map };
        }
        Maps::One {
            uid: Map { inside: self.uid, outside: self.uid },
            gid: Map { inside: self.gid, outside: self.gid },
        }
    }

    /// Maps the caller's own ids to 0. For uid and gid 0 it is the same as [`Self::identity_maps`].
    pub(crate) fn root_maps(&self) -> Maps {
        if self.uid == 0 && self.gid == 0 {
            return self.identity_maps();
        }
        Maps::One {
            uid: Map { inside: 0, outside: self.uid },
            gid: Map { inside: 0, outside: self.gid },
        }
    }

    /// Maps the caller's own ids to `uid` and `gid`, and its subordinate ids to the other numbers.
    pub(crate) fn subordinate_maps(&self, (uid, gid): (u32, u32)) -> Result<Maps, Failure> {
        let uids = subordinate("/etc/subuid", uid, self.uid, self.uid)?;
        let gids = subordinate("/etc/subgid", gid, self.gid, self.uid)?;
        Ok(Maps::Subordinate { uids, gids })
    }

    /// Returns whether the caller's user namespace has this uid.
    pub(crate) fn has_uid(&self, uid: u32) -> bool {
        has(&self.uid_map, uid)
    }

    /// Returns whether the caller's user namespace has this gid.
    pub(crate) fn has_gid(&self, gid: u32) -> bool {
        has(&self.gid_map, gid)
    }
}

/// Returns uid, gid and effective capabilities of the calling thread.
pub(crate) fn user_now() -> io::Result<(u32, u32, u64)> {
    let (uid, gid) = process::effective_ids();
    Ok((uid, gid, caps::effective()?.0))
}

impl Maps {
    /// Returns whether only one id is mapped, and that is root's outside.
    pub(crate) fn are_of_root(&self) -> bool {
        matches!(self, Self::One { uid: Map { outside: 0, .. }, .. })
    }

    /// Writes the maps of the calling process, which has just entered its namespace.
    /// Does nothing for [`Maps::All`].
    pub(crate) fn write_own(&self) -> Result<(), Failure> {
        let Self::One { uid, gid } = self else { return Ok(()) };
        // Without this, a program that may not be read has its files in /proc owned by root.
        process::make_dumpable()
            .map_err(|error| errno::failure("prctl", "PR_SET_DUMPABLE", &error))?;
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &uid.line())?;
        write("/proc/self/gid_map", &gid.line())
    }

    /// Writes the maps of the child `pid`. Does nothing for [`Maps::One`].
    pub(crate) fn write_for(&self, pid: process::Pid) -> Result<(), Failure> {
        if matches!(self, Self::One { .. } | Self::Callers) {
            return Ok(());
        }
        // A number names another process in the /proc of another PID namespace.
        if !process::proc_is_own() {
            let reason = "/proc shows another PID namespace than this process's own";
            return Err(Failure::new("write", "the id maps of a test", reason)
                .advise("fix: mount -t proc proc /proc (unshare and others: --mount-proc)"));
        }
        match self {
            Self::One { .. } | Self::Callers => Ok(()),
            Self::All { uid_map, gid_map } => {
                write(&format!("/proc/{pid}/uid_map"), uid_map)?;
                write(&format!("/proc/{pid}/gid_map"), gid_map)
            }
            Self::Subordinate { uids, gids } => subordinate::write(uids, gids, pid),
        }
    }
}

impl Map {
    fn line(self) -> String {
        format!("{} {} 1", self.inside, self.outside)
    }
}

fn read_map(kind: &str) -> Result<String, Failure> {
    let path = format!("/proc/self/{kind}_map");
    std::fs::read_to_string(&path).map_err(|error| errno::failure("read", path, &error))
}

/// Returns a map of every id in `own` (lines of inside, outside, count) to itself.
fn identity(own: &str) -> String {
    let lines = own.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace();
        let (inside, _outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    });
    lines.collect()
}

/// Returns whether a line of `own` contains `id`.
fn has(own: &str, id: u32) -> bool {
    own.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
        let (Some(inside), Some(_outside), Some(count)) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        id.checked_sub(inside).is_some_and(|offset| offset < count)
    })
}

fn write(path: &str, text: &str) -> Result<(), Failure> {
    let result: io::Result<()> = fds::write_file(path, text.as_bytes());
    result.map_err(|error| errno::failure("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, caps: Caps) -> Caller {
        let (uid_map, gid_map) = ("0 100000 65536\n".into(), "0 0 1\n5 5 2\n".into());
        Caller { uid, gid: uid, caps, uid_map, gid_map }
    }

    #[test]
    fn an_ordinary_caller_keeps_its_own_id() {
        let one = |inside, outside| Maps::One {
            uid: Map { inside, outside },
            gid: Map { inside, outside },
        };
        assert_eq!(caller(1000, Caps::NONE).identity_maps(), one(1000, 1000));
        assert_eq!(caller(1000, Caps::NONE).root_maps(), one(0, 1000));
    }

    #[test]
    fn ids_are_known_by_the_own_maps() {
        let caller = caller(0, Caps::NONE);
        assert_eq!([0, 65_535, 65_536].map(|uid| caller.has_uid(uid)), [true, true, false]);
        assert_eq!(
            [0, 1, 5, 6, 7].map(|gid| caller.has_gid(gid)),
            [true, false, true, true, false]
        );
    }

    #[test]
    fn a_caller_with_the_right_keeps_every_id() {
        let all = Caps::SETUID.and(Caps::SETGID).and(Caps::SETFCAP);
        let maps = caller(0, all).identity_maps();
        let expected =
            Maps::All { uid_map: "0 0 65536\n".into(), gid_map: "0 0 1\n5 5 2\n".into() };
        assert_eq!(maps, expected);
        assert_eq!(caller(0, all).root_maps(), expected);
        assert!(!caller(0, Caps::SETUID.and(Caps::SETGID)).may_map_all());
    }
}
