//! The test runner's side of one test: the request, the output, the verdict.

pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod reasons;
pub(crate) mod registered_twice;
pub(crate) mod request;
pub(crate) mod verdict;
pub(crate) mod watchdog;
