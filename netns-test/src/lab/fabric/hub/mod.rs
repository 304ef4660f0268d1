//! The hub: a hidden network of the lab in which the links that can be impaired meet.
//!
//! Such a link consists of two veth pairs. The outer ends are those of the plan, in the nodes. The
//! inner ends are in the hub, where the engine receives the frames of one and sends them by the
//! other. No packet of the hub's own is on them: it has no addresses, and no IPv6.

mod left;
pub(crate) mod lost;
pub(crate) mod mirror;
pub(crate) mod network;
mod tally;
pub(crate) mod watch;

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::capture::recorder::Recorder;
use crate::error::{Failure, Result};
use crate::evidence::log;
use crate::evidence::record::{Record, Socket};
use crate::lab::fabric::ends::{End, LinkEnds};
use crate::lab::fabric::hub::left::Faulty;
use crate::lab::fabric::hub::mirror::Mirror;
use crate::lab::fabric::hub::network::{HubNetwork, index};
use crate::lab::fabric::hub::watch::Watch;
use crate::lab::fabric::node::LiveNode;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::emulated::held::Hold;
use crate::lab::impair::engine::{Engine, LinkPorts, Slot};
use crate::lab::impair::hash::Seed;
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::plan::Plan;
use crate::lab::plan::diff;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::sys::fds;
use crate::sys::lock::lock;

/// The hub of a lab, and the engine in it.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Number of the lab.
    lab: u32,
    seed: Seed,
    mirror: Arc<Mirror>,
    /// None after the end of the lab.
    engine: Mutex<Option<Arc<Engine>>>,
    /// Place of each link in the engine; none for a direct veth pair.
    slots: Mutex<Vec<Option<Slot>>>,
    watch: Watch,
}

impl Hub {
    /// Returns a hub without links, for the lab with these ends of links.
    pub(crate) fn new(
        network: Arc<HubNetwork>,
        engine: Engine,
        (lab, seed, links): (u32, Seed, &Arc<LinkEnds>),
    ) -> Result<Arc<Self>> {
        engine.sockets().into_iter().for_each(report_socket);
        let mirror = Arc::new(Mirror::new(network));
        let watch = Watch::start(Arc::clone(&mirror), Arc::clone(links))?;
        let engine = Mutex::new(Some(Arc::new(engine)));
        let hub = Arc::new(Self { lab, seed, mirror, engine, slots: Mutex::default(), watch });
        left::watch(&hub);
        Ok(hub)
    }

    /// Returns the network of the hub, to create inner ends in.
    pub(crate) fn network(&self) -> &HubNetwork {
        self.mirror.network()
    }

    /// Takes over the links of a plan, from the position `first` on, whose inner ends exist, and
    /// sets these up. Frames are held until [`Hub::open`], when the ends of all nodes are up: none
    /// is lost.
    pub(crate) fn connect(&self, plan: &Plan, first: usize) -> Result<()> {
        let engine = self.engine()?;
        let mut slots = lock(&self.slots);
        // A hub that is made for an extension has no links before.
        slots.resize(first, None);
        let captured = plan.links().iter().filter(|link| link.is_captured).count();
        for (at, link) in plan.links().iter().enumerate().skip(first) {
            let is_captured = link.is_captured;
            let Some(plans) = &link.impairments else {
                slots.push(None);
                continue;
            };
            let (name, mtu) = (plan.link_name(at), plan.segments()[link.segment].mtu);
            let mut link = EmulatedLink::new(self.seed, &name, plans.clone(), mtu);
            if is_captured {
                link.record_by(Recorder::new(captured));
            }
            Direction::BOTH.into_iter().for_each(|direction| link.hold(direction));
            let indexes = [0, 1].map(|side| index(at, side));
            let name = plan.link_label(at);
            let observer = tally::of_link(self.lab, at);
            slots.push(Some(engine.add(LinkPorts { name, indexes, link, observer })?));
        }
        drop(slots);
        Ok(self.network().set_up(plan, first)?)
    }

    /// Passes the frames of the links from the position `first` on.
    pub(crate) fn open(&self, first: usize) -> Result<()> {
        self.change_from(first, |model, now, out| {
            Direction::BOTH.into_iter().for_each(|direction| model.release(direction, now, out));
        })
    }

    /// Forgets the links from `count` on, of an extension that has failed.
    pub(crate) fn forget_links(&self, count: usize) {
        lock(&self.slots).truncate(count);
    }

    /// Changes the model of a link, which holds for all frames that arrive after the return. An
    /// error is of the step `step` on the link called `label`.
    pub(crate) fn with<T>(
        &self,
        link: usize,
        (step, label): (&'static str, &str),
        change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        let slot = lock(&self.slots).get(link).copied().flatten();
        let slot = slot.ok_or_else(|| diff::not_impairable(step, label))?;
        self.engine()?.with(slot, change)
    }

    /// Holds packets at one moment on all links: those of each direction for which `hold` returns
    /// one.
    pub(crate) fn hold(&self, hold: impl Fn(usize, Direction) -> Hold) -> Result<()> {
        let (links, slots): (Vec<usize>, Vec<Slot>) = self.slots().into_iter().unzip();
        let visit = |at: usize, model: &mut EmulatedLink, _, _: &mut _| {
            Direction::BOTH.into_iter().for_each(|way| model.add_hold(way, hold(links[at], way)));
        };
        self.engine()?.with_all(&slots, visit).map(drop)
    }

    /// Ends the hold with this number, or all with a number, on all links.
    pub(crate) fn lift(&self, number: Option<u64>) -> Result<()> {
        self.change_from(0, |model, now, out| model.lift(number, now, out))
    }

    /// Changes all links from the position `first` on, at one moment.
    fn change_from(
        &self,
        first: usize,
        mut change: impl FnMut(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>),
    ) -> Result<()> {
        let own = self.slots().into_iter().filter(|(link, _)| *link >= first);
        let slots: Vec<Slot> = own.map(|(_, slot)| slot).collect();
        self.engine()?.with_all(&slots, |_, model, now, out| change(model, now, out)).map(drop)
    }

    /// Sets the impairments of both directions of a link.
    pub(crate) fn set(&self, link: usize, label: &str, plans: [ImpairmentPlan; 2]) -> Result<()> {
        self.with(link, ("impair", label), |model, now, _| {
            for (direction, plan) in Direction::BOTH.into_iter().zip(plans) {
                model.set(direction, plan, now);
            }
        })
    }

    /// Follows the states of the ends of all links from now on, on these nodes of the lab.
    pub(crate) fn follow(&self, plan: &Plan, nodes: &[Arc<LiveNode>]) -> Result<()> {
        self.mirror.grow(plan, nodes);
        let links = plan.links().iter().filter(|link| link.impairments.is_some());
        let mut wanted: Vec<usize> = links.flat_map(|link| link.ends).map(|end| end.node).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let found = wanted.into_iter().filter_map(|at| Some((at, nodes[at].here().ok()?)));
        Ok(self.watch.add(&found.collect::<Vec<_>>())?)
    }

    /// Passes the states of both ends of a link on to the inner ends. Other links are not touched.
    pub(crate) fn reflect(&self, links: &[[End; 2]], at: usize) -> Result<()> {
        Ok(self.mirror.link(links, at)?)
    }

    /// Passes the states of the ends of all links at a node on.
    pub(crate) fn reflect_node(&self, links: &[[End; 2]], node: usize) -> Result<()> {
        Ok(self.mirror.links(links, |ends| ends.iter().any(|end| end.node == node))?)
    }

    /// Passes the states of all ends of links on.
    pub(crate) fn reflect_all(&self, links: &[[End; 2]]) -> Result<()> {
        Ok(self.mirror.links(links, |_| true)?)
    }

    /// Follows the ends of links at a node, which is on and has them now. Does nothing if it has
    /// none that the hub knows.
    pub(crate) fn follow_node(
        &self,
        links: &[[End; 2]],
        (at, node): (usize, &LiveNode),
    ) -> Result<()> {
        match node.here() {
            Ok(here) if self.mirror.is_at(links, at) => Ok(self.watch.add(&[(at, here)])?),
            _ => Ok(()),
        }
    }

    /// Lets go of the network of a node that was powered off.
    pub(crate) fn forget_node(&self, at: usize) {
        self.watch.remove(at);
    }

    /// Ends the work of the hub. Returns a sentence for each thing that has gone wrong in it.
    pub(crate) fn stop(&self) -> Vec<String> {
        self.watch.stop();
        let panics = self.panics();
        let engine = lock(&self.engine).take();
        let of_engine = engine.and_then(|engine| match Arc::try_unwrap(engine) {
            Ok(engine) => engine.stop(),
            // A thread is about to look at it, and stops it then.
            Err(engine) => engine.trouble(),
        });
        of_engine
            .as_deref()
            .map(of_links)
            .into_iter()
            .chain(self.mirror.trouble())
            .chain(panics)
            .collect()
    }

    /// Returns the number of turns of the engine in which frames were passed on. First waits for
    /// another number than the known one, if there is one, at most for this time.
    pub(crate) fn turns(&self, wait: Option<(u64, Duration)>) -> Result<u64> {
        self.engine()?.turns(wait)
    }

    /// Returns the faults of the engine so far.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.engine().ok()?.trouble()
    }

    /// Returns whether the caller is the thread of the engine: the closure of a rule.
    pub(crate) fn is_own_thread(&self) -> bool {
        lock(&self.engine).as_ref().is_some_and(|engine| engine.is_own_thread())
    }

    /// Takes the panics of closures of rules.
    fn panics(&self) -> Vec<String> {
        if self.engine().is_err() {
            return Vec::new();
        }
        let take = |model: &mut EmulatedLink| {
            Direction::BOTH.map(|direction| model.rules(direction).take_panic())
        };
        let text = |panic| format!("a rule of a link has panicked: {panic}");
        match self.visit(take) {
            Ok(panics) => {
                panics.into_iter().flat_map(|(_, of_link)| of_link).flatten().map(text).collect()
            }
            Err(error) => vec![format!("the rules of links: {error}")],
        }
    }

    /// Visits all links that go through the hub. Returns the results with the positions of the
    /// links.
    pub(crate) fn visit<T>(
        &self,
        mut visit: impl FnMut(&mut EmulatedLink) -> T,
    ) -> Result<Vec<(usize, T)>> {
        let (links, slots): (Vec<usize>, Vec<Slot>) = self.slots().into_iter().unzip();
        Ok(links
            .into_iter()
            .zip(self.engine()?.with_all(&slots, |_, model, _, _| visit(model))?)
            .collect())
    }

    /// Returns the positions of the links that go through the hub, and their places.
    fn slots(&self) -> Vec<(usize, Slot)> {
        let slots = lock(&self.slots);
        slots.iter().enumerate().filter_map(|(at, slot)| Some((at, (*slot)?))).collect()
    }

    fn engine(&self) -> Result<Arc<Engine>> {
        let ended = || Failure::new("use", "the links of the lab", "the lab has ended");
        Ok(lock(&self.engine).clone().ok_or_else(ended)?)
    }
}

fn of_links(trouble: &str) -> String {
    format!("the links of the lab: {trouble}")
}

/// While the lab has not ended.
impl Faulty for Hub {
    fn faults(&self) -> Vec<String> {
        let Ok(engine) = self.engine() else { return Vec::new() };
        let panics = self.panics();
        engine.trouble().as_deref().map(of_links).into_iter().chain(panics).collect()
    }
}

/// Returns whether a link of the plan, from `first` on, needs a hub.
pub(crate) fn is_needed(plan: &Plan, first: usize) -> bool {
    plan.links()[first..].iter().any(|link| link.impairments.is_some())
}

/// Returns the descriptor of the hub's network, for a link that has ends in it.
pub(crate) fn place<'a>(
    plan: &Plan,
    link: usize,
    hub: Option<&'a HubNetwork>,
) -> Option<BorrowedFd<'a>> {
    hub.filter(|_| plan.links()[link].impairments.is_some()).map(HubNetwork::network)
}

/// Makes init hold a socket of the engine, too, so that the test does not wait for its last close.
fn report_socket(socket: BorrowedFd<'_>) {
    if let Ok(inode) = fds::inode_of(socket) {
        log::report(|| Record::Socket(Socket { descriptor: socket.as_raw_fd(), inode }));
    }
}
