//! The wait that a test depends on. Pure.

use std::time::Duration;

use crate::explain::scene::Scene;
use crate::explain::wait::Wait;

/// Returns the wait that the test depends on: of its own thread, or of the only other thread that
/// waits for something outside.
pub(crate) fn decisive<'a, 'b>(
    scene: &Scene<'a>,
    waits: &'b [Wait<'a>],
) -> Option<(&'b Wait<'a>, bool)> {
    let test = scene.test_thread()?;
    let own = waits.iter().find(|wait| wait.thread.tid == test.tid)?;
    if own.is_outside() {
        return Some((own, true));
    }
    // A runtime polls this socket, and may also wait for a timer or a channel.
    if own.socket.is_some() {
        return Some((own, false));
    }
    let mut others = waits.iter().filter(|wait| wait.process.is_body && wait.is_outside());
    let first = others.next()?;
    others.next().is_none().then_some((first, false))
}

/// Returns how long nothing has been recorded.
pub(super) fn stillness(scene: &Scene<'_>) -> Option<String> {
    let last = scene.facts.events.iter().map(|event| event.at).filter(|at| *at <= scene.at).max();
    let last = last.or(scene.facts.began)?;
    let silent = scene.at.saturating_sub(last);
    (silent > Duration::from_millis(100)).then(|| {
        format!("no event of the test was recorded in the last {:.1} s", silent.as_secs_f64())
    })
}
