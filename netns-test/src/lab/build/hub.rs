//! The making of the hub, beside that of the nodes: the set-up of the engine takes longer than most
//! labs do.

use std::fs;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::thread::JoinHandle;

use crate::diagnose;
use crate::diagnose::{Step, Witness};
use crate::error::{Failure, Result};
use crate::lab::build::namespaces;
use crate::lab::fabric::hub::network::HubNetwork;
use crate::lab::fabric::on_thread;
use crate::lab::impair::engine::Engine;
use crate::lab::plan::Plan;
use crate::netlink::Netlink;
use crate::sys::ns::ns_set::Place;

/// A hub that is being made. Dropping it waits for the thread.
#[derive(Debug)]
pub(crate) struct Beginning {
    made: Receiver<Result<Arc<HubNetwork>, Failure>>,
    thread: Option<JoinHandle<Result<Engine>>>,
}

impl Beginning {
    /// Starts to make a hub for the links of a plan, on a thread.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let links = plan.links().iter().filter(|link| link.impairments.is_some()).count();
        let (send, made) = mpsc::channel();
        let work = move || {
            // The engine's thread is to be in the caller's namespaces, not in the hub.
            let network = on_thread::fresh(make).map(Arc::new);
            let own = network.as_ref().ok().map(|network| network.network().try_clone_to_owned());
            // Its receiver waits, unless the build has failed.
            drop(send.send(network));
            match own {
                Some(Ok(own)) => Engine::start(own.as_fd(), links).map_err(|failure| {
                    // Links through the hub need more than others.
                    diagnose::with_cause(failure, Step::Call, &Witness::default()).into()
                }),
                Some(Err(error)) => {
                    Err(diagnose::explain("duplicate", "the network of the hub", &error).into())
                }
                None => Err(Failure::new("start", "the hub", "it has no network").into()),
            }
        };
        let thread = thread::Builder::new().name("lab".into()).spawn(work);
        let failed = |error| diagnose::explain("start", "a thread of a lab", &error);
        Ok(Self { made, thread: Some(thread.map_err(failed)?) })
    }

    /// Waits for the network. Call it once.
    pub(crate) fn network(&self) -> Result<Arc<HubNetwork>> {
        let none = || Failure::new("make", "the network of the hub", "no thread made it");
        Ok(self.made.recv().map_err(|_| none())??)
    }

    /// Waits for the engine.
    pub(crate) fn engine(mut self) -> Result<Engine> {
        let thread = self.thread.take().expect("it is taken once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Makes the network of the hub. The calling thread, which is new, stays in it.
fn make() -> Result<HubNetwork, Failure> {
    namespaces::unshare_network("the network of the hub")?;
    let has_ipv6 = !["default", "all"].into_iter().all(turn_off_ipv6);
    let failed = |error| diagnose::explain("open", "the network of the hub", &error);
    let network = Place::own_network().map_err(failed)?.into_network();
    Ok(HubNetwork::new(network, Netlink::open()?, has_ipv6))
}

/// Turns IPv6 off before there is an interface, as the kernel sends packets of its own otherwise.
/// Returns whether it is off.
fn turn_off_ipv6(which: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
    // A kernel without IPv6 has no such file.
    fs::write(&path, "1").is_ok()
        || fs::exists("/proc/sys/net").is_ok_and(|is| is) && !fs::exists(&path).unwrap_or(true)
}
