//! A time limit, of the test or of one operation: who waits for what. Pure.

pub(crate) mod decisive;
mod pair;
mod programs;
mod runtime;
mod silence;
#[cfg(test)]
mod tests;

use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::waits::decisive::{decisive, stillness};
use crate::explain::scene::Scene;
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;
use crate::explain::wait::{Kind, waits};

pub(crate) fn causes(scene: &Scene<'_>, _targets: &[Target<'_>]) -> Vec<Cause> {
    let is_limit = scene.trouble == Trouble::TimeLimit;
    if !is_limit && !matches!(scene.trouble, Trouble::WouldBlock | Trouble::TimedOut) {
        return Vec::new();
    }
    let waits = waits(scene);
    let mut found = programs::causes(scene, &waits);
    if is_limit {
        found.extend(runtime::cause(scene, &waits));
    }
    match pair::cause(scene, &waits) {
        // It says what the silence is.
        Some(pair) => found.push(pair),
        None => found.extend(silence::causes(scene, &waits)),
    }
    found
}

/// Says where the test waits at its time limit, for a test of which nothing better is known.
pub(crate) fn last_resort(scene: &Scene<'_>) -> Option<Cause> {
    if scene.trouble != Trouble::TimeLimit {
        return None;
    }
    let waits = &waits(scene)[..];
    let test = scene.test_thread();
    let own = waits.iter().find(|wait| test.is_some_and(|test| test.tid == wait.thread.tid));
    let (wait, is_own) = match decisive(scene, waits) {
        Some(found) => found,
        None => (own?, true),
    };
    let who = wait.who(scene);
    let what = match wait.kind {
        Kind::Lock => "for a lock, a channel or a thread".to_owned(),
        Kind::Sleep => "for time to pass".to_owned(),
        Kind::Child => "for a program to end".to_owned(),
        Kind::Poll => "for one of several events".to_owned(),
        _ => wait.place(),
    };
    // That it waits there is a fact. Why nothing comes is not known.
    let mut cause = Cause::new(Certainty::Likely, format!("{who} waits {what}")).shown_by(format!(
        "{who} is {}, state {}",
        wait.place(),
        wait.thread.state
    ));
    if !is_own && test.is_some_and(|test| test.tid != wait.thread.tid) {
        cause = cause.shown_by("the test's own thread waits for another thread");
    }
    for other in waits.iter().filter(|other| other.thread.tid != wait.thread.tid).take(3) {
        if other.is_outside() {
            cause = cause.shown_by(format!("{} is {}", other.who(scene), other.place()));
        }
    }
    let advice = match wait.kind {
        Kind::Lock => "find the thread that holds the lock, or that should send or end",
        Kind::Sleep => "shorten the pause, or wait for an event: `lab[node].wait(limit)` has some",
        Kind::Child => "look at what the program waits for, or end it first",
        _ => "look at what should come there; set a time limit of the operation",
    };
    let cause = cause.shown_by_all(stillness(scene)).try_to(advice);
    Some(wait.socket.map(|(_, socket)| socket.inode).into_iter().fold(cause, Cause::socket))
}
