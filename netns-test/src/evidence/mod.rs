//! Evidence of a test that has not passed: what is known of it, and the log in which the test's
//! process and its labs record what happens.
//!
//! The lab and the harness do not import each other. They meet here: the lab describes itself in
//! the log, and init reads the log when the test has failed.

#[cfg(feature = "lab")]
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod ending;
pub(crate) mod escapes;
pub(crate) mod facts;
pub(crate) mod here;
pub(crate) mod json;
pub(crate) mod links;
pub(crate) mod log;
pub(crate) mod record;
