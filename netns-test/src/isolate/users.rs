//! The users of this machine, by `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
//!
//! Only the files are read. The C library's lookup may use a name service over the network, and
//! keeps sockets and memory in the process.

use std::fs;

use crate::error::Failure;
use crate::sys::errno;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Ids of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Other groups of the user.
    pub(crate) groups: Vec<u32>,
}

impl Account {
    /// Finds a user by its name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let users = fs::read_to_string(USERS).map_err(|error| {
            errno::failure("read", USERS, &error)
                .advise("the name of a test's user is looked up there")
        })?;
        let of_name = |line: &Line<'_>| line.name == name;
        let line = lines(&users).find(of_name).ok_or_else(|| {
            Failure::new("find", format!("user {name} in {USERS}"), "there is no such line")
                .advise("a test's user is \"caller\", \"root\", a name in that file, or a uid")
        })?;
        Ok(line.account())
    }

    /// Finds a user by its uid. A uid without a line has a gid of the same number.
    pub(crate) fn numbered(uid: u32) -> Self {
        let users = fs::read_to_string(USERS).unwrap_or_default();
        let line = lines(&users).find(|line| line.uid == uid);
        line.map_or(Self { uid, gid: uid, groups: Vec::new() }, |line| line.account())
    }
}

/// Line of `/etc/passwd`.
struct Line<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

impl Line<'_> {
    fn account(&self) -> Account {
        let groups = fs::read_to_string(GROUPS).unwrap_or_default();
        Account { uid: self.uid, gid: self.gid, groups: groups_of(&groups, self.name, self.gid) }
    }
}

fn lines(users: &str) -> impl Iterator<Item = Line<'_>> {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Line { name, uid, gid })
    })
}

/// Returns the groups of which `name` is a member, except `own`.
fn groups_of(groups: &str, name: &str, own: u32) -> Vec<u32> {
    let found = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (_name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?);
        let is_member = fields.next()?.split(',').any(|member| member.trim() == name);
        is_member.then(|| gid.parse().ok())?
    });
    found.filter(|gid| *gid != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_groups_are_read() {
        let users =
            "root:x:0:0::/:/bin/sh\n# no line\nann:x:7:8:Ann:/home/ann:/bin/sh\nbob:x:y:8::/:\n";
        let found: Vec<_> = lines(users).map(|line| (line.name, line.uid, line.gid)).collect();
        assert_eq!(found, [("root", 0, 0), ("ann", 7, 8)]);
        let groups = "wheel:x:9:bob,ann\nann:x:8:ann\nempty:x:10:\ncut:x\nother:x:11:anna\n";
        assert_eq!(groups_of(groups, "ann", 8), [9]);
    }

    #[test]
    fn the_machine_has_root_and_not_everybody() {
        assert_eq!(Account::named("root").unwrap().uid, 0);
        let unknown = Account::named("no-such-user").unwrap_err().to_string();
        assert!(
            unknown.starts_with("find user no-such-user in /etc/passwd: there is"),
            "{unknown}"
        );
        let groupless = Account { uid: 3_000_000_001, gid: 3_000_000_001, groups: Vec::new() };
        assert_eq!(Account::numbered(3_000_000_001), groupless);
    }
}
