//! Texts of impairments. Pure.

use std::fmt;

use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan, LossUnit, RatePlan, ReorderPlan};
use crate::lab::plan::{LinkPlan, Plan};
use crate::lab::topology::impairment::text::{delay, lines, pattern, queue};
use crate::lab::topology::quantity::{Probability, rate_text};

/// Writes the numbers, in the order of the stages; `unimpaired` if there are none.
impl fmt::Display for ImpairmentPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loss,
            loss_unit,
            includes_neighbours,
            corrupt,
            duplicate,
            rate,
            drops_ect,
            delay: every,
            jitter,
            reorder,
        } = self;
        let mut words: Vec<String> = lost(loss, *loss_unit).into_iter().collect();
        words.extend(includes_neighbours.then(|| "with neighbours".to_owned()));
        let random = [("corrupt", corrupt), ("duplicate", duplicate)];
        let is_set = |(_, p): &(&str, &Probability)| **p != Probability::NEVER;
        words.extend(random.into_iter().filter(is_set).map(|(what, p)| format!("{what} {p}")));
        words.extend(drops_ect.then(|| "drop ect".to_owned()));
        words.extend(rate.iter().flat_map(rate_words));
        words.extend(delay(*every, *jitter));
        words.extend(reorder.as_ref().map(|ReorderPlan { probability, gap }| match gap {
            1 => format!("reorder {probability}"),
            gap => format!("reorder {probability} gap {gap}"),
        }));
        let text = if words.is_empty() { "unimpaired".to_owned() } else { words.join(", ") };
        f.write_str(&text)
    }
}

impl Plan {
    /// Returns the impairments of a link, a line for each direction that differs.
    pub(crate) fn impairment_lines(&self, link: &LinkPlan) -> Vec<String> {
        let LinkPlan { name: _, ends, segment: _, impairments, is_captured, offloads } = link;
        let ends = ends.map(|end| self.nodes[end.node].name.as_str());
        let text = |one: &ImpairmentPlan| (!one.is_perfect()).then(|| one.to_string());
        let texts = impairments.as_ref().map(|both| both.each_ref().map(text));
        let is_impairable = impairments.is_some() && !is_captured;
        lines(texts.unwrap_or_default(), is_impairable, [*is_captured, !offloads], ends)
    }
}

fn lost(loss: &LossPlan, unit: LossUnit) -> Option<String> {
    let text = match loss {
        LossPlan::None => return None,
        LossPlan::Independent(p) => format!("loss {p}"),
        LossPlan::GilbertElliott { p, r, bad, good, is_shared } => {
            let shared = if *is_shared { " shared bursts" } else { "" };
            format!("loss gemodel {p} {r} {bad} {good}{shared}")
        }
        LossPlan::Pattern(given) => format!("loss pattern {}", pattern(given)),
    };
    Some(if unit == LossUnit::Segment { text + " by segment" } else { text })
}

fn rate_words(rate: &RatePlan) -> Vec<String> {
    let RatePlan { bits_per_second, burst, overhead, queue: limit, mark_above } = rate;
    let mut words = vec![
        format!("rate {}", rate_text(*bits_per_second)),
        format!("burst {burst} bytes"),
        queue(*limit),
    ];
    words.extend((*overhead != 0).then(|| format!("overhead {overhead} bytes")));
    words.extend(mark_above.map(|bytes| format!("mark above {bytes} bytes")));
    words
}
