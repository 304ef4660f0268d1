//! The mode of a sandbox: the namespaces that it has of its own.

use crate::sys::process;
use crate::sys::process::Namespace;
use crate::sys::process::caps::Caps;
use crate::userns::Caller;

/// The namespaces that every test gets of its own.
pub(crate) const NAMESPACES: [Namespace; 6] = process::ALL_NAMESPACES;

/// The namespaces that a sandbox has of its own; the others are the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    namespaces: Vec<Namespace>,
    /// The reasons for which it lacks the others.
    reasons: Vec<(Namespace, String)>,
}

/// The namespaces without which a test could affect the host, or leave processes behind.
const NEEDED: [Namespace; 3] = [Namespace::Net, Namespace::Mount, Namespace::Pid];

impl Mode {
    /// Returns the mode with all namespaces.
    pub(crate) fn full() -> Self {
        Self { namespaces: NAMESPACES.to_vec(), reasons: Vec::new() }
    }

    /// Returns the mode without a user namespace, for a caller with `CAP_SYS_ADMIN` and
    /// `CAP_NET_ADMIN`, which can create the others.
    pub(crate) fn privileged(caller: &Caller) -> Option<Self> {
        if !caller.caps.contains(Caps::SYS_ADMIN.and(Caps::NET_ADMIN)) {
            return None;
        }
        let others = NAMESPACES.into_iter().filter(|&namespace| namespace != Namespace::User);
        Some(Self { namespaces: others.collect(), reasons: Vec::new() })
    }

    /// Returns the mode with the namespaces in `allowed` only; `None` if one that is needed is
    /// missing.
    pub(crate) fn reduced_to(&self, allowed: &[Namespace]) -> Option<Self> {
        let namespaces: Vec<_> =
            self.namespaces.iter().copied().filter(|one| allowed.contains(one)).collect();
        let is_enough = NEEDED.iter().all(|needed| namespaces.contains(needed));
        is_enough.then_some(Self { namespaces, reasons: self.reasons.clone() })
    }

    /// Adds `reason` for each missing namespace that has none yet.
    pub(crate) fn because(mut self, reason: &str) -> Self {
        let without: Vec<_> = self.shared().filter(|&one| self.reason(one).is_none()).collect();
        self.reasons.extend(without.into_iter().map(|one| (one, reason.to_owned())));
        self
    }

    pub(crate) fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    pub(crate) fn has(&self, namespace: Namespace) -> bool {
        self.namespaces.contains(&namespace)
    }

    /// Returns whether there is no user namespace, so that the body has the caller's own rights.
    pub(crate) fn is_privileged(&self) -> bool {
        !self.has(Namespace::User)
    }

    /// Returns the namespaces that are the caller's.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Namespace> {
        NAMESPACES.into_iter().filter(|&namespace| !self.has(namespace))
    }

    /// Returns the reason for which a namespace is the caller's.
    pub(crate) fn reason(&self, namespace: Namespace) -> Option<&str> {
        let found = self.reasons.iter().find(|(other, _)| *other == namespace);
        found.map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_not_given_up() {
        let mut caller = Caller::read().unwrap();
        caller.caps = Caps::NONE;
        assert_eq!(Mode::privileged(&caller), None);
        caller.caps = Caps(u64::MAX);
        let mode = Mode::privileged(&caller).unwrap();
        assert!(mode.is_privileged() && mode.has(Namespace::Ipc));
        let less = mode.reduced_to(&NEEDED).unwrap();
        let shared: Vec<_> = less.shared().collect();
        assert_eq!(shared, [Namespace::User, Namespace::Uts, Namespace::Ipc]);
        assert_eq!(mode.reduced_to(&NEEDED[1..]), None);
        assert!(!Mode::full().is_privileged());
    }
}
