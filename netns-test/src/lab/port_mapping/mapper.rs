//! The server of a node from outside its thread: start, notice of changes, end.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::error::{Failure, panic_text};
use crate::lab::nat;
use crate::lab::nat::model::NatMapping;
use crate::lab::plan::NodePlan;
use crate::lab::port_mapping::desk::{State, external};
use crate::lab::port_mapping::leases::Leases;
use crate::lab::port_mapping::model::PortMappingRequest;
use crate::lab::port_mapping::orders::{Ending, FIRST, Shared};
use crate::lab::port_mapping::server::Server;
use crate::netlink::Netlink;
use crate::netlink::nft::Nft;
use crate::sys::errno;
use crate::sys::lock::lock;
use crate::sys::ns::ns_set::Place;
use crate::sys::process;
use crate::sys::process::signals;

/// Name of the thread.
const NAME: &str = "netns-mapper";

/// Server of port mapping of a node, which may not run.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    /// Kept while no server runs: what was asked, and the epochs.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    state: Arc<Mutex<State>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    /// Process that has the thread.
    owner: process::Pid,
}

impl Mapper {
    /// Makes the server that of this plan of the node: starts it, changes it, or ends it. The
    /// interfaces are there. With `forgets` all leases end, as by a restart of the router.
    pub(crate) fn follow(
        &self,
        node: &NodePlan,
        place: &Place,
        forgets: bool,
    ) -> Result<(), Failure> {
        if node.nats.iter().all(|nat| nat.port_mapping.is_none()) {
            self.end();
            return Ok(());
        }
        let mut kept = lock(&self.kept);
        let now = Instant::now();
        let mut state = lock(&kept.state);
        let was_there = state.begin(now);
        let restarts = was_there && (forgets || kept.running.is_none());
        if restarts {
            state.restart(now);
        }
        state.node = Some(node.clone());
        drop(state);
        if kept.running.is_none() {
            kept.running = Some(start(Arc::clone(&kept.state), node, place)?);
        }
        let running = kept.running.as_ref().filter(|one| one.owner == process::id());
        running.map_or(Ok(()), |running| running.shared.order(restarts))
    }

    /// Ends the server, with its leases.
    pub(crate) fn end(&self) {
        let mut kept = lock(&self.kept);
        let Some(running) = kept.running.take() else { return };
        let Running { shared, thread, owner } = running;
        if owner != process::id() {
            // A forked child does not have the thread, and must not touch its handle.
            return std::mem::forget((shared, thread));
        }
        // An eventfd that exists can always be written; without that the thread would not end.
        if shared.end().is_err() {
            return;
        }
        let ended = thread.join();
        let mut state = lock(&kept.state);
        if let Err(panic) = ended {
            let text = panic_text(&*panic).unwrap_or_default();
            state.faults.push(format!("the server of port mapping has panicked: {text}"));
        }
        state.leases = Leases::default();
        state.node = None;
    }

    /// Returns what hosts have asked since the build, with the answers.
    pub(crate) fn requests(&self) -> Vec<PortMappingRequest> {
        let state = Arc::clone(&lock(&self.kept).state);
        lock(&state).requests.clone()
    }

    /// Adds the leases to the mappings of the node, in whose network the calling thread is.
    pub(crate) fn add_leases(
        &self,
        nft: &mut Nft,
        mappings: &mut Vec<NatMapping>,
    ) -> Result<(), Failure> {
        let state = Arc::clone(&lock(&self.kept).state);
        let state = lock(&state);
        let Some((node, nat)) = state.node.as_ref().zip(state.nat()) else { return Ok(()) };
        let external: Option<Ipv4Addr> = external(&Netlink::open()?, nat)?;
        state.add_leases(mappings, external, &nat::leases(nft, node)?);
        Ok(())
    }

    /// Takes what has gone wrong.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        let state = Arc::clone(&lock(&self.kept).state);
        std::mem::take(&mut lock(&state).faults)
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the thread on a node.
fn start(state: Arc<Mutex<State>>, node: &NodePlan, place: &Place) -> Result<Running, Failure> {
    let object = format!("the server of port mapping of {}", node.name);
    let refused = |error: std::io::Error| errno::failure("start", object.as_str(), &error);
    let shared = Arc::new(Shared::new(state).map_err(refused)?);
    let (place, own) = (place.try_clone().map_err(refused)?, Arc::clone(&shared));
    let thread = signals::spawn_blocking_all(NAME, move || {
        let _ending = Ending(Arc::clone(&own));
        let entered = place.enter();
        let entered = entered.map_err(|error| errno::failure("setns", "to the router", &error));
        match entered.and_then(|()| Server::open(Arc::clone(&own))) {
            Ok(server) => server.run(),
            Err(failure) => own.done(FIRST, Err(failure)),
        }
    })
    .map_err(refused)?;
    Ok(Running { shared, thread, owner: process::id() })
}
