//! The kernel and the C library, as safe functions. `unsafe` is here, in `premain.rs`, which
//! vouches that the process has one thread, and in `registry/sections.rs`, which reads tables of
//! the linker.
//!
//! # Safety
//!
//! Each file wraps one area of the kernel and knows nothing of tests. A condition beyond Rust's
//! types is a type here: [`process::SingleThreaded`] proves that a fork is safe,
//! [`process::shared_record`] has memory that another process writes.
#![expect(unsafe_code, reason = "this is where system calls are wrapped")]

pub(crate) mod call_names;
pub(crate) mod errno;
pub(crate) mod fds;
pub(crate) mod inspect;
pub(crate) mod launch;
pub(crate) mod lock;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod ns;
pub(crate) mod orphan;
pub(crate) mod process;
#[cfg(feature = "lab")]
pub(crate) mod processors;
pub(crate) mod seccomp;
pub(crate) mod shared_log;
pub(crate) mod text;
#[cfg(feature = "lab")]
pub(crate) mod timer;
