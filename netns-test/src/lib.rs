#![doc = include_str!("../CRATE.md")]
#![deny(unsafe_code)]

#[cfg(all(target_os = "linux", not(miri)))]
mod bytes;
#[cfg(all(target_os = "linux", not(miri)))]
mod diagnose;
#[cfg(all(feature = "doctor", target_os = "linux", not(miri)))]
mod doctor;
#[cfg(all(target_os = "linux", not(miri)))]
mod env;
#[cfg(all(target_os = "linux", not(miri)))]
mod error;
#[cfg(all(target_os = "linux", not(miri)))]
mod harness;
mod isolation;
#[cfg(all(feature = "doctor", target_os = "linux", not(miri)))]
mod netlink;
#[cfg(all(target_os = "linux", not(miri)))]
mod premain;
#[cfg(all(target_os = "linux", not(miri)))]
mod probe;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(all(target_os = "linux", not(miri)))]
mod sandbox;
#[cfg(all(target_os = "linux", not(miri)))]
mod sys;
#[cfg(not(all(target_os = "linux", not(miri))))]
mod unsupported;
#[cfg(all(target_os = "linux", not(miri)))]
mod userns;

#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;

pub use isolation::{Isolation, Mode, isolation};
pub use netns_test_macros::{netns_test, test};
