//! An async runtime that is blocked: one of its threads is in a call that waits. Pure.

use crate::evidence::facts::process::{Descriptor, Process};
use crate::explain::cause::Cause;
use crate::explain::scene::Scene;
use crate::explain::wait::{Kind, Wait};

/// Finds a runtime whose events no thread waits for, as its thread is in a blocking call.
///
/// A runtime that is idle between two calls of `block_on` looks the same, so it is never certain.
pub(super) fn cause(scene: &Scene<'_>, waits: &[Wait<'_>]) -> Option<Cause> {
    let body = scene.body()?;
    if !has_unwatched_runtime(body) {
        return None;
    }
    let test = scene.test_thread().map(|thread| thread.tid);
    let is_runtime = |wait: &&Wait<'_>| {
        let is_named =
            wait.thread.name.starts_with("tokio-r") || wait.thread.name.starts_with("async-");
        wait.process.is_body && (is_named || Some(wait.thread.tid) == test)
    };
    let of_runtime: Vec<&Wait<'_>> = waits.iter().filter(is_runtime).collect();
    let blocked = of_runtime.iter().find(|wait| wait.is_outside());
    // Its own thread waits for a lock or a channel, and polls nothing.
    let locked = || {
        let is_test = |wait: &&&Wait<'_>| {
            Some(wait.thread.tid) == test && wait.kind == Kind::Lock && !waits_for_node(waits)
        };
        of_runtime.iter().find(is_test)
    };
    let wait = blocked.or_else(locked)?;
    let who = wait.who(scene);
    let what = match wait.kind {
        Kind::Lock => "waits for a lock, a channel or a thread".to_owned(),
        Kind::Sleep => format!("sleeps in {}", wait.call),
        _ => format!("waits {}", wait.place()),
    };
    let cause = Cause::likely(format!("the async runtime is blocked: {who} {what}"))
        .shown_by(format!(
            "{who} is {}, and no thread waits for the runtime's events",
            wait.place()
        ))
        .try_to("await instead: the runtime's own sockets, timers, locks and channels")
        .try_to("move the call to `tokio::task::spawn_blocking`")
        .on(wait.node.unwrap_or_default());
    Some(wait.socket.map(|(_, socket)| socket.inode).into_iter().fold(cause, Cause::socket))
}

/// Returns whether a thread of a node does work that the test's thread may wait for.
fn waits_for_node(waits: &[Wait<'_>]) -> bool {
    waits.iter().any(|wait| {
        let is_of_node = wait.node.is_some_and(|node| !node.is_empty());
        wait.process.is_body && is_of_node && wait.is_outside()
    })
}

/// Returns whether the process has an epoll instance that no thread waits on. Copies of its
/// descriptor watch the same files.
fn has_unwatched_runtime(body: &Process) -> bool {
    let is_epoll = |one: &&Descriptor| one.target.contains("[eventpoll]");
    let polled: Vec<&Descriptor> = body
        .threads
        .iter()
        .filter_map(|thread| thread.call.as_ref())
        .filter(|call| call.name.starts_with("epoll"))
        .filter_map(|call| call.arguments.first())
        .filter_map(|number| {
            body.descriptors.iter().find(|one| one.number == *number as u32 as i32)
        })
        .collect();
    let is_polled = |one: &Descriptor| polled.iter().any(|other| other.watched == one.watched);
    let mut all = body.descriptors.iter().filter(is_epoll);
    let is_known = !body.is_closed;
    is_known && all.any(|one| !one.watched.is_empty() && !is_polled(one))
}
