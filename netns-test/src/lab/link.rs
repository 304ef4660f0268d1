//! A link of a running lab.

use std::sync::Arc;

use super::build::{label, ready, routes_of};
use super::plan::Place;
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
    /// ENODEV where somebody has deleted it.
    pub fn down(&self) -> Result<()> {
        self.set_up(false)
    }

    /// Brings both ends up, with the routes that the plan has through them, and waits until packets
    /// pass.
    ///
    /// # Errors
    ///
    /// As [`down`](Self::down).
    pub fn up(&self) -> Result<()> {
        self.set_up(true)?;
        let Fabric { plan, hosts, indexes, .. } = &*self.fabric;
        for end in self.ends() {
            let dev = &plan.interface(end).name;
            let routes = routes_of(plan, end.node, indexes, |route| route.dev == *dev);
            hosts[end.node].netlink().ask_all(&routes)?;
        }
        ready::wait_for(plan, hosts, indexes, &self.ends())
    }

    fn set_up(&self, up: bool) -> Result<()> {
        for end in self.ends() {
            let Fabric { plan, hosts, indexes, .. } = &*self.fabric;
            let index = indexes.at(end.node, end.interface);
            let request = requests::set_up(label(plan, self.at), index, up, None);
            hosts[end.node].netlink().ask_all(&[request])?;
        }
        Ok(())
    }

    fn ends(&self) -> [Place; 2] {
        self.fabric.plan.links()[self.at].ends
    }
}
