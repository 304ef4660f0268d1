//! Where the ends of the links are: where the plan has them, until one is moved.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::build::Indexes;
use super::plan::Plan;

/// The two ends of each link, in the order of declaration. Held while ends are moved, and while nodes
/// are powered off or on.
#[derive(Debug)]
pub(super) struct Cables(Mutex<Vec<[End; 2]>>);

/// One end of a link.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The place of its node.
    pub(super) node: usize,
    pub(super) index: u32,
    pub(super) name: String,
    /// Its place among the interfaces of the node, for one that has never been moved.
    pub(super) planned: Option<usize>,
}

impl Cables {
    pub(super) fn new(plan: &Plan, indexes: &Indexes) -> Self {
        Self(Mutex::new(planned(plan, indexes)))
    }

    /// Takes over the links and places of an extended plan.
    pub(super) fn grow(&self, plan: &Plan, indexes: &Indexes) {
        let mut all = self.lock();
        let count = all.len();
        let planned = planned(plan, indexes);
        for (ends, planned) in all.iter_mut().zip(&planned) {
            for (end, planned) in ends.iter_mut().zip(planned) {
                end.planned = end.planned.and(planned.planned);
            }
        }
        all.extend(planned.into_iter().skip(count));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<[End; 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the ends of a link are now.
    pub(super) fn ends(&self, link: usize) -> [End; 2] {
        self.lock()[link].clone()
    }
}

/// The ends where the plan has them.
fn planned(plan: &Plan, indexes: &Indexes) -> Vec<[End; 2]> {
    let end = |place: &super::plan::Place| End {
        node: place.node,
        index: indexes.at(place.node, place.interface),
        name: plan.interface(*place).name.clone(),
        planned: Some(place.interface),
    };
    plan.links().iter().map(|link| link.ends.each_ref().map(end)).collect()
}
