//! Which namespaces a sandbox has of its own.

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
    /// Why it has not the others.
    reasons: Vec<(Namespace, String)>,
}

/// Without these a test would reach out of its sandbox, or leave something behind.
const NEEDED: [Namespace; 3] = [Namespace::Net, Namespace::Mount, Namespace::Pid];

impl Mode {
    /// All of them.
    pub(crate) fn full() -> Self {
        Self { namespaces: NAMESPACES.to_vec(), reasons: Vec::new() }
    }

    /// All but the user namespace, for a caller whose own rights are enough to make the
    /// others: `CAP_SYS_ADMIN`, and the other rights over a network.
    pub(crate) fn privileged(caller: &Caller) -> Option<Self> {
        if !caller.caps.contains(Caps::SYS_ADMIN.and(Caps::NET_ADMIN)) {
            return None;
        }
        let others = NAMESPACES.into_iter().filter(|&namespace| namespace != Namespace::User);
        Some(Self { namespaces: others.collect(), reasons: Vec::new() })
    }

    /// With those that are in `allowed` only; `None` if one that is needed is not.
    pub(crate) fn reduced_to(&self, allowed: &[Namespace]) -> Option<Self> {
        let namespaces: Vec<_> =
            self.namespaces.iter().copied().filter(|one| allowed.contains(one)).collect();
        let is_enough = NEEDED.iter().all(|needed| namespaces.contains(needed));
        is_enough.then_some(Self { namespaces, reasons: self.reasons.clone() })
    }

    /// The same, with the reason why it has not those namespaces for which there is none yet.
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

    /// Whether the body has the caller's own rights, for want of a user namespace.
    pub(crate) fn is_privileged(&self) -> bool {
        !self.has(Namespace::User)
    }

    /// The namespaces that are the caller's.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Namespace> {
        NAMESPACES.into_iter().filter(|&namespace| !self.has(namespace))
    }

    /// Why one of them is.
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
