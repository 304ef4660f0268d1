//! Rules on the packets of links that have never acted: what the test is about has not happened.
//! Pure.

use crate::evidence::facts::event::{Event, EventKind};
use crate::explain::cause::Cause;
use crate::explain::scene::Scene;
use crate::explain::target::Target;

/// Most rules that are named.
const MOST: usize = 3;

pub(crate) fn causes(scene: &Scene<'_>, _: &[Target<'_>]) -> Vec<Cause> {
    let added = scene.events(EventKind::Link).filter(|(_, event)| is(event, "added"));
    let unused = added.filter_map(|(at, event)| unused(scene, at, event));
    unused.take(MOST).collect()
}

/// Explains a rule that has not acted before the failure.
fn unused(scene: &Scene<'_>, at: usize, added: &Event) -> Option<Cause> {
    let number = added.detail("number")?;
    let own = |(_, event): &(usize, &Event)| event.detail("number") == Some(number);
    if scene.events(EventKind::Link).filter(own).any(|(_, event)| is(event, "acts")) {
        return None;
    }
    let (of, rule) = (added.detail("of")?, added.detail("rule")?);
    let mut cause = Cause::likely(format!("a rule of {of} has never acted: {rule}")).event(at);
    // It may have ended after the failure, with the stack of the test.
    let all = scene.facts.events.iter().enumerate().filter(|(_, one)| one.kind == EventKind::Link);
    let end = all.filter(own).find(|(_, event)| is(event, "removed"));
    if let Some((at, event)) = end {
        if event.detail("hits") != Some("0") {
            return None;
        }
        cause = cause.shown_by(match event.detail("matched") {
            Some("0") | None => "no packet has matched it until it was removed".to_owned(),
            Some(count) => format!("{count} packets have matched it, and it chose none of them"),
        });
        cause = cause.event(at);
    } else {
        cause = cause.shown_by("no packet that it chose has come until the failure");
    }
    Some(cause.try_to(
        "compare it with the packets on the link (`tcpdump` on a node at its end, \
         `lab[link].stats()`), and assert `matched()` of the rule",
    ))
}

fn is(event: &Event, state: &str) -> bool {
    event.detail("number").is_some() && event.detail("state") == Some(state)
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::event::EventKind;
    use crate::explain::cause::Cause;
    use crate::explain::sample::Sample;

    fn note(sample: &mut Sample, at: u64, details: &[(&str, &str)]) {
        let event = sample.event(EventKind::Link, "", at, "link `wan` (a to b) rule");
        let with = |event: crate::evidence::facts::event::Event, (name, value): &(&str, &str)| {
            event.with(name, value)
        };
        *event = details.iter().fold(event.clone(), with);
    }

    fn sample() -> Sample {
        let mut sample = Sample::pair();
        let of = [("of", "link `wan` (a to b)"), ("rule", "drop UDP: packet 2")];
        let of = [&of[..], &[("number", "3"), ("state", "added")]].concat();
        note(&mut sample, 10_100, &of);
        sample
    }

    fn of_rules(sample: Sample) -> Vec<Cause> {
        let all = sample.panics("assertion failed: hits").causes().into_iter();
        all.filter(|cause| cause.text.starts_with("a rule of link")).collect()
    }

    #[test]
    fn a_rule_that_never_acted_is_named() {
        let text = "a rule of link `wan` (a to b) has never acted: drop UDP: packet 2";
        let found = of_rules(sample());
        assert_eq!((found.len(), found[0].text.as_str()), (1, text));
        assert_eq!(found[0].proof, ["no packet that it chose has come until the failure"]);
        for (matched, proof) in [
            ("0", "no packet has matched it until it was removed"),
            ("7", "7 packets have matched it, and it chose none of them"),
        ] {
            let mut sample = sample();
            let end = [("number", "3"), ("state", "removed"), ("hits", "0"), ("matched", matched)];
            // With the stack of the test, after the panic.
            note(&mut sample, 20_000, &end);
            let found = of_rules(sample);
            assert_eq!((found.len(), found[0].text.as_str()), (1, text));
            assert_eq!(found[0].proof, [proof]);
        }
    }

    #[test]
    fn a_rule_that_acted_is_no_cause() {
        let mut acts = sample();
        note(&mut acts, 10_200, &[("number", "3"), ("state", "acts")]);
        assert_eq!(of_rules(acts), []);
        let mut removed = sample();
        note(&mut removed, 10_200, &[("number", "3"), ("state", "removed"), ("hits", "2")]);
        assert_eq!(of_rules(removed), []);
        // Another rule acts.
        let mut other = sample();
        note(&mut other, 10_200, &[("number", "4"), ("state", "acts")]);
        assert_eq!(of_rules(other).len(), 1);
        let mut text = Sample::pair();
        note(&mut text, 10_100, &[("state", "held")]);
        assert_eq!(of_rules(text), []);
    }
}
