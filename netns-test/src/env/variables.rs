//! The variables of the user, as the documentation has them. Pure.

use std::ffi::{OsStr, OsString};

use crate::error::Failure;

/// Variable, as the documentation describes it.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) values: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

/// Table of variables in the documentation.
pub(crate) const VARIABLES: [Variable; 9] = [
    Variable {
        name: "NETNS_TEST",
        values: "`require`, `skip`",
        default: "`require`",
        meaning: "a test that this machine cannot isolate fails, or is skipped with a report",
    },
    Variable {
        name: "NETNS_TEST_SKIPPED",
        values: "a path",
        default: "none",
        meaning: "a file to which a line is added for each skipped test: program, test and \
                  cause, separated by tabs",
    },
    Variable {
        name: "NETNS_TEST_SPARES",
        values: "`0` to `256`",
        default: "by demand",
        meaning: "number of warm sandboxes for each user, ids and network; with `0` a sandbox is \
                  made when a test asks for it; by demand there are none where fewer than 1024 \
                  processes or namespaces are allowed",
    },
    Variable {
        name: "NETNS_TEST_REPORT",
        values: "`full`, `short`, `off`",
        default: "`full`",
        meaning: "report of a failed test: at most 60 lines, its first 12 lines, or none; with \
                  `off` nothing is collected, and no file is written",
    },
    Variable {
        name: "NETNS_TEST_KEEP",
        values: "`failed`, `all`, `none`",
        default: "`failed`",
        meaning: "tests whose evidence is kept in files",
    },
    Variable {
        name: "NETNS_TEST_OUT",
        values: "a path",
        default: "`netns-test` in cargo's target directory",
        meaning: "the directory of these files",
    },
    Variable {
        name: "NETNS_TEST_ESCAPE",
        values: "`note`, `fail`, `trace`, `off`",
        default: "`note`",
        meaning: "sends without a route: the report of a failed test counts them for each node; or \
                  they fail the test; or the report names their destinations, which a route to an \
                  interface `escape` takes; or nothing",
    },
    Variable {
        name: "NETNS_TEST_SEED",
        values: "a 64-bit number, such as `7` or `0x1f`",
        default: "from the test's name",
        meaning: "seed of the packets that impaired links lose; the report of a failed test names \
                  the one that was used",
    },
    Variable {
        name: "NETNS_TEST_STACKS",
        values: "`auto`, `off`",
        default: "`auto`",
        meaning: "stacks of a test whose time is over: `eu-stack` or `gdb` of `PATH` prints them, if \
                  there is one; or no debugger is started",
    },
];

impl Variable {
    /// Returns the choice that `value` names, or the first one if the variable is not set.
    pub(crate) fn choice<T: Copy, const COUNT: usize>(
        &self,
        value: Option<OsString>,
        choices: [(&str, T); COUNT],
    ) -> Result<T, Failure> {
        let Some(value) = value else { return Ok(choices[0].1) };
        let named = choices.iter().find(|(name, _)| value == *name);
        named.map(|(_, choice)| *choice).ok_or_else(|| wrong(self, &value))
    }
}

/// Returns the failure for a value that is not known.
pub(crate) fn wrong(variable: &Variable, value: &OsStr) -> Failure {
    let object = format!("the variable {}", variable.name);
    Failure::new("read", object, format!("unknown value {value:?}"))
        .advise(format!("meaning: {}", variable.meaning))
        .advise(format!("known: {}; default: {}", variable.values, variable.default))
}
