//! The engine, with its stand-in for the model, and beside it the model that is changed.

use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use crate::error::Result;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::engine;
use crate::lab::impair::engine::Slot;
use crate::lab::impair::passage::{Departure, Nanos};
use crate::sys::lock::lock;

#[derive(Debug)]
pub(crate) struct Engine {
    real: engine::Engine,
    links: Mutex<Vec<EmulatedLink>>,
}

#[derive(Debug)]
pub(crate) struct LinkPorts {
    pub(crate) indexes: [u32; 2],
    pub(crate) link: EmulatedLink,
}

impl Engine {
    pub(crate) fn start(hub: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { real: engine::Engine::start(hub)?, links: Mutex::default() })
    }

    pub(crate) fn add(&self, ports: LinkPorts) -> Result<Slot> {
        let LinkPorts { indexes, link } = ports;
        lock(&self.links).push(link);
        self.real.add(engine::LinkPorts { indexes, link: Default::default() })
    }

    pub(crate) fn with<T>(
        &self,
        slot: Slot,
        change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        let mut links = lock(&self.links);
        self.real.with(slot, |_, _, _| ())?;
        Ok(change(&mut links[0], 0, &mut Vec::new()))
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.real.trouble()
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.real.socket()
    }

    pub(crate) fn stop(self) -> Option<String> {
        self.real.stop()
    }
}
