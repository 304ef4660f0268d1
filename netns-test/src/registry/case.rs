//! A `#[netns_test]` function, as the macro describes it.

use std::process::ExitCode;

use crate::registry::options::Options;

/// Test function and its options. A static of the test binary, so the fork server, which is a copy
/// of the same image, has it too.
#[derive(Debug)]
pub struct Case {
    /// `module_path!()` at the function; begins with the name of the crate.
    pub module: &'static str,
    /// Name of the function.
    pub name: &'static str,
    /// Options in the attribute.
    pub options: Options,
    /// Effect of a panic.
    pub should_panic: ShouldPanic,
    /// Whether the function returns a value, which may be an error.
    pub returns: bool,
    /// Beginning of the function under the attribute.
    pub begins: Begins,
    /// Body. Its return value is reported as for `main`.
    pub body: fn() -> ExitCode,
}

/// Entry of the table of tests; `None` is the sentinel.
pub type Entry = Option<&'static Case>;

/// Effect of a panic in libtest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShouldPanic {
    /// The test fails.
    No,
    /// The test passes.
    Yes,
    /// The test passes if the message contains this text.
    With(&'static str),
}

/// Beginning of the function under the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// The call of [`Case::body`].
    AtOnce,
    /// The first poll of its future, on a runtime that [`Case::body`] builds.
    OnRuntime,
    /// A call of `__rt::begin`, after code that another attribute has put before it.
    ByItself,
}

impl Case {
    /// Returns the test's name in libtest: the path without the crate.
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
            returns: false,
            begins: Begins::AtOnce,
            body: || ExitCode::SUCCESS,
        };
        assert_eq!(case.path(), "works");
        case.module = "a_crate::tests::inner";
        assert_eq!(case.path(), "tests::inner::works");
    }
}
