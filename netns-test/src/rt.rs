//! The functions and types that expansions of the macro use. Not a public API: it changes without
//! notice.

pub use core::option::Option;
pub use core::prelude::v1::test;
pub use core::{compile_error, concat, module_path};
pub use std::process::ExitCode;

pub use crate::__case as case;
pub use crate::__defaults as defaults;
#[cfg(feature = "tokio")]
pub use crate::__report_either as report_either;
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::harness::{Begins, Case, Defaults, Options, ShouldPanic, Timeout, begin, run};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::isolate::{Ids, Network, User};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::registry::{case::Entry, options::DefaultsEntry};
#[cfg(feature = "tokio")]
pub use crate::runtime::{Flavor, Runtime, block_on};
#[cfg(not(all(target_os = "linux", not(miri))))]
pub use crate::unsupported::{begin, run};

/// Runs the program netns-test-doctor.
#[cfg(all(feature = "doctor", target_os = "linux", not(miri)))]
#[must_use]
pub fn doctor() -> ExitCode {
    crate::doctor::main()
}

/// Runs the program netns-test-doctor.
#[cfg(all(feature = "doctor", not(all(target_os = "linux", not(miri)))))]
#[must_use]
pub fn doctor() -> ExitCode {
    eprintln!("netns-test-doctor: tests can be isolated on Linux only");
    ExitCode::FAILURE
}

/// Reports the value of a test function as for `main`: prints an `Err`.
pub fn report(returned: impl std::process::Termination) -> ExitCode {
    returned.report()
}

/// Stand-in for the test's function, if an attribute below `#[netns_test]` has removed it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionRemovedByAnAttribute;

/// Value of an `async fn`, which an attribute below `#[netns_test]` may have made synchronous.
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub struct Returned<T>(pub T);

#[cfg(feature = "tokio")]
impl<F: Future<Output: std::process::Termination>> Returned<F> {
    /// Runs the future and reports its value. The compiler prefers this inherent method to the
    /// trait's.
    pub fn report(self, runtime: Runtime) -> ExitCode {
        report(block_on(runtime, self.0))
    }
}

/// Report of a value that is not a future.
#[cfg(feature = "tokio")]
pub trait ReportValue {
    /// Reports the value as [`report`] does.
    fn report(self, runtime: Runtime) -> ExitCode;
}

#[cfg(feature = "tokio")]
impl<T: std::process::Termination> ReportValue for Returned<T> {
    fn report(self, _: Runtime) -> ExitCode {
        report(self.0)
    }
}

/// Reports the value of the test's function, which may be a future.
#[cfg(feature = "tokio")]
#[doc(hidden)]
#[macro_export]
macro_rules! __report_either {
    ($value:expr, $runtime:expr $(,)?) => {{
        #[allow(unused_imports, reason = "the inherent method may be the one")]
        use $crate::__rt::ReportValue as _;
        $crate::__rt::Returned($value).report($runtime)
    }};
}
