//! Carrier of links through the hub: an inner end is up as long as the outer end on the other side
//! is. So an end of a link has carrier if both ends are up, as that of a veth pair has.
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

/// End of a link: position of the link, and 0 or 1.
type Place = (usize, usize);

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
    links: Vec<Option<[bool; 2]>>,
    /// The first failure that nobody could be told.
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
        state.links.extend(new.map(|link| link.impairments.is_some().then_some([true; 2])));
        state.nodes = nodes.to_vec();
    }

    /// Returns whether a link through the hub has an end at a node.
    pub(crate) fn is_at(&self, links: &[[End; 2]], node: usize) -> bool {
        places_at(&lock(&self.state).links, links, node).next().is_some()
    }

    /// Passes the state of one end of a link on.
    pub(crate) fn end(&self, links: &[[End; 2]], (at, side): Place) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        if state.links.get(at).is_none_or(Option::is_none) {
            return Ok(());
        }
        let end = &links[at][side];
        let found = match state.nodes[end.node].here() {
            Ok(here) => outer(here.netlink.interface(end.index)?.as_ref()),
            Err(_) => Outer::Down,
        };
        self.pass_on(&mut state.links[at], (at, side), found)
    }

    /// Passes the states of all ends of links at a node on.
    pub(crate) fn node(&self, links: &[[End; 2]], node: usize) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        let places: Vec<Place> = places_at(&state.links, links, node).collect();
        if places.is_empty() {
            return Ok(());
        }
        // While it is off, its ends are down.
        let here = state.nodes[node].here().ok();
        let there = here.map(|here| here.netlink.interfaces()).transpose()?;
        places.into_iter().try_for_each(|(at, side)| {
            let index = links[at][side].index;
            let found = there
                .as_ref()
                .map_or(Outer::Down, |there| outer(there.iter().find(|one| one.index == index)));
            self.pass_on(&mut state.links[at], (at, side), found)
        })
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

    fn pass_on(
        &self,
        link: &mut Option<[bool; 2]>,
        (at, side): Place,
        outer: Outer,
    ) -> Result<(), Failure> {
        let Some(are_up) = link else { return Ok(()) };
        let far = 1 - side;
        match outer {
            Outer::Gone if self.network.has((at, side))? => {}
            Outer::Gone => {
                // As with a veth pair, the other end goes, too.
                self.network.delete((at, far))?;
                *link = None;
            }
            Outer::Up | Outer::Down => {
                let is_up = outer == Outer::Up;
                if are_up[far] != is_up && self.network.set((at, far), is_up)? {
                    are_up[far] = is_up;
                }
            }
        }
        Ok(())
    }
}

fn places_at<'a>(
    known: &'a [Option<[bool; 2]>],
    links: &'a [[End; 2]],
    node: usize,
) -> impl Iterator<Item = Place> + 'a {
    let known = known.iter().zip(links).enumerate().filter(|(_, (known, _))| known.is_some());
    let all = known.flat_map(|(at, (_, ends))| [(at, 0, &ends[0]), (at, 1, &ends[1])]);
    all.filter(move |(_, _, end)| end.node == node).map(|(at, side, _)| (at, side))
}

fn outer(found: Option<&Interface>) -> Outer {
    match found {
        Some(one) if one.is_up => Outer::Up,
        Some(_) => Outer::Down,
        None => Outer::Gone,
    }
}
