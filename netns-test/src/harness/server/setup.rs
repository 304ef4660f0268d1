//! Set-up of the server's process after the fork.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic;

use crate::diagnose;
use crate::error::Failure;
use crate::harness::child::context::Origin;
use crate::harness::server::farewell;
use crate::harness::server::farewell::Farewell;
use crate::registry::constructors;
use crate::sys::fds;
use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::process::{limits, signals, stack_overflow};

/// Size of a thread's stack in bytes: the standard library's default.
const STACK: usize = 2 << 20;

/// Starts a thread and joins it: the things that the C library creates for a first thread (a
/// stack, an arena of memory, symbols) then exist in each body. Returns when the process has one
/// thread again.
pub(crate) fn warm_up() {
    // The second thread reuses the stack of the first. The size is explicit: the standard library
    // reads `RUST_MIN_STACK` once and keeps it, but a body's value may differ.
    for _ in 0..2 {
        let builder = std::thread::Builder::new().stack_size(STACK);
        if let Ok(thread) = builder.spawn(stack_overflow::look_up) {
            drop(thread.join());
        }
    }
    // A joined thread may exist for a moment.
    while process::thread_count().is_ok_and(|count| count > 1) {
        std::thread::yield_now();
    }
    // The first panic makes the tables of the unwinder, with a call that a filter of a test may
    // refuse. This one does not call the panic hook.
    if cfg!(panic = "unwind") {
        drop(panic::catch_unwind(|| panic::resume_unwind(Box::new(()))));
    }
    constructors::note_arguments();
}

/// Turns the forked process into the server. Returns the attributes that it had before, and what it
/// needs if the runner goes while tests run.
pub(crate) fn become_server(
    requests: &OwnedFd,
    runner: Pid,
) -> Result<(Origin, Option<Farewell>), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    process::die_with_parent().map_err(step("prctl", "PR_SET_PDEATHSIG of the server"))?;
    if process::parent_id() != runner {
        process::exit_now(1);
    }
    // An ordinary test may signal its group, to which the server must not belong.
    process::lead_own_session().map_err(step("setsid", "the server"))?;
    let stderr = farewell::stderr();
    let kept = [Some(requests), stderr.as_ref()];
    let kept: Vec<_> = kept.into_iter().flatten().map(AsRawFd::as_raw_fd).collect();
    fds::close_all_except(&kept).map_err(step("close_range", "the runner's descriptors"))?;
    let null = fds::open_null().map_err(|error| diagnose::without_null(&error))?;
    for number in 0..=2 {
        fds::install_stdio(&null, number).map_err(step("dup2", "/dev/null"))?;
    }
    // Many tests may run at once. A body takes the runner's limits again.
    limits::raise_open_files().map_err(step("setrlimit", "open files"))?;
    let origin = Origin {
        limits: limits::get().map_err(step("getrlimit", "the server"))?,
        name: process::name().map_err(step("prctl", "PR_GET_NAME"))?,
        ignores_children: signals::stop_ignoring_children(),
    };
    process::set_name(c"netns-test").map_err(step("prctl", "PR_SET_NAME"))?;
    let open_files = origin.limits.open_files();
    Ok((origin, Farewell::prepare(stderr, (runner, open_files))))
}
