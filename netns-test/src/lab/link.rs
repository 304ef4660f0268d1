//! A link of a running lab.

use std::sync::Arc;

use super::build::{label, routes_of};
use super::running::Fabric;
use crate::error::Result;
use crate::netlink::requests;

/// A link of a [`Lab`](super::Lab): a cable with its two ends.
#[derive(Debug)]
pub struct Link {
    fabric: Arc<Fabric>,
    at: usize,
}

impl Link {
    pub(super) fn new(fabric: Arc<Fabric>, at: usize) -> Self {
        Self { fabric, at }
    }

    /// The name of the link, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.fabric.plan.links()[self.at].name.as_deref()
    }

    /// Takes both ends down, as `ip link set down` does: nothing passes, and neither node has a
    /// route through it. Addresses stay; link-local ones go.
    ///
    /// # Errors
    ///
    /// ENODEV where somebody has deleted it; where a node at one of its ends is powered off.
    pub fn down(&self) -> Result<()> {
        self.set_up(false)
    }

    /// Brings both ends up, with the routes that the plan has through them, and waits until packets
    /// pass. An end that has been moved gets no routes.
    ///
    /// # Errors
    ///
    /// As [`down`](Self::down).
    pub fn up(&self) -> Result<()> {
        self.set_up(true)?;
        let Fabric { plan, hosts, indexes, cables, .. } = &*self.fabric;
        let ends = cables.ends(self.at);
        for end in ends.iter().filter(|end| end.planned.is_some()) {
            let routes = routes_of(plan, end.node, indexes, |route| route.dev == end.name);
            hosts[end.node].here()?.netlink.ask_all(&routes)?;
        }
        ends.iter().try_for_each(|end| self.fabric.wait_on(end))
    }

    fn set_up(&self, up: bool) -> Result<()> {
        let Fabric { plan, hosts, cables, .. } = &*self.fabric;
        let ends = cables.ends(self.at);
        // Both or none.
        let here = [hosts[ends[0].node].here()?, hosts[ends[1].node].here()?];
        for (end, here) in ends.iter().zip(here) {
            let request = requests::set_up(label(plan, self.at), end.index, up, None);
            here.netlink.ask_all(&[request])?;
        }
        Ok(())
    }
}
