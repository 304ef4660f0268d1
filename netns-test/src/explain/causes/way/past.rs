//! An obstacle that has gone: a partition that was healed, a link or node that is up again. What
//! has failed may have waited meanwhile. Pure.

use std::time::Duration;

use crate::evidence::facts::event::{Event, EventKind};
use crate::explain::cause::Cause;
use crate::explain::scene::Scene;
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

/// Kinds of events that begin or end an obstacle, with the state that begins it.
const KINDS: [(EventKind, &str); 4] = [
    (EventKind::Partition, "on"),
    (EventKind::Link, "down"),
    (EventKind::Power, "off"),
    (EventKind::Power, "frozen"),
];

/// Time after an obstacle within which a failure may follow from it. A connection has longer
/// pauses between its attempts only after half a minute (tcp(7)).
const AFTER: Duration = Duration::from_secs(30);

/// Finds the obstacle that has ended last before the failure.
pub(super) fn cause(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    if !matches!(scene.trouble, Trouble::TimedOut | Trouble::WouldBlock | Trouble::HostUnreachable)
    {
        return None;
    }
    let found = KINDS.iter().filter_map(|(kind, state)| last(scene, *kind, state));
    let concerned = found.filter(|found| {
        let known = targets.iter().filter_map(|target| target.node.zip(target.from));
        let mut known = known.peekable();
        known.peek().is_none() || known.any(|(to, from)| found.is_between(scene, to, from))
    });
    let found = concerned.max_by_key(|found| found.end.1.at)?;
    let ago = |event: &Event| scene.at.saturating_sub(event.at);
    if ago(found.end.1) > AFTER {
        return None;
    }
    let (begin, end) = (ago(found.begin.1).as_secs_f64(), ago(found.end.1).as_secs_f64());
    let (kind, text) = (found.begin.1.kind, &found.begin.1.text);
    let what = match kind {
        EventKind::Partition => format!("{} were separated by a partition", sides(text)),
        EventKind::Power if found.begin.1.detail("state") == Some("frozen") => {
            format!("{} was frozen", found.begin.1.node)
        }
        EventKind::Power => format!("{} was powered off", found.begin.1.node),
        _ => format!("link {} was down", text.strip_suffix(" down").unwrap_or(text)),
    };
    Some(
        Cause::likely(format!("{what} until {end:.3} s before the failure"))
            .shown_by(format!("it began {begin:.3} s before the failure, and has ended"))
            .shown_by("what was sent meanwhile is lost, and what has failed may have waited for it")
            .try_to("begin the attempt after the end of it, or let it wait longer than that")
            .event(found.begin.0)
            .event(found.end.0),
    )
}

/// Beginning and end of an obstacle, with their positions in the events.
struct Past<'a> {
    begin: (usize, &'a Event),
    end: (usize, &'a Event),
}

impl Past<'_> {
    /// Returns whether it may have been between two nodes. Of a link this is not known.
    fn is_between(&self, scene: &Scene<'_>, to: &str, from: &str) -> bool {
        let event = self.begin.1;
        match event.kind {
            EventKind::Power => {
                let kind = scene.facts.lab().and_then(|lab| lab.node(&event.node));
                [to, from].contains(&event.node.as_str())
                    || kind.is_some_and(|node| node.kind != "host")
            }
            EventKind::Partition => {
                let Some((one, other)) = event.text.split_once(" | ") else { return true };
                let has = |side: &str, node: &str| side.split(", ").any(|name| name == node);
                has(one, to) && has(other, from) || has(one, from) && has(other, to)
            }
            _ => true,
        }
    }
}

/// Returns the obstacle of a kind that has ended last.
fn last<'a>(scene: &Scene<'a>, kind: EventKind, state: &str) -> Option<Past<'a>> {
    // Impairments and rules of a link are events of it, too.
    let is_of_power = |event: &Event| matches!(event.detail("state"), Some("down" | "up"));
    let all = scene.events(kind);
    let all: Vec<_> = all.filter(|(_, one)| kind != EventKind::Link || is_of_power(one)).collect();
    let is_on = |event: &Event| event.detail("state") == Some(state);
    let position = all.iter().rposition(|(_, event)| !is_on(event))?;
    let end = all[position];
    let is_same = |event: &Event| match kind {
        EventKind::Partition => true,
        EventKind::Power => event.node == end.1.node,
        _ => event.detail("link") == end.1.detail("link"),
    };
    let begin = all[..position].iter().rfind(|(_, event)| is_same(event))?;
    is_on(begin.1).then_some(Past { begin: *begin, end })
}

/// Returns the sides of a partition: `a and b`.
fn sides(text: &str) -> String {
    text.replacen(" | ", " and ", 1)
}
