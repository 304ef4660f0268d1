//! A time limit, of the test or of one operation: who waits for what. Pure.

mod pair;
mod programs;
mod runtime;
mod silence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::Scene;
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;
use crate::explain::wait::{Kind, Wait, waits};

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
    found.extend(pair::cause(scene, &waits));
    found.extend(silence::causes(scene, &waits));
    if is_limit && found.is_empty() {
        found.extend(last_resort(scene, &waits));
    }
    found
}

/// Returns the wait that the test depends on: of its own thread, or of the only other thread that
/// waits for something outside.
fn decisive<'a, 'b>(scene: &Scene<'a>, waits: &'b [Wait<'a>]) -> Option<(&'b Wait<'a>, bool)> {
    let test = scene.test_thread()?;
    let own = waits.iter().find(|wait| wait.thread.tid == test.tid)?;
    if own.is_outside() {
        return Some((own, true));
    }
    let mut others = waits.iter().filter(|wait| wait.process.is_body && wait.is_outside());
    let first = others.next()?;
    others.next().is_none().then_some((first, false))
}

/// Says where the test waits, if nothing better is known.
fn last_resort(scene: &Scene<'_>, waits: &[Wait<'_>]) -> Option<Cause> {
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
    if !is_own {
        cause = cause.shown_by("the test's own thread waits for another thread");
    }
    for other in waits.iter().filter(|other| other.thread.tid != wait.thread.tid).take(3) {
        if other.is_outside() {
            cause = cause.shown_by(format!("{} is {}", other.who(scene), other.place()));
        }
    }
    let advice = match wait.kind {
        Kind::Lock => "look at what holds the lock, or should send or end",
        Kind::Sleep => "shorten the pause, or wait for an event: `wait(limit)` of a node",
        Kind::Child => "look at what the program waits for, or end it first",
        _ => "look at what should come there; set a time limit of the operation",
    };
    let cause = cause.shown_by_all(stillness(scene)).try_to(advice);
    Some(wait.socket.map(|(_, socket)| socket.inode).into_iter().fold(cause, Cause::socket))
}

/// Returns how long nothing has been recorded.
fn stillness(scene: &Scene<'_>) -> Option<String> {
    let last = scene.facts.events.iter().map(|event| event.at).filter(|at| *at <= scene.at).max();
    let last = last.or(scene.facts.began)?;
    let silent = scene.at.saturating_sub(last);
    (silent > Duration::from_millis(100)).then(|| {
        format!("no event of the test was recorded in the last {:.1} s", silent.as_secs_f64())
    })
}
