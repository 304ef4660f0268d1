//! The fork server: its handle in the runner, and its own process.

pub(crate) mod event_loop;
pub(crate) mod handle;
pub(crate) mod launch;
pub(crate) mod scheduler;
pub(crate) mod test;
pub(crate) mod trial;
pub(crate) mod warm_pool;
