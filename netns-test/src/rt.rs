//! What the macro's expansions call. Not for people: it changes without notice.

pub use crate::__case as case;
pub use crate::__defaults as defaults;
#[cfg(feature = "tokio")]
pub use crate::runtime::{Flavor, Runtime, block_on};
#[cfg(not(all(target_os = "linux", not(miri))))]
pub use crate::unsupported::run;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::{
    harness::{Case, Defaults, Options, ShouldPanic, Timeout, run},
    premain::{DefaultsEntry, Entry},
    sandbox::{Ids, Network, User},
};

/// What the program netns-test-doctor does.
#[cfg(all(feature = "doctor", target_os = "linux", not(miri)))]
#[must_use]
pub fn doctor() -> std::process::ExitCode {
    crate::doctor::main()
}

/// What the program netns-test-doctor does.
#[cfg(all(feature = "doctor", not(all(target_os = "linux", not(miri)))))]
#[must_use]
pub fn doctor() -> std::process::ExitCode {
    eprintln!("netns-test-doctor: tests can be isolated on Linux only");
    std::process::ExitCode::FAILURE
}

/// Reports what a test function returned as `main` would: `Err` is printed.
pub fn report(returned: impl std::process::Termination) -> std::process::ExitCode {
    returned.report()
}
