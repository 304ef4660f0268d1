//! From declared impairments to numbers: defaults, and mistakes with advice. Pure.

use std::time::Duration;

use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::impairment::{
    ImpairmentPlan, LossPlan, QueueLimit, RatePlan, ReorderPlan, queue,
};
use crate::lab::topology::Topology;
use crate::lab::topology::impairment::model::{LinkImpairments, Loss, OneWay};
use crate::lab::topology::quantity::{Probability, ProbabilityArg};

/// Longest delay: more than any test waits, and short enough for sums of times.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Returns the impairments of a link, or `None` if it is a direct veth pair. Reports mistakes.
pub(crate) fn link(
    topology: &Topology,
    index: usize,
    mtu: u32,
    errors: &mut Vec<TopologyError>,
) -> Option<[ImpairmentPlan; 2]> {
    let link = &topology.links[index];
    let LinkImpairments { from, is_impairable, is_captured, has_no_offloads: _, strays } =
        &link.impairments;
    let label = topology.link_label(index);
    for stray in strays {
        let place = format!("impair_from of {label}");
        errors.push(match stray.map(|node| &topology.nodes[node].name) {
            Some(name) => {
                let why = format!("`{name}` is at neither end; name the node at one");
                TopologyError::BadImpairment { place, why }
            }
            None => TopologyError::UnknownNode { place },
        });
    }
    let is_direct = !is_impairable && !is_captured && !topology.is_impairable;
    if *from == [None, None] && is_direct {
        return None;
    }
    let ways = from.each_ref().map(|way| way.as_ref());
    let mut report = |end: Option<usize>, mistakes: Vec<String>| {
        let name = end.and_then(|end| link.ends[end].node).map(|node| &topology.nodes[node].name);
        let from = name.map(|name| format!(", from {name}")).unwrap_or_default();
        let place = format!("impairment of {label}{from}");
        let error = |why| TopologyError::BadImpairment { place: place.clone(), why };
        errors.extend(mistakes.into_iter().map(error));
        ImpairmentPlan::default()
    };
    let plan =
        |way: Option<&OneWay>| way.map_or_else(|| Ok(Default::default()), |way| planned(way, mtu));
    if ways[0] == ways[1] {
        let both = plan(ways[0]).unwrap_or_else(|mistakes| report(None, mistakes));
        return Some([both.clone(), both]);
    }
    Some([0, 1].map(|end| plan(ways[end]).unwrap_or_else(|mistakes| report(Some(end), mistakes))))
}

/// Returns the numbers of one direction of a link with this MTU.
///
/// # Errors
///
/// All mistakes, each as a reason with advice.
pub(crate) fn planned(way: &OneWay, mtu: u32) -> Result<ImpairmentPlan, Vec<String>> {
    let OneWay {
        loss: _,
        loss_unit,
        shares_bursts: _,
        includes_neighbours,
        corrupt,
        duplicate,
        rate: _,
        burst: _,
        overhead: _,
        queue: _,
        mark_above: _,
        drops_ect,
        delay,
        jitter,
        reorder: _,
        reorder_gap: _,
    } = way;
    let mut mistakes = Mistakes::default();
    let plan = ImpairmentPlan {
        loss: loss(way, &mut mistakes),
        loss_unit: *loss_unit,
        includes_neighbours: *includes_neighbours,
        corrupt: mistakes.probability("corruption", corrupt),
        duplicate: mistakes.probability("duplication", duplicate),
        rate: rate(way, mtu, &mut mistakes),
        drops_ect: *drops_ect,
        delay: *delay,
        jitter: *jitter,
        reorder: reorder(way, &mut mistakes),
    };
    delays(way, &mut mistakes);
    if mistakes.0.is_empty() { Ok(plan) } else { Err(mistakes.0) }
}

/// Mistakes of one direction.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn add(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    fn probability(&mut self, what: &str, given: &ProbabilityArg) -> Probability {
        match &given.0 {
            Ok(probability) => *probability,
            Err(error) => {
                self.add(format!("{what}: {error}"));
                Probability::NEVER
            }
        }
    }
}

fn loss(way: &OneWay, mistakes: &mut Mistakes) -> LossPlan {
    let is_shared = way.shares_bursts;
    if is_shared && !matches!(way.loss, Loss::Bursts { .. } | Loss::GilbertElliott(_)) {
        mistakes.add(
            "`share_bursts` without bursts means nothing; set `loss_in_bursts` or \
             `loss_gilbert_elliott`, or remove it",
        );
    }
    match &way.loss {
        Loss::None => LossPlan::None,
        Loss::Independent(given) => match mistakes.probability("loss", given) {
            Probability::NEVER => LossPlan::None,
            probability => LossPlan::Independent(probability),
        },
        Loss::Bursts { loss, length } => bursts(loss, length.0, is_shared, mistakes),
        Loss::GilbertElliott(given) => {
            let before = mistakes.0.len();
            let names = ["p of the loss", "r of the loss", "bad of the loss", "good of the loss"];
            let mut given = names.into_iter().zip(given);
            let [p, r, bad, good] = [(); 4].map(|()| {
                given
                    .next()
                    .map_or(Probability::NEVER, |(name, one)| mistakes.probability(name, one))
            });
            let never = Probability::NEVER;
            if mistakes.0.len() == before && good == never && (p == never || bad == never) {
                mistakes.add("the chain of the loss loses nothing; raise p and `bad`, or `good`");
            }
            LossPlan::GilbertElliott { p, r, bad, good, is_shared }
        }
        Loss::Pattern(given) => match &given.0 {
            Ok(pattern) => {
                if !pattern.contains(&true) {
                    mistakes.add("the pattern of the loss loses nothing; write an `x` in it");
                }
                LossPlan::Pattern(pattern.clone())
            }
            Err(error) => {
                mistakes.add(format!("pattern of the loss: {error}"));
                LossPlan::None
            }
        },
    }
}

/// Returns the chain that loses all packets of its bad state, from the average of its losses and
/// the mean length of a burst.
fn bursts(
    average: &ProbabilityArg,
    length: f64,
    is_shared: bool,
    mistakes: &mut Mistakes,
) -> LossPlan {
    let loss = mistakes.probability("loss", average);
    if !length.is_finite() || length < 1.0 {
        mistakes.add(format!("bursts of {length} packets: the mean is at least 1; raise it"));
        return LossPlan::None;
    }
    if loss == Probability::NEVER {
        return LossPlan::None;
    }
    // The share of time in the bad state is p / (p + r), and a stay in it is 1 / r long.
    let (fraction, r) = (loss.fraction(), 1.0 / length);
    let p = fraction * r / (1.0 - fraction);
    match (Probability::new(p), Probability::new(r)) {
        (Ok(p), Ok(r)) => {
            let (bad, good) = (Probability::ALWAYS, Probability::NEVER);
            LossPlan::GilbertElliott { p, r, bad, good, is_shared }
        }
        _ => {
            mistakes.add(format!(
                "a loss of {loss} in bursts of {length}: such bursts follow each other without a \
                 packet between; make them longer, or use `loss`"
            ));
            LossPlan::None
        }
    }
}

fn rate(way: &OneWay, mtu: u32, mistakes: &mut Mistakes) -> Option<RatePlan> {
    let Some(given) = &way.rate else {
        let needless = [
            ("burst_bytes", way.burst.is_some()),
            ("overhead", way.overhead.is_some()),
            ("a limit of the queue", way.queue.is_some()),
            ("ecn_mark_above", way.mark_above.is_some()),
        ];
        for (what, _) in needless.into_iter().filter(|(_, is_set)| *is_set) {
            mistakes.add(format!("{what} without a rate means nothing; set `rate`, or remove it"));
        }
        return None;
    };
    let bits_per_second = match &given.0 {
        Ok(0) => {
            mistakes
                .add("a rate of 0 lets nothing pass; use `loss(\"100%\")`, or `down` of the link");
            return None;
        }
        Ok(bits) => *bits,
        Err(error) => {
            mistakes.add(format!("rate: {error}"));
            return None;
        }
    };
    let overhead = way.overhead.unwrap_or(0);
    if !queue::OVERHEADS.contains(&overhead) {
        let (least, most) = (queue::OVERHEADS.start(), queue::OVERHEADS.end());
        mistakes
            .add(format!("an overhead of {overhead} bytes is not in {least} to {most}; change it"));
    }
    let full = queue::full_frame(mtu, overhead);
    let burst = way.burst.unwrap_or(full);
    if burst < full {
        mistakes.add(format!(
            "a burst of {burst} bytes is less than a full frame of {full}, which would never pass; \
             raise it"
        ));
    }
    let limit = way.queue.unwrap_or_else(|| queue::default(bits_per_second, way.delay, full));
    match limit {
        QueueLimit::Bytes(bytes) if bytes < full => mistakes.add(format!(
            "a queue of {bytes} bytes has no room for a full frame of {full}; raise it"
        )),
        QueueLimit::Bytes(bytes) if way.mark_above.is_some_and(|mark| mark >= bytes) => {
            let mark = way.mark_above.unwrap_or_default();
            mistakes.add(format!(
                "`ecn_mark_above` {mark} bytes is never reached in a queue of {bytes}; lower it, \
                 or set a longer queue"
            ));
        }
        QueueLimit::Packets(0) => mistakes.add("a queue of 0 packets lets nothing pass; raise it"),
        _ => {}
    }
    let mark_above = way.mark_above;
    Some(RatePlan { bits_per_second, burst, overhead, queue: limit, mark_above })
}

fn delays(way: &OneWay, mistakes: &mut Mistakes) {
    let (delay, jitter) = (way.delay, way.jitter);
    if delay > LONGEST_DELAY {
        mistakes.add(format!("a delay of {delay:?} is over one hour; lower it"));
    }
    if delay.is_zero() && !jitter.is_zero() {
        mistakes.add(format!("a jitter of {jitter:?} without a delay means nothing; set `delay`"));
    } else if jitter > delay {
        mistakes.add(format!(
            "a jitter of {jitter:?} is more than the delay of {delay:?}, which would be negative; \
             lower it"
        ));
    }
}

fn reorder(way: &OneWay, mistakes: &mut Mistakes) -> Option<ReorderPlan> {
    let Some(given) = &way.reorder else {
        if way.reorder_gap.is_some() {
            mistakes
                .add("`reorder_gap` without `reorder` means nothing; set `reorder`, or remove it");
        }
        return None;
    };
    let probability = mistakes.probability("reordering", given);
    let gap = way.reorder_gap.unwrap_or(1);
    if gap == 0 {
        mistakes.add("a `reorder_gap` of 0 means nothing; 1 makes each packet a candidate");
    }
    if way.delay.is_zero() {
        mistakes.add("reordering without a delay means nothing: no packet waits; set `delay`");
    }
    (probability != Probability::NEVER).then_some(ReorderPlan { probability, gap })
}
