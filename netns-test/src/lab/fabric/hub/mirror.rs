//! Carrier of links through the hub: both inner ends are up as long as both outer ends are. So an
//! end of a link has carrier if both ends are up, as that of a veth pair has.
//!
//! The carrier of the inner ends themselves does not say that: while both are down, neither shows
//! that its outer end comes up. So the outer ends are read, in the networks of the nodes.

use std::sync::{Arc, Mutex};

use crate::error::Failure;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::hub::network::HubNetwork;
use crate::lab::fabric::node::LiveNode;
use crate::lab::plan::Plan;
use crate::netlink::link::Interface;
use crate::sys::lock::lock;

/// The inner ends, and the nodes of the lab. Callers hold the lock of the lab's links.
#[derive(Debug)]
pub(crate) struct Mirror {
    network: Arc<HubNetwork>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Arc<LiveNode>>,
    /// By link, whether its inner ends are up. None for a direct veth pair, and for a link that was
    /// deleted.
    links: Vec<Option<bool>>,
    /// The first failure that no caller could get.
    trouble: Option<String>,
}

/// State of an outer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outer {
    Up,
    Down,
    /// A program has deleted it, or has moved it to another network.
    Gone,
}

impl Mirror {
    pub(crate) fn new(network: Arc<HubNetwork>) -> Self {
        Self { network, state: Mutex::default() }
    }

    pub(crate) fn network(&self) -> &HubNetwork {
        &self.network
    }

    /// Takes over the nodes and the new links of a plan. The inner ends of these are up.
    pub(crate) fn grow(&self, plan: &Plan, nodes: &[Arc<LiveNode>]) {
        let mut state = lock(&self.state);
        let known = state.links.len();
        let new = plan.links().iter().skip(known);
        state.links.extend(new.map(|link| link.impairments.is_some().then_some(true)));
        state.nodes = nodes.to_vec();
    }

    /// Returns whether a link through the hub has an end at a node.
    pub(crate) fn is_at(&self, links: &[[End; 2]], node: usize) -> bool {
        let state = lock(&self.state);
        let mut known = state.links.iter().zip(links).filter(|(known, _)| known.is_some());
        known.any(|(_, ends)| ends.iter().any(|end| end.node == node))
    }

    /// Passes the states of the ends of a link on.
    pub(crate) fn link(&self, links: &[[End; 2]], at: usize) -> Result<(), Failure> {
        self.pass_on(&mut lock(&self.state), links, at)
    }

    /// Passes the states of the ends of all links on that `is_meant` accepts.
    pub(crate) fn links(
        &self,
        links: &[[End; 2]],
        is_meant: impl Fn(&[End; 2]) -> bool,
    ) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        let mut meant = (0..links.len()).filter(|at| is_meant(&links[*at]));
        meant.try_for_each(|at| self.pass_on(&mut state, links, at))
    }

    /// Keeps a failure until the end of the lab.
    pub(crate) fn note(&self, failure: &Failure) {
        let text = || format!("carrier of links: {failure}");
        lock(&self.state).trouble.get_or_insert_with(text);
    }

    /// Takes the failure that was kept.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.state).trouble.take()
    }

    fn pass_on(&self, state: &mut State, links: &[[End; 2]], at: usize) -> Result<(), Failure> {
        let Some(Some(are_up)) = state.links.get(at) else { return Ok(()) };
        let (mut should, mut is_deleted) = (true, false);
        for (side, end) in links[at].iter().enumerate() {
            let found = match state.nodes[end.node].here() {
                Ok(here) => outer(here.netlink.interface(end.index)?.as_ref()),
                // While a node is off, its ends are down.
                Err(_) => Outer::Down,
            };
            match found {
                Outer::Up => {}
                Outer::Down => should = false,
                // In a network that is not the lab's it may be up.
                Outer::Gone => is_deleted |= !self.network.has((at, side))?,
            }
        }
        if is_deleted {
            // As with a veth pair, the other end goes, too.
            state.links[at] = None;
            return [0, 1].into_iter().try_for_each(|side| self.network.delete((at, side)));
        }
        if *are_up != should {
            self.network.set(at, should)?;
            state.links[at] = Some(should);
        }
        Ok(())
    }
}

fn outer(found: Option<&Interface>) -> Outer {
    match found {
        Some(one) if one.is_up => Outer::Up,
        Some(_) => Outer::Down,
        None => Outer::Gone,
    }
}
