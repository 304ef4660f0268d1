//! The harness: runs a test's function in a sandbox and reports to libtest how it has ended.
//!
//! Four processes take part, all copies of one image:
//!
//! - The **runner** is libtest's process. It sends the request, replays the output, and judges
//!   ([`runner`]).
//! - The **server** is forked from it before `main` ([`server`]).
//! - **Init** is PID 1 of a test's namespaces. The server forks it ([`child::init`]).
//! - The **body** runs the test's function. Init forks it ([`child::body`]).
//!
//! Imports go one way: `runner`, `server`, `child`, `protocol`, each from those after it.

pub(crate) mod child;
pub(crate) mod evidence;
pub(crate) mod protocol;
pub(crate) mod runner;
pub(crate) mod server;

pub use crate::harness::child::test_thread::begin;
#[cfg(feature = "tokio")]
pub(crate) use crate::harness::child::test_thread::leave;
#[cfg(feature = "tokio")]
pub(crate) use crate::harness::protocol::retry::retry_threads;
pub use crate::harness::runner::run::run;
pub(crate) use crate::harness::runner::run::start;
pub use crate::registry::case::{Begins, Case, ShouldPanic};
pub use crate::registry::options::{Defaults, Options, Timeout};
