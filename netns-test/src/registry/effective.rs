//! The options in force for a test: its own, and for each that it does not set, the one of the
//! nearest module around it that does.

use crate::isolate::Setting;
use crate::registry::case::Case;
use crate::registry::options::{Options, Timeout};
use crate::registry::sections;

impl Case {
    /// Returns the time limit of the test.
    pub(crate) fn timeout(&self) -> Timeout {
        self.options_in_force().timeout()
    }

    /// Returns the properties of the test's sandbox.
    pub(crate) fn setting(&self) -> Setting {
        self.options_in_force().setting()
    }

    fn options_in_force(&self) -> Options {
        let defaults = sections::defaults().iter().flatten();
        let defaults = defaults.map(|defaults| (defaults.module, defaults.options));
        self.options.completed(self.module, defaults)
    }
}
