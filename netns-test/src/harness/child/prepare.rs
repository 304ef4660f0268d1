//! Prepares a body's process: its identity, then the runner's attributes (output, limits, umask,
//! environment, signal mask).
//!
//! All this is in place before the program's constructors run, so that these and the test find what
//! they would find in the runner.

use std::ffi::CString;
use std::io;
use std::mem::{ManuallyDrop, forget};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use crate::diagnose;
use crate::error::Failure;
use crate::harness::child::context::{Arrived, Order, Origin, Site, Start};
use crate::harness::child::runner_env::RunnerEnv;
use crate::harness::protocol::framing;
use crate::harness::protocol::messages;
use crate::harness::protocol::report::FAILED;
use crate::isolation;
use crate::registry::case::Case;
use crate::sys::net::socket;
use crate::sys::process;
use crate::sys::process::SingleThreaded;
use crate::sys::process::{environ, limits, signals, stack_overflow, unfailing};
use crate::sys::{errno, fds};

/// Takes the steps that need neither the sandbox nor the test.
pub(crate) fn begin(site: &Site<'_>) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    process::make_dumpable().map_err(step("prctl", "PR_SET_DUMPABLE"))?;
    site.identity.assume().map_err(diagnose::completed)?;
    if site.origin.ignores_children {
        signals::ignore_children();
    }
    process::set_name(&site.origin.name).map_err(step("prctl", "PR_SET_NAME"))?;
    signals::ignore_sigpipe();
    // Without this a stack overflow still ends the process, but is reported as a plain SIGSEGV.
    drop(stack_overflow::prepare());
    Ok(())
}

/// Waits until the sandbox is ready and the test is known, and takes the attributes of the runner.
/// Returns the test.
pub(crate) fn finish(
    site: &Site<'_>,
    start: Start<'_>,
    ready: OwnedFd,
    alone: &SingleThreaded,
) -> Result<&'static Case, Failure> {
    match start {
        // If this first sandbox is refused, another one receives what the runner has sent: it is
        // read only after the sandbox is ready.
        Start::This(order) if site.outcome.is_some() => {
            wait_until_ready(site, &ready)?;
            forget(ready);
            take_attributes(order, None, site.origin, alone)?;
            Ok(order.case)
        }
        // The last part of what the runner has sent stays unread until the sandbox is ready: the
        // runner learns by it whether the test still needs the server.
        Start::This(order) => {
            take_attributes(order, Some(&ready), site.origin, alone)?;
            wait_until_ready(site, &ready)?;
            socket::discard(order.control.as_fd()).map_err(|error| not_received(&error))?;
            forget(ready);
            close_all_but(&[])?;
            Ok(order.case)
        }
        Start::Awaited { orders, init } => {
            wait_until_ready(site, &ready)?;
            forget(ready);
            // `take_attributes` closes its descriptors with all others.
            let arrived = ManuallyDrop::new(wait_for_order(orders, init));
            take_attributes(arrived.order()?, None, site.origin, alone)?;
            Ok(arrived.case)
        }
    }
}

/// Returns when the sandbox is ready. If there will be none, ends the process: init reports the
/// reason.
///
/// # Errors
///
/// If init's message cannot be read.
fn wait_until_ready(site: &Site<'_>, ready: &OwnedFd) -> Result<(), Failure> {
    let Some(messages::Ready { limitations }) = receive_ready(ready)? else {
        process::exit_now(FAILED)
    };
    isolation::set(site.mode.is_privileged(), limitations);
    Ok(())
}

/// Receives init's message, or `None` if init has ended without one.
fn receive_ready(socket: &OwnedFd) -> Result<Option<messages::Ready>, Failure> {
    let received = match framing::receive(socket) {
        Err(error) if framing::is_hang_up(&error) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        received => received,
    };
    let ready = received.and_then(|bytes| {
        messages::Ready::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    });
    ready
        .map(Some)
        .map_err(|error| errno::failure("receive", "the message of the test's init", &error))
}

/// Waits for the order of a warm sandbox. Ends the process if the server has gone or init cannot be
/// reached: init then has no test, and the server sees that the order was not taken.
fn wait_for_order(orders: &OwnedFd, init: &OwnedFd) -> Arrived {
    match Arrived::wait_for(orders) {
        Some(arrived) if arrived.take(orders, init).is_ok() => arrived,
        _ => process::exit_now(FAILED),
    }
}

/// Takes the attributes that the runner had at its request. Closes all descriptors but the standard
/// streams. Where the sandbox is not `ready` yet, keeps that socket and the runner's, and leaves
/// the last part of its message there.
fn take_attributes(
    order: Order<'_>,
    ready: Option<&OwnedFd>,
    origin: &Origin,
    alone: &SingleThreaded,
) -> Result<(), Failure> {
    let step = |step, object| move |error: io::Error| diagnose::explain(step, object, &error);
    let receive = match ready {
        Some(_) => framing::receive_but_leave_last,
        None => framing::receive,
    };
    let env = receive(order.control)
        .and_then(|bytes| RunnerEnv::decode(&bytes).ok_or(io::ErrorKind::InvalidData.into()))
        .map_err(|error| not_received(&error))?;
    fds::install_stdio(order.stdout, 1).map_err(step("dup2", "stdout"))?;
    fds::install_stdio(order.stderr, 2).map_err(step("dup2", "stderr"))?;
    match ready {
        Some(ready) => close_all_but(&[ready, order.control])?,
        None => close_all_but(&[])?,
    }
    limits::set(&env.limits, &origin.limits).map_err(step("setrlimit", "the test's process"))?;
    unfailing::set_umask(env.umask).map_err(step("umask", "the test's process"))?;
    if let Some(variables) = env.environment {
        let variables = variables.into_iter().filter_map(|text| CString::new(text).ok());
        environ::replace(variables.collect(), alone);
    }
    signals::set_mask(env.mask).map_err(step("sigprocmask", "the test's process"))
}

fn not_received(error: &io::Error) -> Failure {
    diagnose::explain("receive", "the runner's environment", error)
}

/// Closes all descriptors but the standard streams and `kept`.
fn close_all_but(kept: &[&OwnedFd]) -> Result<(), Failure> {
    let kept: Vec<_> = kept.iter().map(|fd| fd.as_raw_fd()).collect();
    fds::close_all_except(&kept)
        .map_err(|error| diagnose::explain("close_range", "the harness's descriptors", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_cannot_be_decoded_is_a_failure_and_a_closed_socket_is_not() {
        let (init, body) = socket::pair().unwrap();
        let ready = messages::Ready { limitations: vec!["some".into()] };
        let send = |bytes: &[u8]| framing::send(&init, bytes, || Ok(())).unwrap();
        send(&ready.encode());
        assert_eq!(receive_ready(&body).unwrap(), Some(ready));
        send(b"?");
        let failure = receive_ready(&body).unwrap_err().to_string();
        assert!(failure.contains("receive the message of the test's init"), "{failure}");
        drop(init);
        assert_eq!(receive_ready(&body).unwrap(), None);
    }
}
