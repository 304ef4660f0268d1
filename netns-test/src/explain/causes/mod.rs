//! The table of causes: each family of rules looks at the scene of a failure. Pure.
//!
//! Near misses are the tests beside each rule: facts that look alike, of which it must not say the
//! same.

pub(crate) mod closed;
pub(crate) mod earlier;
pub(crate) mod filters;
pub(crate) mod names;
pub(crate) mod neighbours;
pub(crate) mod ports;
pub(crate) mod queues;
pub(crate) mod refused;
pub(crate) mod rules;
pub(crate) mod size;
pub(crate) mod waits;
pub(crate) mod way;

use crate::evidence::ending::Ending;
use crate::evidence::facts::Facts;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::Scene;
use crate::explain::target::{self, Target, targets};
use crate::explain::trouble::{REFUSED, RESET, Source, Trouble, number};

/// Most causes of a failure.
const MOST: usize = 4;

/// A family of rules.
type Family = fn(&Scene<'_>, &[Target<'_>]) -> Vec<Cause>;

/// The families, in the order of how much their causes say.
const FAMILIES: [Family; 13] = [
    refused::causes,
    ports::causes,
    names::causes,
    way::causes,
    way::losses::causes,
    queues::causes,
    closed::causes,
    size::causes,
    filters::causes,
    neighbours::causes,
    waits::causes,
    rules::causes,
    earlier::causes,
];

/// Proof that may be missing.
const CUT: &str = "not all of the state was read in time: what is not listed may be there";

/// Returns the causes of a failure, the best first.
pub(crate) fn causes(ending: &Ending, facts: &Facts) -> Vec<Cause> {
    let scene = Scene::of_end(ending, facts);
    let mut found = Vec::new();
    // What came later may follow from the first panic.
    if let Some((first, position)) = earlier::first_panic(&scene) {
        found.push(first);
        found.extend(of(Scene::of_panic(ending, facts, position)));
    }
    let last_resort = waits::last_resort(&scene);
    found.extend(of(scene));
    if found.is_empty() {
        found.extend(last_resort);
    }
    found.sort_by_key(|cause| cause.certainty);
    let mut texts = Vec::new();
    found.retain(|cause| {
        let is_new = !texts.contains(&cause.text);
        texts.push(cause.text.clone());
        is_new
    });
    found.truncate(MOST);
    found
}

fn of(mut scene: Scene<'_>) -> Vec<Cause> {
    // Words of the test are about the network only if its recorders say so, too.
    if scene.source == Source::Words && !target::is_recorded(&scene) {
        scene.trouble = Trouble::Other;
    }
    let targets = targets(&scene);
    let found = FAMILIES.iter().flat_map(|family| family(&scene, &targets));
    let is_sure = may_be_certain(&scene) && !scene.is_cut;
    let most = if is_sure { Certainty::Certain } else { Certainty::Likely };
    let found = found.map(|cause| Cause { certainty: cause.certainty.max(most), ..cause });
    match scene.is_cut {
        true => found.map(|cause| cause.shown_by(CUT)).collect(),
        false => found.collect(),
    }
}

/// Returns whether the message is that of a failed operation of the kernel, as far as it shows. The
/// text of an assertion, or of an error that a program has made, is about anything.
fn may_be_certain(scene: &Scene<'_>) -> bool {
    let is_made_up = ["Custom {", "assertion `", "assertion failed"];
    match scene.trouble {
        Trouble::TimeLimit | Trouble::Other => true,
        _ if scene.source != Source::Error => false,
        _ if is_made_up.iter().any(|text| scene.message.contains(text)) => false,
        Trouble::Refused => number(scene.message) == Some(REFUSED),
        // Of EPIPE, a UNIX socket may be the one.
        Trouble::Reset => number(scene.message) == Some(RESET),
        _ => true,
    }
}
