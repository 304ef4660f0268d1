//! The name servers of a lab from outside their thread: start, notice of changes, end.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::error::{Failure, panic_text};
use crate::lab::dns::serve::server::Server;
use crate::lab::dns::serve::shared::{Ending, Shared};
use crate::lab::dns::serve::socket::{Bound, Wanted};
use crate::lab::dns::state::State;
use crate::lab::plan::Plan;
use crate::lab::plan::dns::record::Data;
use crate::sys::errno;
use crate::sys::lock::lock;
use crate::sys::process;
use crate::sys::process::signals;

/// Name of the thread.
const NAME: &str = "netns-dns";

/// Name servers, whose thread may not run.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    state: Arc<Mutex<State>>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    /// Process that has the thread.
    owner: process::Pid,
}

impl Servers {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the servers know what the plan says.
    pub(crate) fn follow(&self, plan: &Plan) {
        if plan.dns.servers.is_empty() {
            return;
        }
        let nodes = plan.nodes().iter().map(|node| node.name.clone()).collect();
        self.state().follow(&plan.dns, nodes);
    }

    /// Returns the sockets that the server of a node needs; none if it has them, or has no server.
    pub(crate) fn wanted(&self, plan: &Plan, node: usize) -> Result<Option<Wanted>, Failure> {
        let Some(server) = plan.dns.on(node) else { return Ok(None) };
        let mut running = lock(&self.running);
        if running.is_none() {
            *running = Some(start(Arc::clone(&self.state))?);
        }
        let is_open = |one: &Running| one.owner != process::id() || one.shared.has(node);
        if running.as_ref().is_some_and(is_open) {
            return Ok(None);
        }
        let of_plan = &plan.dns.servers[server];
        let asks = of_plan.records.iter().any(|one| matches!(one.data, Data::Ns(_)));
        Ok(Some(Wanted { server, node, is_everywhere: of_plan.node.is_none(), asks }))
    }

    /// Makes a server answer on these sockets. Returns when it does.
    pub(crate) fn add(&self, bound: Bound) -> Result<(), Failure> {
        let running = lock(&self.running);
        running.as_ref().map_or(Ok(()), |running| running.shared.add(bound))
    }

    /// Closes the sockets on a node.
    pub(crate) fn close(&self, node: usize) -> Result<(), Failure> {
        let running = lock(&self.running);
        let running = running.as_ref().filter(|one| one.owner == process::id());
        running.map_or(Ok(()), |running| running.shared.remove(node))
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        let Some(Running { shared, thread, owner }) = lock(&self.running).take() else { return };
        if owner != process::id() {
            // A forked child does not have the thread, and must not touch its handle.
            return std::mem::forget((shared, thread));
        }
        // An eventfd that exists can always be written; without that the thread would not end.
        if shared.end().is_err() {
            return;
        }
        if let Err(panic) = thread.join() {
            let text = panic_text(&*panic).unwrap_or_default();
            self.state().failures.push(format!("the name servers have panicked: {text}"));
        }
    }

    /// Takes what has gone wrong.
    pub(crate) fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut self.state().failures)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(state: Arc<Mutex<State>>) -> Result<Running, Failure> {
    let refused =
        |error: std::io::Error| errno::failure("start", "the name servers of a lab", &error);
    let shared = Arc::new(Shared::new(state).map_err(refused)?);
    let own = Arc::clone(&shared);
    let thread = signals::spawn_blocking_all(NAME, move || {
        let _ending = Ending(Arc::clone(&own));
        Server::new(own).run();
    })
    .map_err(refused)?;
    Ok(Running { shared, thread, owner: process::id() })
}
