//! PID 1 of a test's namespaces, and the process that runs the test function.

pub(crate) mod body;
pub(crate) mod init;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod panic_hook;
pub(crate) mod runner_env;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod stage;
pub(crate) mod time_limit;
