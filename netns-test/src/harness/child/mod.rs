//! The processes in a test's namespaces: init, which is PID 1, and the body, which runs the test's
//! function.

pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod init;
mod leftovers;
pub(crate) mod panic_hook;
mod prepare;
mod record;
pub(crate) mod runner_env;
pub(crate) mod stage;
pub(crate) mod test_thread;
mod time_limit;
