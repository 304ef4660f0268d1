//! The options of a test, and the defaults of a module for all its tests.

use std::time::Duration;

use crate::isolate::{Ids, Network, Setting, User};

/// Options of a test or of a module; `None` for the option of the next enclosing module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Time limit.
    pub timeout: Option<Timeout>,
    /// User of the body.
    pub user: Option<User>,
    /// Range of ids in the user namespace.
    pub ids: Option<Ids>,
    /// Network at the start.
    pub network: Option<Network>,
}

/// Time limit of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// There is no limit.
    Never,
    /// Limit in milliseconds.
    After(u64),
}

/// Options that `defaults!` sets for the tests of a module. A static of the test binary.
#[derive(Debug)]
pub struct Defaults {
    /// `module_path!()` of the module.
    pub module: &'static str,
    /// Options of the module.
    pub options: Options,
}

/// Entry of the table of module options; `None` is the sentinel.
pub type DefaultsEntry = Option<&'static Defaults>;

/// Limit of a test that sets none. Without a limit a test that waits for a lost packet blocks the
/// whole run. A minute is more than tests need, and less than a user waits before looking.
const TIMEOUT: Timeout = Timeout::After(60_000);

impl Options {
    /// No options.
    pub const NONE: Self = Self { timeout: None, user: None, ids: None, network: None };

    /// Returns these options, each that is not set replaced by that of the nearest module around
    /// `module` that sets it.
    pub(crate) fn completed(
        self,
        module: &str,
        defaults: impl Iterator<Item = (&'static str, Self)>,
    ) -> Self {
        let mut around: Vec<_> = defaults.filter(|(outer, _)| is_within(module, outer)).collect();
        around.sort_by_key(|(outer, _)| std::cmp::Reverse(outer.len()));
        around.into_iter().fold(self, |own, (_, outer)| Self {
            timeout: own.timeout.or(outer.timeout),
            user: own.user.or(outer.user),
            ids: own.ids.or(outer.ids),
            network: own.network.or(outer.network),
        })
    }

    pub(crate) fn timeout(self) -> Timeout {
        self.timeout.unwrap_or(TIMEOUT)
    }

    pub(crate) fn setting(self) -> Setting {
        Setting {
            user: self.user.unwrap_or(User::Caller),
            ids: self.ids.unwrap_or(Ids::Own),
            network: self.network.unwrap_or(Network::Loopback),
        }
    }
}

impl Timeout {
    pub(crate) fn milliseconds(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::After(limit) => Some(limit),
        }
    }

    pub(crate) fn duration(self) -> Option<Duration> {
        self.milliseconds().map(Duration::from_millis)
    }
}

/// Returns whether `module` is `outer`, or inside it.
fn is_within(module: &str, outer: &str) -> bool {
    module.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_module_counts() {
        let of_crate =
            Options { timeout: Some(Timeout::Never), network: Some(Network::Lan), ..Options::NONE };
        let of_module =
            Options { timeout: Some(Timeout::After(5)), user: Some(User::Root), ..Options::NONE };
        let defaults = || [("a", of_crate), ("a::b", of_module)].into_iter();
        let options = Options::NONE.completed("a::b::c", defaults());
        assert_eq!(options, Options { network: Some(Network::Lan), ..of_module });
        let own = Options { network: Some(Network::Loopback), ..Options::NONE };
        let options = own.completed("a::b", defaults());
        assert_eq!(options, Options { network: Some(Network::Loopback), ..of_module });
        assert_eq!(Options::NONE.completed("a::bc", defaults()), of_crate);
        assert_eq!(Options::NONE.completed("ab", defaults()), Options::NONE);
    }

    #[test]
    fn a_test_that_says_nothing_is_the_callers_with_a_limit() {
        let setting = Setting { user: User::Caller, ids: Ids::Own, network: Network::Loopback };
        assert_eq!(Options::NONE.setting(), setting);
        assert_eq!(Options::NONE.timeout().milliseconds(), Some(60_000));
        assert_eq!(Timeout::Never.duration(), None);
    }
}
