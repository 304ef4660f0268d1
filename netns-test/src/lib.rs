#![doc = include_str!("../CRATE.md")]
#![deny(unsafe_code)]

#[cfg(feature = "lab")]
mod addr;
#[cfg(all(target_os = "linux", not(miri)))]
mod bytes;
#[cfg(feature = "lab")]
#[cfg_attr(
    any(not(target_os = "linux"), miri),
    expect(dead_code, reason = "links are recorded on Linux")
)]
mod capture;
#[cfg(all(target_os = "linux", not(miri)))]
mod diagnose;
#[cfg(all(feature = "doctor", target_os = "linux", not(miri)))]
mod doctor;
#[cfg(all(target_os = "linux", not(miri)))]
mod env;
#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    allow(dead_code, reason = "no step is tried there")
)]
mod error;
#[cfg(all(target_os = "linux", not(miri)))]
mod evidence;
#[cfg(all(target_os = "linux", not(miri)))]
mod examine;
#[cfg(all(target_os = "linux", not(miri)))]
mod explain;
#[cfg(all(target_os = "linux", not(miri)))]
mod harness;
#[cfg(all(target_os = "linux", not(miri)))]
mod isolate;
mod isolation;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(all(target_os = "linux", not(miri)))]
mod netlink;
#[cfg(all(target_os = "linux", not(miri)))]
mod netns;
mod note;
#[cfg(all(target_os = "linux", not(miri)))]
mod premain;
#[cfg(all(target_os = "linux", not(miri)))]
mod probe;
#[cfg(all(target_os = "linux", not(miri)))]
mod registry;
#[cfg(all(target_os = "linux", not(miri)))]
mod report;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(all(target_os = "linux", not(miri)))]
mod sandbox;
#[cfg(all(target_os = "linux", not(miri)))]
mod sys;
#[cfg(all(feature = "tracing", target_os = "linux", not(miri)))]
mod timeline;
#[cfg(not(all(target_os = "linux", not(miri))))]
mod unsupported;
#[cfg(all(target_os = "linux", not(miri)))]
mod userns;

#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;

pub use crate::error::{Error, Result};
pub use crate::isolation::{Isolation, IsolationMode, isolation};
#[cfg(all(feature = "lab", target_os = "linux", not(miri)))]
pub use crate::lab::{Lab, Link, Node, NodeChild, NodeCommand};
#[cfg(feature = "lab")]
pub use crate::lab::{LinkId, NodeId, Topology};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::netns::{Holder, ListedNetNs, NamedNetNs, NetNs, NetNsDir, NetNsGuard, NetNsId};
pub use crate::note::{artifact_dir, note};
#[cfg(all(target_os = "linux", not(miri)))]
pub use crate::sandbox::{IdRange, Sandbox, SandboxChild, SandboxCommand, SandboxUser};
#[cfg(all(feature = "tracing", target_os = "linux", not(miri)))]
pub use crate::timeline::TimelineLayer;
pub use netns_test_macros::{defaults, netns_test, test};
