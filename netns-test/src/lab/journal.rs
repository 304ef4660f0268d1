//! What is changed in the caller's own network, and how it is taken back when the lab ends: all else of a
//! lab goes with its namespaces.

use std::fs;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::Failure;
use crate::netlink::{Netlink, Request};
use crate::sys::place::Place;

/// The steps back, in the order of the changes.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Vec<Step>>);

#[derive(Debug)]
enum Step {
    Ask(Request),
    /// The path of a sysctl, with the value of before.
    Write(String, String),
}

impl Journal {
    /// What is to be asked for. It may be refused then: interfaces of the lab are gone first.
    pub(super) fn ask(&self, request: Request) {
        self.note(Step::Ask(request));
    }

    /// What a sysctl was.
    pub(super) fn write(&self, path: String, before: String) {
        self.note(Step::Write(path, before));
    }

    /// The routes to these destinations, which others are to take the place of.
    pub(super) fn routes(
        &self,
        netlink: &Netlink,
        is_meant: impl Fn((IpAddr, u8)) -> bool,
    ) -> Result<(), Failure> {
        let all = netlink.added_routes()?;
        // Those that the others need are put back first.
        for route in all.iter().rev().filter(|route| is_meant(route.destination)) {
            self.ask(route.add_if_none());
        }
        Ok(())
    }

    /// Takes all back, the last change first, in the network that `netlink` speaks to and which is at
    /// `place`. Where something is refused, the rest goes all the same.
    pub(super) fn take_back(&self, netlink: &Netlink, place: &Place) {
        let steps = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut values = Vec::new();
        for step in steps.into_iter().rev() {
            match step {
                Step::Ask(request) => drop(netlink.ask_all(&[request])),
                Step::Write(path, before) => values.push((path, before)),
            }
        }
        if !values.is_empty() {
            let write = || {
                if place.enter().is_ok() {
                    for (path, before) in values {
                        drop(fs::write(path, before));
                    }
                }
            };
            // The thread that drops a lab may be anywhere.
            thread::scope(|scope| drop(thread::Builder::new().spawn_scoped(scope, write)));
        }
    }

    fn note(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}
