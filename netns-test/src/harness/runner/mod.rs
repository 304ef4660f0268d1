//! The runner's side of a test: request, output, verdict.

mod ending;
mod explanation;
mod output;
mod policy;
mod reasons;
mod registered_twice;
mod request;
pub(crate) mod run;
mod verdict;
