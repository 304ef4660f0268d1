//! What a direction of a link holds, and what lets it go. Pure.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::lab::impair::emulated::item::Item;
use crate::lab::impair::frame::Frame;

/// Most bytes of frames that are held. More are dropped, as by a full queue.
const MOST: usize = 64 << 20;

/// A hold of the packets between two groups of nodes, in one direction of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Number of the hold, the same in all links.
    pub(crate) number: u64,
    /// Addresses of the nodes whose packets wait.
    pub(crate) from: Vec<IpAddr>,
    /// Addresses of the nodes for which they wait.
    pub(crate) to: Vec<IpAddr>,
    /// Whether all packets of the link are for these nodes, also those to groups and to all.
    pub(crate) is_last: bool,
}

/// Frames that are held.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whether each frame is to be held.
    pub(super) is_all: bool,
    pub(super) holds: Vec<Hold>,
    /// The frames, in their order; true for one that a rule holds.
    frames: VecDeque<(Item<'static>, bool)>,
    bytes: usize,
}

impl Hold {
    /// Returns whether a frame is to wait. ARP and neighbour discovery pass: without an answer, the
    /// sender would drop the packets itself.
    fn takes(&self, frame: &Frame<'_>) -> bool {
        let Some(ip) = frame.ip.filter(|_| frame.neighbour.is_none()) else { return false };
        // The lowest bit of the first byte of an Ethernet address is that of groups.
        let is_to_several = frame.bytes.first().is_some_and(|byte| byte & 1 == 1);
        let is_meant = self.to.contains(&ip.destination) || self.is_last && is_to_several;
        is_meant && self.from.contains(&ip.source)
    }
}

impl Held {
    /// Returns whether a frame is to be held.
    pub(super) fn takes(&self, item: &Item<'_>) -> bool {
        self.is_all || !self.holds.is_empty() && self.is_in_hold(item)
    }

    fn is_in_hold(&self, item: &Item<'_>) -> bool {
        let frame = Frame::parse(&item.bytes);
        self.holds.iter().any(|hold| hold.takes(&frame))
    }

    /// Returns whether there is room for a frame.
    pub(super) fn has_room(&self, item: &Item<'_>) -> bool {
        self.bytes + item.bytes.len() <= MOST
    }

    /// Holds a frame.
    pub(super) fn keep(&mut self, item: Item<'_>, is_by_rule: bool) {
        self.bytes += item.bytes.len();
        self.frames.push_back((item.into_owned(), is_by_rule));
    }

    /// Takes the frames that nothing holds any more, in their order: with `with_rules` also those
    /// that rules have held.
    pub(super) fn let_go(&mut self, with_rules: bool) -> Vec<Item<'static>> {
        let (mut free, mut kept) = (Vec::new(), VecDeque::new());
        for (item, is_by_rule) in std::mem::take(&mut self.frames) {
            if is_by_rule && !with_rules || self.takes(&item) {
                kept.push_back((item, is_by_rule));
            } else {
                self.bytes -= item.bytes.len();
                free.push(item);
            }
        }
        self.frames = kept;
        free
    }
}
