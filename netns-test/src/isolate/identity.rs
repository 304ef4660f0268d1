//! The identity of a body: ids and capabilities.

use crate::error::Failure;
use crate::isolate::namespaces::Mode;
use crate::isolate::setting::{Ids, Setting, User};
use crate::isolate::users::Account;
use crate::sys::process::caps;
use crate::sys::process::caps::Caps;
use crate::sys::process::credentials;
use crate::sys::{errno, fds, process};
use crate::userns::{Caller, Maps};

/// Identity of a body, resolved for one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) maps: Maps,
    /// Uid and gid of the body in its user namespace.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    dropped: Caps,
    /// Supplementary groups, if the body must change to another user than the one that it begins
    /// as.
    becomes: Option<Vec<u32>>,
}

/// Capabilities that bypass the permissions of files.
const OVER_PERMISSIONS: Caps = Caps::DAC_OVERRIDE.and(Caps::DAC_READ_SEARCH).and(Caps::FOWNER);

/// Capabilities to change owners and modes. They have no effect where only one id is mapped.
const OVER_OWNERS: Caps = Caps::CHOWN.and(Caps::FSETID);

/// Capabilities to change to another user.
const OVER_IDS: Caps = Caps::SETUID.and(Caps::SETGID).and(Caps::SETFCAP);

/// Capabilities that only concern a network. Without a user namespace, all others concern the
/// machine.
const OVER_NETWORK: Caps =
    Caps::NET_ADMIN.and(Caps::NET_RAW).and(Caps::NET_BIND_SERVICE).and(Caps::NET_BROADCAST);

impl Identity {
    /// Resolves `setting` for `caller`, in namespaces of `mode`.
    ///
    /// Without a user namespace a body has the caller's identity and capabilities, unless the
    /// setting names another user. Only root can be root there.
    pub(crate) fn new(setting: Setting, caller: &Caller, mode: &Mode) -> Result<Self, Failure> {
        let account = match setting.user {
            User::Caller => return Self::of_caller(setting.ids, caller, mode),
            User::Root => return Self::of_root(setting.ids, caller, mode),
            User::Id(uid) => Account::numbered(uid),
            User::Named(name) => Account::named(name)?,
        };
        match (account.uid, account.gid) {
            own if own == (caller.uid, caller.gid) => Self::of_caller(setting.ids, caller, mode),
            (0, _) => Self::of_root(setting.ids, caller, mode),
            _ => Self::of_another(account, setting.ids, caller, mode),
        }
    }

    fn of_caller(ids: Ids, caller: &Caller, mode: &Mode) -> Result<Self, Failure> {
        let (uid, gid) = (caller.uid, caller.gid);
        let maps = if mode.is_privileged() {
            Maps::Callers
        } else if ids == Ids::Subordinate && !caller.may_map_all() {
            caller.subordinate_maps((uid, gid))?
        } else {
            caller.identity_maps()
        };
        let dropped = match maps {
            Maps::Callers => Caps::NONE,
            Maps::One { .. } => OVER_PERMISSIONS.without(caller.caps),
            Maps::All { .. } | Maps::Subordinate { .. } => Self::over_files(caller),
        };
        Ok(Self { maps, uid, gid, dropped, becomes: None })
    }

    fn of_root(ids: Ids, caller: &Caller, mode: &Mode) -> Result<Self, Failure> {
        let is_root = (caller.uid, caller.gid) == (0, 0);
        if mode.is_privileged() && !is_root {
            return Err(Failure::new(
                "make the test's process root",
                "without a user namespace",
                format!("the caller is uid {} and gid {}", caller.uid, caller.gid),
            ));
        }
        let maps = if mode.is_privileged() {
            Maps::Callers
        } else if ids == Ids::Subordinate && !(is_root && caller.may_map_all()) {
            caller.subordinate_maps((0, 0))?
        } else {
            caller.root_maps()
        };
        Ok(Self { maps, uid: 0, gid: 0, dropped: Caps::NONE, becomes: None })
    }

    /// Returns the identity of an ordinary user that is not the caller.
    fn of_another(
        account: Account,
        ids: Ids,
        caller: &Caller,
        mode: &Mode,
    ) -> Result<Self, Failure> {
        let Account { uid, gid, groups } = account;
        let over_files = OVER_PERMISSIONS.and(OVER_OWNERS).and(OVER_IDS);
        if !caller.may_map_all() {
            if ids == Ids::Own || mode.is_privileged() {
                return Err(not_root((uid, gid), caller));
            }
            let maps = caller.subordinate_maps((uid, gid))?;
            return Ok(Self { maps, uid, gid, dropped: over_files, becomes: None });
        }
        for (kind, id, is_there) in
            [("uid", uid, caller.has_uid(uid)), ("gid", gid, caller.has_gid(gid))]
        {
            if !is_there {
                let reason = format!("/proc/self/{kind}_map has no such id");
                return Err(Failure::new(
                    "make the test's process",
                    format!("{kind} {id}"),
                    reason,
                )
                .advise("fix: another user, or a container with more ids"));
            }
        }
        let groups = groups.into_iter().filter(|group| caller.has_gid(*group)).collect();
        let (maps, dropped) = if mode.is_privileged() {
            (Maps::Callers, caller.caps.without(OVER_NETWORK))
        } else {
            (caller.identity_maps(), over_files)
        };
        Ok(Self { maps, uid, gid, dropped, becomes: Some(groups) })
    }

    /// Returns the capabilities over files that `caller` does not have, for several mapped ids.
    pub(crate) fn over_files(caller: &Caller) -> Caps {
        OVER_PERMISSIONS.and(OVER_OWNERS).without(caller.caps)
    }

    /// Returns the capabilities that the body drops.
    pub(crate) fn dropped(&self) -> Caps {
        self.dropped
    }

    /// Assumes the capabilities, in a process of the new user namespace. The change to another user
    /// is [`become_user`](Self::become_user).
    pub(crate) fn assume(&self) -> Result<(), Failure> {
        if self.maps == Maps::Callers || self.becomes.is_some() {
            return Ok(());
        }
        if self.dropped != Caps::NONE {
            caps::drop_for_good(self.dropped)
                .map_err(|error| errno::failure("capset", "capabilities to drop", &error))?;
        }
        // The kernel passes root's capabilities on to its programs without this.
        if self.uid != 0 {
            caps::make_ambient()
                .map_err(|error| errno::failure("prctl", "PR_CAP_AMBIENT", &error))?;
        }
        Ok(())
    }

    /// Changes to the user, if that is not the caller. The id maps must be written, and stdout and
    /// stderr must be the test's: they become the user's, so that it can open `/dev/stdout`.
    pub(crate) fn become_user(&self) -> Result<(), Failure> {
        let Some(groups) = &self.becomes else { return Ok(()) };
        let (uid, gid) = (self.uid, self.gid);
        let step = |step: &'static str, object: String| {
            move |error: std::io::Error| errno::failure(step, object, &error)
        };
        fds::give_output_to(uid, gid).map_err(step("fchown", "the test's output".into()))?;
        caps::keep_over_change(true).map_err(step("prctl", "PR_SET_KEEPCAPS".into()))?;
        credentials::set_groups(groups).map_err(step("setgroups", format!("{groups:?}")))?;
        credentials::become_group(gid).map_err(step("setresgid", gid.to_string()))?;
        credentials::become_user(uid).map_err(step("setresuid", uid.to_string()))?;
        caps::take_up()
            .and_then(|()| caps::drop_for_good(self.dropped))
            .and_then(|()| caps::make_ambient())
            .and_then(|()| caps::keep_over_change(false))
            .map_err(step("change", "capabilities".into()))?;
        // The change of ids has cleared the dumpable flag.
        process::make_dumpable().map_err(step("prctl", "PR_SET_DUMPABLE".into()))
    }
}

/// Returns the failure for a caller that is not root and so cannot change to another user.
fn not_root((uid, gid): (u32, u32), caller: &Caller) -> Failure {
    let object = format!("uid {uid} and gid {gid}");
    let reason = format!("the caller is uid {}, which may not change it", caller.uid);
    Failure::new("make the test's process", object, reason)
        .advise("fix: run the tests as root, or write `ids = \"subordinate\"` beside `user`: the caller's")
        .advise("subordinate ids in /etc/subuid and /etc/subgid, by newuidmap and newgidmap")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: User) -> Setting {
        Setting { user, ..Setting::CALLER }
    }

    fn identity(user: User, caller: &Caller) -> Identity {
        Identity::new(of(user), caller, &Mode::full()).unwrap()
    }

    #[test]
    fn another_user_is_for_root() {
        let mut caller = Caller::read().unwrap();
        (caller.uid, caller.gid, caller.caps) = (7, 8, Caps::NONE);
        let mode = Mode::full();
        let unknown = User::Id(3_000_000_001);
        let refused = Identity::new(of(unknown), &caller, &mode).unwrap_err().to_string();
        assert!(
            refused.contains("uid 3000000001 and gid 3000000001: the caller is uid 7"),
            "{refused}"
        );
        assert!(refused.contains("`ids = \"subordinate\"`"), "{refused}");
        // Its own uid is no other user.
        (caller.uid, caller.gid) = (3_000_000_001, 3_000_000_001);
        assert_eq!(identity(unknown, &caller), identity(User::Caller, &caller));
        (caller.uid, caller.gid, caller.caps) = (0, 0, Caps(u64::MAX));
        let another = identity(unknown, &caller);
        assert_eq!((another.uid, another.becomes), (3_000_000_001, Some(Vec::new())));
        assert!(another.dropped.contains(Caps::SETUID.and(Caps::DAC_OVERRIDE).and(Caps::CHOWN)));
        assert!(!another.dropped.contains(Caps::NET_ADMIN));
        let mode = Mode::privileged(&caller).unwrap();
        let another = Identity::new(of(unknown), &caller, &mode).unwrap();
        assert!(another.dropped.contains(Caps::SYS_ADMIN));
        assert!(!another.dropped.contains(Caps::NET_ADMIN));
    }

    #[test]
    fn without_a_user_namespace_no_body_changes_its_user() {
        let mut caller = Caller::read().unwrap();
        caller.caps = Caps(u64::MAX);
        let mode = Mode::privileged(&caller).unwrap();
        (caller.uid, caller.gid) = (5, 6);
        let own = Identity::new(of(User::Caller), &caller, &mode).unwrap();
        assert_eq!((own.maps, own.uid, own.gid, own.dropped), (Maps::Callers, 5, 6, Caps::NONE));
        assert!(Identity::new(of(User::Root), &caller, &mode).is_err());
        (caller.uid, caller.gid) = (0, 0);
        assert!(Identity::new(of(User::Root), &caller, &mode).is_ok());
    }

    #[test]
    fn the_body_keeps_those_capabilities_over_files_that_the_caller_has() {
        let mut caller = Caller::read().unwrap();
        caller.caps = Caps::NONE;
        let ordinary = identity(User::Caller, &caller);
        assert_eq!(ordinary.dropped, OVER_PERMISSIONS);
        caller.caps = Caps(u64::MAX);
        assert_eq!(identity(User::Caller, &caller).dropped, Caps::NONE);
        caller.caps = Caps(u64::MAX).without(Caps::CHOWN.and(Caps::FOWNER));
        let part = identity(User::Caller, &caller);
        assert_eq!(part.dropped, Caps::CHOWN.and(Caps::FOWNER));
        assert_eq!(identity(User::Root, &caller).dropped, Caps::NONE);
    }
}
