//! The fork server: its process, and the handle by which the runner knows it.

mod event_loop;
mod farewell;
pub(crate) mod handle;
mod last_word;
mod launch;
mod scheduler;
mod setup;
mod test;
mod trial;
mod warm_pool;
pub(crate) mod watchdog;
