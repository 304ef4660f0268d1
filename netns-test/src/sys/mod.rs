//! The kernel and the C library, as safe functions: the only place for `unsafe`
//! besides `premain.rs`.
//!
//! # Safety
//!
//! Each file wraps one area of the kernel and knows nothing of tests. What a caller
//! must know beyond Rust's types is a type here: [`process::SingleThreaded`] stands
//! for the right to fork, [`memory::Record`] for memory that another process writes.
#![expect(unsafe_code, reason = "this is where system calls are wrapped")]

pub(crate) mod caps;
mod closing;
pub(crate) mod devconf;
#[cfg(feature = "lab")]
pub(crate) mod echo;
pub(crate) mod entries;
pub(crate) mod environ;
pub(crate) mod errno;
pub(crate) mod fds;
pub(crate) mod filter;
pub(crate) mod group;
pub(crate) mod ifreq;
pub(crate) mod launch;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod nsfs;
pub(crate) mod person;
#[cfg(feature = "lab")]
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod route;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod stack;
pub(crate) mod tree;
#[cfg(feature = "doctor")]
pub(crate) mod tun;
pub(crate) mod unfailing;
