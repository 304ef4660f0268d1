//! Texts of declared impairments. Pure.

use std::fmt;
use std::time::Duration;

use crate::lab::topology::impairment::Impairment;
use crate::lab::topology::impairment::model::{
    LinkImpairments, Loss, LossUnit, OneWay, QueueLimit,
};
use crate::lab::topology::quantity::{ProbabilityArg, rate_text};

/// Writes the numbers, in the order of the stages.
impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [forth, back] = self.both(0);
        if forth == back {
            return f.write_str(&text(forth));
        }
        write!(f, "{}; back: {}", text(forth), text(back))
    }
}

/// Returns the numbers of one direction.
pub(crate) fn text(way: &OneWay) -> String {
    let mut words: Vec<String> = loss(way).into_iter().collect();
    words.extend(way.includes_neighbours.then(|| "with neighbours".to_owned()));
    let random = [("corrupt", &way.corrupt), ("duplicate", &way.duplicate)];
    let is_set = |(_, probability): &(&str, &ProbabilityArg)| **probability != Default::default();
    words.extend(random.into_iter().filter(is_set).map(|(what, p)| format!("{what} {}", shown(p))));
    words.extend(way.drops_ect.then(|| "drop ect".to_owned()));
    words.extend(way.rate.as_ref().map(|rate| match &rate.0 {
        Ok(bits) => format!("rate {}", rate_text(*bits)),
        Err(error) => format!("rate {error}"),
    }));
    words.extend(way.burst.map(|bytes| format!("burst {bytes} bytes")));
    words.extend(way.queue.map(queue));
    words.extend(way.overhead.map(|bytes| format!("overhead {bytes} bytes")));
    words.extend(way.mark_above.map(|bytes| format!("mark above {bytes} bytes")));
    words.extend(delay(way.delay, way.jitter));
    words.extend(way.reorder.as_ref().map(|p| format!("reorder {}", shown(p)) + &gap(way)));
    if words.is_empty() { "unimpaired".to_owned() } else { words.join(", ") }
}

/// Returns what a link declares about impairments, a line for each direction that differs.
pub(crate) fn declared(
    link: &LinkImpairments,
    is_impairable: bool,
    ends: [&str; 2],
) -> Vec<String> {
    let changes = |way: &&OneWay| **way != OneWay::default();
    let texts = link.from.each_ref().map(|way| way.as_ref().filter(changes).map(text));
    let is_engine = is_impairable || link.is_impairable || link.from != [None, None];
    lines(texts, is_engine, [link.is_captured, link.has_no_offloads], ends)
}

/// Returns the lines of a link whose directions have these texts, if they are impaired.
pub(crate) fn lines(
    texts: [Option<String>; 2],
    is_impairable: bool,
    [is_captured, has_no_offloads]: [bool; 2],
    ends: [&str; 2],
) -> Vec<String> {
    let mut lines = match texts {
        [None, None] => is_impairable.then(|| "impairable".to_owned()).into_iter().collect(),
        [Some(one), Some(two)] if one == two => vec![one],
        texts => {
            let each = texts.into_iter().zip(ends);
            each.filter_map(|(text, end)| Some(format!("from {end}: {}", text?))).collect()
        }
    };
    lines.extend(is_captured.then(|| "captured".to_owned()));
    lines.extend(has_no_offloads.then(|| "no offloads".to_owned()));
    lines
}

/// Returns the words of a delay.
pub(crate) fn delay(delay: Duration, jitter: Duration) -> Vec<String> {
    let has_jitter = !jitter.is_zero();
    let delay = (has_jitter || !delay.is_zero()).then(|| format!("delay {delay:?}"));
    delay.into_iter().chain(has_jitter.then(|| format!("jitter {jitter:?}"))).collect()
}

/// Returns the words of a limit of a queue.
pub(crate) fn queue(limit: QueueLimit) -> String {
    match limit {
        QueueLimit::Bytes(bytes) => format!("queue {bytes} bytes"),
        QueueLimit::Packets(packets) => format!("queue {packets} packets"),
    }
}

/// Returns a pattern as it is written.
pub(crate) fn pattern(pattern: &[bool]) -> String {
    pattern.iter().map(|is_lost| if *is_lost { 'x' } else { '.' }).collect()
}

fn loss(way: &OneWay) -> Option<String> {
    let words = match &way.loss {
        Loss::None => return None,
        Loss::Independent(p) => format!("loss {}", shown(p)),
        Loss::Bursts { loss, length } => format!("loss {} in bursts of {}", shown(loss), length.0),
        Loss::GilbertElliott(all) => {
            format!("loss gemodel {}", all.each_ref().map(shown).join(" "))
        }
        Loss::Pattern(given) => match &given.0 {
            Ok(given) => format!("loss pattern {}", pattern(given)),
            Err(error) => format!("loss pattern {error}"),
        },
    };
    let shared = if way.shares_bursts { " shared bursts" } else { "" };
    let unit = if way.loss_unit == LossUnit::Segment { " by segment" } else { "" };
    Some(words + shared + unit)
}

fn gap(way: &OneWay) -> String {
    way.reorder_gap.map(|gap| format!(" gap {gap}")).unwrap_or_default()
}

fn shown(probability: &ProbabilityArg) -> String {
    match &probability.0 {
        Ok(probability) => probability.to_string(),
        Err(error) => error.to_string(),
    }
}
