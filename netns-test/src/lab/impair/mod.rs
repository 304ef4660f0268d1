//! Impairments of links: a pure model of a link, and an engine that passes frames through it.
//!
//! The model takes frames and times, and returns frames and times. It knows neither sockets nor
//! clocks.

pub(crate) mod checksum;
pub(crate) mod delay;
pub(crate) mod emulated;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod engine;
pub(crate) mod flow;
pub(crate) mod frame;
pub(crate) mod gso;
pub(crate) mod hash;
pub(crate) mod loss;
pub(crate) mod offload;
pub(crate) mod passage;
pub(crate) mod queue;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod recorded;
pub(crate) mod rule;
pub(crate) mod stats;
