//! Starts a program in namespaces of its own, from a process that may have other threads.
//!
//! The standard library forks; this code runs between its fork and exec:
//!
//! ```text
//! caller ──fork (std)──▶ monitor ──clone──▶ init (pid 1) ──fork──▶ program
//!        its child, stays outside    new namespaces             goes on to exec (std)
//! ```
//!
//! The caller waits for and signals the monitor. It passes signals on, and ends with the program's
//! status when no process of the program is left. Init sets up the namespaces and reaps. When it
//! ends, the kernel kills every other process in its PID namespace.
//!
//! Other threads of the caller may have held any lock when std forked. So this code does not
//! allocate memory, take a lock or panic. It makes system calls on memory that the caller has laid
//! out in a [`Plan`], and reports a refusal by the numbers of a [`Refusal`].

pub(crate) mod action;
pub(crate) mod init;
pub(crate) mod line;
pub(crate) mod maps;
pub(crate) mod monitor;
pub(crate) mod plan;
pub(crate) mod refusal;
mod replace;
pub(crate) mod up;

use std::process::Command;
use std::sync::Arc;

pub(crate) use crate::sys::launch::action::{Action, FileSystem, Keep};
pub(crate) use crate::sys::launch::line::{Ends, Outcome};
pub(crate) use crate::sys::launch::maps::{Helper, MOST_RANGES, Maps, write_maps};
pub(crate) use crate::sys::launch::plan::{Person, Plan};
pub(crate) use crate::sys::launch::refusal::{At, Call, Refusal};
pub(crate) use crate::sys::launch::replace::replace;

/// Makes `command` carry out `plan` when it is started.
pub(crate) fn set_up(command: &mut Command, plan: Arc<Plan>, ends: Arc<Ends>) {
    use std::os::unix::process::CommandExt as _;
    let begin = move || monitor::begin(&plan, &ends);
    // SAFETY: between fork and exec the closure makes system calls on memory that is laid out in
    // the plan; it allocates nothing and takes no lock, as this module's rules say.
    unsafe { command.pre_exec(begin) };
}
