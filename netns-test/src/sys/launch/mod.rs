//! Starts a program in namespaces of its own, from a process that may have other threads.
//!
//! The standard library forks; what is here happens between that and exec:
//!
//! ```text
//! caller ──fork (std)──▶ monitor ──clone──▶ init (pid 1) ──fork──▶ program
//!        its child, stays outside    new namespaces             goes on to exec (std)
//! ```
//!
//! The monitor is what the caller waits for and signals: it passes signals on, ends as the program
//! ended, and only when nothing of it is left. Init makes the place, reaps, and takes every
//! other process with it when it ends.
//!
//! Other threads of the caller may have held any lock when std forked. So nothing here allocates
//! memory, takes a lock or panics: it makes system calls on what the caller has laid out in a
//! [`Plan`], and tells of a refusal by the numbers of a [`Refusal`].

pub(crate) mod action;
pub(crate) mod init;
pub(crate) mod line;
pub(crate) mod maps;
pub(crate) mod monitor;
pub(crate) mod plan;
pub(crate) mod refusal;
pub(crate) mod up;

use std::process::Command;
use std::sync::Arc;

pub(crate) use crate::sys::launch::action::{Action, FileSystem, Keep};
pub(crate) use crate::sys::launch::line::{Ends, Told};
pub(crate) use crate::sys::launch::maps::{Helper, MOST_RANGES, Maps, write_maps};
pub(crate) use crate::sys::launch::plan::{Person, Plan};
pub(crate) use crate::sys::launch::refusal::{At, Call, Refusal};

/// Has `command` do all of `plan` when it is started.
pub(crate) fn set_up(command: &mut Command, plan: Arc<Plan>, ends: Arc<Ends>) {
    use std::os::unix::process::CommandExt as _;
    let begin = move || monitor::begin(&plan, &ends);
    // SAFETY: between fork and exec the closure makes system calls on memory that is laid out in
    // the plan; it allocates nothing and takes no lock, as this module's rules say.
    unsafe { command.pre_exec(begin) };
}
