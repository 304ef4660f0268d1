//! The ends of links: where the plan has them, until one is moved.

use std::sync::{Mutex, MutexGuard};

use crate::addr::cidr::Cidr;
use crate::lab::plan::ifindex::Indexes;
use crate::lab::plan::{InterfaceKind, Plan};
use crate::sys::lock::lock;

/// Ends of each link, in the order of declaration. Locked while ends are moved, and while nodes are
/// powered off or on.
#[derive(Debug)]
pub(crate) struct LinkEnds(Mutex<Vec<[End; 2]>>);

/// End of a link.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Position of the node in the plan.
    pub(crate) node: usize,
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Position among the planned interfaces of the node; none if the end has been moved.
    pub(crate) planned: Option<usize>,
    /// Addresses that a move of the link has assigned, of the segment that the end is on since.
    /// None if it has those of before.
    pub(crate) given: Option<Vec<Cidr>>,
}

impl LinkEnds {
    pub(crate) fn new(plan: &Plan, indexes: &Indexes) -> Self {
        Self(Mutex::new(planned(plan, indexes)))
    }

    /// Takes over the links and positions of an extended plan.
    pub(crate) fn grow(&self, plan: &Plan, indexes: &Indexes) {
        let grown = self.grown(plan, indexes);
        *self.lock() = grown;
    }

    /// Returns the ends of the links of an extended plan.
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

    /// Returns the ends of a link.
    pub(crate) fn ends(&self, link: usize) -> [End; 2] {
        self.lock()[link].clone()
    }
}

/// Returns the links of the broadcast domain of a link, the nearest first, with the link itself.
pub(crate) fn joined(plan: &Plan, links: &[[End; 2]], link: usize) -> Vec<usize> {
    let is_switch = |node: usize| {
        let first = plan.nodes()[node].interfaces.first();
        first.is_some_and(|one| matches!(one.kind, InterfaceKind::Bridge { .. }))
    };
    let mut found = vec![link];
    let mut next = 0;
    while let Some(&at) = found.get(next) {
        next += 1;
        for node in links[at].iter().map(|end| end.node).filter(|node| is_switch(*node)) {
            let beside = links.iter().enumerate();
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

/// Returns the ends as planned.
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
