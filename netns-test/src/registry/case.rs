//! One `#[netns_test]` function, as the macro describes it.

use std::process::ExitCode;

use crate::registry::options::Options;

/// A test function and its options. Lives in a static of the test binary, so that the
/// fork server, which is a copy of the same image, has it too.
#[derive(Debug)]
pub struct Case {
    /// `module_path!()` at the function, crate name first.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// What it says of itself.
    pub options: Options,
    /// Whether libtest takes a panic for success.
    pub should_panic: ShouldPanic,
    /// Where the function under the attribute begins.
    pub begins: Begins,
    /// The body; what it returns has been reported as `main` would report it.
    pub body: fn() -> ExitCode,
}

/// An entry of the table of tests; `None` is the sentinel.
pub type Entry = Option<&'static Case>;

/// What libtest makes of a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShouldPanic {
    /// A failure.
    No,
    /// A success.
    Yes,
    /// A success if the message contains this.
    With(&'static str),
}

/// Where the function under the attribute begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// With the call of [`Case::body`].
    AtOnce,
    /// When its future is first polled, on a runtime that [`Case::body`] builds.
    OnRuntime,
    /// With a call of `__rt::begin`, after code that another attribute has put before it.
    ByItself,
}

impl Case {
    /// The name libtest gives the test: the path without the crate.
    pub(crate) fn path(&self) -> String {
        match self.module.split_once("::") {
            Some((_crate, module)) => format!("{module}::{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_one_libtest_prints() {
        let mut case = Case {
            module: "a_crate",
            name: "works",
            options: Options::NONE,
            should_panic: ShouldPanic::No,
            begins: Begins::AtOnce,
            body: || ExitCode::SUCCESS,
        };
        assert_eq!(case.path(), "works");
        case.module = "a_crate::tests::inner";
        assert_eq!(case.path(), "tests::inner::works");
    }
}
