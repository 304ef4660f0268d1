//! What had happened before: a panic elsewhere, or the end of a program. Pure.

use std::time::Duration;

use crate::evidence::facts::event::{Event, EventKind};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::{Scene, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

/// Most lines that are quoted of a program.
const LINES: usize = 3;

/// Words of a failure that is about the end of a program.
const ABOUT: [&str; 8] =
    ["program", "process", "exit", "status", "success", "child", "command", "output"];

/// Returns a program that has ended, if no other cause says it. Of an end that the test has seen,
/// only if the failure is about it: a test that goes on has expected it.
pub(crate) fn causes(scene: &Scene<'_>, _targets: &[Target<'_>]) -> Vec<Cause> {
    // Refused connections are judged with the address.
    if scene.trouble == Trouble::Refused {
        return Vec::new();
    }
    let is_new = |event: &Event| !is_seen(scene, event) || is_about(scene, event);
    let found = ended(scene, |event| is_bad(scene, event) && is_new(event));
    found.map(|(cause, _)| cause).into_iter().collect()
}

/// Returns whether the test has the status of a program that has ended.
fn is_seen(scene: &Scene<'_>, exit: &Event) -> bool {
    let same = |name| move |event: &Event| event.detail(name) == exit.detail(name);
    let is_its =
        |event: &Event| event.node == exit.node && same("pid")(event) && same("program")(event);
    scene.events(EventKind::Status).any(|(_, event)| is_its(event))
}

/// Returns whether the failure may be about the end of a program.
fn is_about(scene: &Scene<'_>, exit: &Event) -> bool {
    let program = exit.detail("program").unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_lowercase();
    let texts = [scene.message, scene.statement].map(str::to_lowercase);
    let has = |word: &str| texts.iter().any(|text| !word.is_empty() && text.contains(word));
    ABOUT.iter().any(|word| has(word)) || has(&name)
}

/// Returns the first panic on another thread than the one with which the test has failed, and its
/// position.
pub(crate) fn first_panic(scene: &Scene<'_>) -> Option<(Cause, usize)> {
    let mut notes = scene.events(EventKind::Note);
    if notes.any(|(_, event)| event.detail("panics") == Some("expected")) {
        return None;
    }
    let own = scene.panic.map(|at| &scene.facts.events[at]);
    let is_other = |event: &Event| match own {
        Some(own) => event.thread != own.thread && event.detail("message") != own.detail("message"),
        None => true,
    };
    let (position, event) = scene.events(EventKind::Panic).find(|(_, event)| is_other(event))?;
    if Some(position) == scene.panic {
        return None;
    }
    let panicked = Scene::of_panic(scene.ending, scene.facts, position);
    let node = panicked.node.unwrap_or_default();
    let who = match (node, event.detail("name").filter(|name| !name.is_empty())) {
        ("", Some(name)) => format!("the thread {name}"),
        ("", None) => "another thread".to_owned(),
        (node, _) => format!("a task or thread of {node}"),
    };
    let message = event.detail("message").unwrap_or(&event.text);
    let place = event.detail("place").unwrap_or_default();
    let cause = Cause::likely(format!("{who} panicked first: {}", first_line(message)))
        .shown_by(format!("it panicked at {place}, before the test failed"))
        .try_to("mend that panic first: what waits for it fails later")
        .event(position)
        .on(node);
    Some((cause, position))
}

/// Returns a program of a node that has ended badly before the failure, and not after `until`; and
/// what is said of it: `app (process 7) exited with status 3`.
pub(crate) fn ended_program(
    scene: &Scene<'_>,
    node: Option<&str>,
    until: Option<Duration>,
) -> Option<(Cause, String)> {
    let is_there = |event: &Event| node.is_none_or(|node| node == event.node);
    let is_before = |event: &Event| until.is_none_or(|until| event.at <= until);
    ended(scene, |event| is_bad(scene, event) && is_there(event) && is_before(event))
}

/// Returns whether a program has ended as one does that fails.
fn is_bad(scene: &Scene<'_>, event: &Event) -> bool {
    let status = event.detail("status").unwrap_or(&event.text);
    // The test may have ended it by a signal. What is to be connected to lives.
    let is_refused = scene.trouble == Trouble::Refused;
    let by_test = ["SIGTERM", "SIGKILL", "SIGINT", "has ended"];
    let by_test = by_test.iter().any(|end| status.ends_with(end));
    !status.ends_with(" 0") && (is_refused || !by_test)
}

fn ended(scene: &Scene<'_>, is_it: impl Fn(&Event) -> bool) -> Option<(Cause, String)> {
    let mut all = scene.events(EventKind::Exit).filter(|(_, event)| is_it(event));
    let (position, event) = all.next()?;
    let name = program(event);
    let status = event.detail("status").unwrap_or("ended");
    let what = format!("{name} {}", past(status));
    let here = if event.node.is_empty() { String::new() } else { format!(" on {}", event.node) };
    let certainty = Certainty::if_sure(is_named(scene, event, status));
    let mut cause = Cause::new(certainty, format!("{what}{here}"))
        .shown_by(format!("{name} {}{}", past(status), when(scene, event)))
        .try_to(format!("look at the output of {name}, and at its arguments and files"))
        .event(position)
        .on(&event.node);
    let last = event.detail("last").unwrap_or_default();
    let last: Vec<&str> = last.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in &last[last.len().saturating_sub(LINES)..] {
        cause = cause.shown_by(format!("its output: {line}"));
    }
    let lines = if last.is_empty() { last_lines(scene, event) } else { Vec::new() };
    for (at, line) in lines {
        let from = line.detail("stream").filter(|name| !name.is_empty()).unwrap_or("output");
        cause = cause.shown_by(format!("its {from}: {}", first_line(&line.text))).event(at);
    }
    if let Some(more) = Some(all.count()).filter(|more| *more > 0) {
        cause = cause.shown_by(format!("{more} more programs have ended so"));
    }
    Some((cause, what))
}

/// Returns whether the failure itself is about the end of this program.
fn is_named(scene: &Scene<'_>, event: &Event, status: &str) -> bool {
    let program = event.detail("program").unwrap_or_default();
    let base = program.rsplit('/').next().unwrap_or_default();
    !base.is_empty() && scene.message.contains(base) && scene.message.contains(status)
}

fn last_lines<'a>(scene: &Scene<'a>, exit: &Event) -> Vec<(usize, &'a Event)> {
    let is_its = |event: &Event| {
        event.node == exit.node
            && event.detail("pid") == exit.detail("pid")
            && event.detail("program") == exit.detail("program")
    };
    // Its last lines may be read after its end.
    let all = scene.facts.events.iter().enumerate();
    let mut lines: Vec<_> = all
        .filter(|(_, event)| event.kind == EventKind::Log && is_its(event))
        .filter(|(_, event)| !event.text.trim().is_empty())
        .collect();
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// Returns how a program is called in texts.
fn program(event: &Event) -> String {
    let name = event.detail("program").map(|path| path.rsplit('/').next().unwrap_or(path));
    match (name, event.detail("pid")) {
        (Some(name), Some(pid)) => format!("{name} (process {pid})"),
        (Some(name), None) => name.to_owned(),
        _ => format!("a program on {}", node_name(&event.node)),
    }
}

/// Returns a status as the end of a sentence: `exited with status 3`, `was killed by SIGSEGV`.
fn past(status: &str) -> String {
    let status = status.replace("exit status: ", "exited with status ");
    match status.strip_prefix("signal: ") {
        Some(signal) => format!("was killed by signal {signal}"),
        None if status.starts_with("killed") => format!("was {status}"),
        None => status,
    }
}

fn when(scene: &Scene<'_>, event: &Event) -> String {
    let before = scene.at.saturating_sub(event.at);
    format!(" {:.3} s before the failure", before.as_secs_f64())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::{Sample, THREAD};

    #[test]
    fn a_panic_on_another_node_is_the_first_cause() {
        let mut sample = Sample::pair();
        sample.thread("server", 5, "futex", None);
        sample.panic_on("", 5, 10_500, "no entry for key");
        let sample = sample.panics("Os { code: 104, kind: ConnectionReset, message: \"\" }");
        let cause = sample.says(Likely, "of server panicked first: no entry for key");
        assert_eq!(cause.events, [0]);
        let mut sample = Sample::pair();
        sample.panic_on("server", 5, 10_500, "no entry for key");
        sample.hangs().says(Likely, "of server panicked first: no entry for key");
    }

    #[test]
    fn words_of_the_test_have_no_cause_without_a_recorder() {
        use crate::evidence::facts::network::AttemptKind;
        let text = "timed out waiting for vote";
        let mut sample = Sample::pair();
        sample.interface("server", "eth0").is_up = false;
        sample.clone().panics(text).does_not_say("link lan is down");
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
        sample.panics(text).says(Likely, "link lan is down");
        let mut sample = Sample::pair();
        sample.socket("server", 1, "127.0.0.1:8080", "");
        let refused = "the peer said: Connection refused";
        assert_eq!(sample.clone().panics(refused).causes(), []);
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
        sample.panics(refused).says(Likely, "nothing on server listens on 10.0.0.2:8080");
    }

    #[test]
    fn only_the_panic_that_has_ended_the_test_has_a_place() {
        let mut sample = Sample::pair();
        sample.panic_on("server", THREAD, 10_500, "caught: Connection refused (os error 111)");
        sample.ending.kind = crate::evidence::ending::EndKind::Returned;
        sample.ending.message = "Network is unreachable (os error 101)".into();
        let scene = crate::explain::scene::Scene::of_end(&sample.ending, &sample.facts);
        assert_eq!((scene.panic, scene.node, scene.at), (None, None, sample.facts.ended));
    }

    #[test]
    fn a_panic_of_the_test_itself_is_no_earlier_one() {
        let mut sample = Sample::pair();
        sample.panic_on("", THREAD, 10_500, "caught");
        sample.panics("assertion failed").does_not_say("panicked first");
        // The panic of a closure on a node goes on in the test.
        let mut sample = Sample::pair();
        sample.panic_on("client", 5, 10_500, "no entry");
        sample.ending.message = "node client: no entry".into();
        sample.does_not_say("panicked first");
    }

    #[test]
    fn a_program_that_has_failed_is_found() {
        let mut sample = Sample::pair();
        sample.program("server", "exited with status 3", "cannot open config");
        let late = sample.clone().panics("assertion failed: is_ready");
        let cause = late.says(Likely, "app (process 7) exited with status 3 on server");
        assert_eq!(cause.proof[1], "its output: cannot open config");
        let named = "wait for a line of app: it exited with status 3";
        sample.panics(named).says(Certain, "app (process 7) exited with status 3 on server");
    }

    #[test]
    fn a_failure_that_the_test_has_seen_is_a_cause_if_the_panic_is_about_it() {
        use crate::evidence::facts::event::EventKind;
        let mut sample = Sample::pair();
        sample.program("server", "exited with status 3", "cannot open config");
        let seen =
            sample.event(EventKind::Status, "server", 10_400, "app: the test has its status");
        *seen = seen.clone().with("pid", 7).with("program", "app");
        sample.clone().panics("assertion failed: is_ready").does_not_say("exited");
        let about = "assertion failed: status.success()";
        sample.clone().panics(about).says(Likely, "app (process 7) exited with status 3 on server");
        sample.panics("app is not there").says(Likely, "app (process 7) exited with status 3");
    }

    #[test]
    fn a_program_that_has_succeeded_or_is_killed_at_the_end_is_none() {
        let mut sample = Sample::pair();
        sample.program("server", "exited with status 0", "bye");
        sample.clone().panics("assertion failed").does_not_say("app");
        for event in &mut sample.facts.events {
            event.at += std::time::Duration::from_secs(1);
        }
        sample.panics("Os { code: 110, kind: TimedOut, message: \"\" }").does_not_say("app");
    }
}
