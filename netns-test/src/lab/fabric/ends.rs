//! Where the ends of the links are: where the plan has them, until one is moved.

use std::sync::{Mutex, MutexGuard};

use crate::addr::cidr::Cidr;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::{InterfaceKind, Plan};
use crate::sys::lock::lock;

/// The two ends of each link, in the order of declaration. Held while ends are moved, and while nodes
/// are powered off or on.
#[derive(Debug)]
pub(crate) struct Cables(Mutex<Vec<[End; 2]>>);

/// One end of a link.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The place of its node.
    pub(crate) node: usize,
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Its place among the interfaces of the node, for one that has never been moved.
    pub(crate) planned: Option<usize>,
    /// The addresses that a move of its link has given it, of the segment that it is on since; none where
    /// it has those of before.
    pub(crate) given: Option<Vec<Cidr>>,
}

impl Cables {
    pub(crate) fn new(plan: &Plan, indexes: &Indexes) -> Self {
        Self(Mutex::new(planned(plan, indexes)))
    }

    /// Takes over the links and places of an extended plan.
    pub(crate) fn grow(&self, plan: &Plan, indexes: &Indexes) {
        let grown = self.grown(plan, indexes);
        *self.lock() = grown;
    }

    /// Where the ends of the links of an extended plan are.
    pub(crate) fn grown(&self, plan: &Plan, indexes: &Indexes) -> Vec<[End; 2]> {
        let mut all = self.lock().clone();
        let count = all.len();
        let planned = planned(plan, indexes);
        for (ends, planned) in all.iter_mut().zip(&planned) {
            for (end, planned) in ends.iter_mut().zip(planned) {
                end.planned = end.planned.and(planned.planned);
            }
        }
        all.extend(planned.into_iter().skip(count));
        all
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<[End; 2]>> {
        lock(&self.0)
    }

    /// Where the ends of a link are now.
    pub(crate) fn ends(&self, link: usize) -> [End; 2] {
        self.lock()[link].clone()
    }
}

/// The links that switches join with one, the nearest first, with that one itself.
pub(crate) fn joined(plan: &Plan, cables: &[[End; 2]], link: usize) -> Vec<usize> {
    let is_switch = |node: usize| {
        let first = plan.nodes()[node].interfaces.first();
        first.is_some_and(|one| matches!(one.kind, InterfaceKind::Bridge { .. }))
    };
    let mut found = vec![link];
    let mut next = 0;
    while let Some(&at) = found.get(next) {
        next += 1;
        for node in cables[at].iter().map(|end| end.node).filter(|node| is_switch(*node)) {
            let beside = cables.iter().enumerate();
            let beside = beside.filter(|(_, ends)| ends.iter().any(|end| end.node == node));
            for (other, _) in beside {
                if !found.contains(&other) {
                    found.push(other);
                }
            }
        }
    }
    found
}

/// The ends where the plan has them.
fn planned(plan: &Plan, indexes: &Indexes) -> Vec<[End; 2]> {
    let end = |place: &crate::lab::plan::InterfaceRef| End {
        node: place.node,
        index: indexes.at(place.node, place.interface),
        name: plan.interface(*place).name.clone(),
        planned: Some(place.interface),
        given: None,
    };
    plan.links().iter().map(|link| link.ends.each_ref().map(end)).collect()
}
