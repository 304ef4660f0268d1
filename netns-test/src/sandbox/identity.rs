//! Who the body is: ids and capabilities.

use super::Mode;
use crate::error::Failure;
use crate::sys::caps::{self, Caps};
use crate::sys::errno;
use crate::userns::{Caller, Maps};

/// Who the body of a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The caller: what it could do to files the body can, no more and no less.
    Caller,
    /// uid and gid 0, with all capabilities over the new namespaces.
    Root,
}

/// A user, worked out for the caller at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) maps: Maps,
    /// The uid and gid of the body, as it sees them.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    dropped: Caps,
}

/// They let a process pass over the permissions of files that it owns.
const OVER_PERMISSIONS: Caps = Caps::DAC_OVERRIDE.and(Caps::DAC_READ_SEARCH).and(Caps::FOWNER);

/// They change owners and modes; with one id mapped there is nothing to change them to.
const OVER_OWNERS: Caps = Caps::CHOWN.and(Caps::FSETID);

impl Identity {
    /// What `user` means for `caller`, in namespaces as of `mode`.
    ///
    /// Without a user namespace a body is who the caller is, with all it may do; nobody can
    /// be made root there.
    pub(crate) fn new(user: User, caller: &Caller, mode: &Mode) -> Result<Self, Failure> {
        if mode.is_privileged() {
            if user == User::Root && (caller.uid, caller.gid) != (0, 0) {
                return Err(Failure::new(
                    "make the test's process root",
                    "without a user namespace",
                    format!("the caller is uid {} and gid {}", caller.uid, caller.gid),
                ));
            }
            let (maps, dropped) = (Maps::Callers, Caps::NONE);
            return Ok(Self { maps, uid: caller.uid, gid: caller.gid, dropped });
        }
        Ok(Self::in_a_user_namespace(user, caller))
    }

    fn in_a_user_namespace(user: User, caller: &Caller) -> Self {
        match user {
            User::Root => Self { maps: caller.root_maps(), uid: 0, gid: 0, dropped: Caps::NONE },
            User::Caller => {
                let maps = caller.identity_maps();
                let dropped = match maps {
                    Maps::One { .. } => OVER_PERMISSIONS.without(caller.caps),
                    Maps::All { .. } | Maps::Callers => Self::over_files(caller),
                };
                Self { maps, uid: caller.uid, gid: caller.gid, dropped }
            }
        }
    }

    /// The capabilities over files, with several ids mapped, that `caller` does not have.
    pub(crate) fn over_files(caller: &Caller) -> Caps {
        OVER_PERMISSIONS.and(OVER_OWNERS).without(caller.caps)
    }

    /// The capabilities that the body is not to have.
    pub(crate) fn dropped(&self) -> Caps {
        self.dropped
    }

    /// Takes the identity on, in a process of the new user namespace.
    pub(crate) fn assume(&self) -> Result<(), Failure> {
        if self.maps == Maps::Callers {
            return Ok(());
        }
        if self.dropped != Caps::NONE {
            caps::drop_for_good(self.dropped)
                .map_err(|error| errno::failure("capset", "capabilities to drop", &error))?;
        }
        // Root's programs get its capabilities anyway.
        if self.uid != 0 {
            caps::make_ambient()
                .map_err(|error| errno::failure("prctl", "PR_CAP_AMBIENT", &error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: User, caller: &Caller) -> Identity {
        Identity::new(user, caller, &Mode::full()).unwrap()
    }

    #[test]
    fn without_a_user_namespace_nobody_becomes_another() {
        let mut caller = Caller::read().unwrap();
        caller.caps = Caps(u64::MAX);
        let mode = Mode::privileged(&caller).unwrap();
        (caller.uid, caller.gid) = (5, 6);
        let own = Identity::new(User::Caller, &caller, &mode).unwrap();
        assert_eq!((own.maps, own.uid, own.gid, own.dropped), (Maps::Callers, 5, 6, Caps::NONE));
        assert!(Identity::new(User::Root, &caller, &mode).is_err());
        (caller.uid, caller.gid) = (0, 0);
        assert!(Identity::new(User::Root, &caller, &mode).is_ok());
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
