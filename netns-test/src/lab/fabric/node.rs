//! The state of one node: its namespaces, and whether it is on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};

use crate::diagnose;
use crate::error::{Failure, Kind};
use crate::lab::fabric::limitation::Limitation;
use crate::lab::fabric::node_runtime::Tasks;
use crate::lab::fabric::on_thread;
use crate::lab::plan::NodePlan;
use crate::lab::port_mapping::mapper::Mapper;
use crate::lab::topology::NodeKind;
use crate::netlink::Netlink;
use crate::sys::lock;
use crate::sys::ns::ns_set;
use crate::sys::ns::ns_set::Place;

/// A node of a running lab, without the handle that the user has of it.
#[derive(Debug)]
pub(crate) struct LiveNode {
    name: String,
    kind: NodeKind,
    power: RwLock<Power>,
    /// True while the programs of the node are stopped.
    is_frozen: AtomicBool,
    /// Server of port mapping, if the node has one.
    pub(crate) mapper: Mapper,
    /// Networks from before power cuts, in which sockets or threads of the test may still be.
    past: Mutex<Vec<OwnedFd>>,
    /// Environment of programs, besides the caller's.
    variables: Mutex<BTreeMap<OsString, OsString>>,
    /// Sends of the library itself since the last power cut for which there was no route.
    unroutable: AtomicU64,
}

/// The namespaces of a node between two power cuts, and what belongs to them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    made: Made,
    pub(crate) tasks: OnceLock<Tasks>,
    /// Locked while addresses or routes are changed.
    changing: Mutex<()>,
}

/// The namespaces of a node as they were created, and a netlink socket in its network.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) place: Place,
    pub(crate) netlink: Netlink,
    /// Features that the kernel has refused to the node.
    pub(crate) limitations: Vec<Limitation>,
    pub(crate) files: Mutex<NodeFiles>,
}

/// Files of a node in `/etc`.
#[derive(Clone, Debug)]
pub(crate) struct NodeFiles {
    /// Devices of the file systems that the lab has made for them.
    pub(crate) devices: Vec<u64>,
    /// Texts that the lab has written.
    pub(crate) texts: Texts,
}

/// Texts of the files by which a node finds names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) hosts: Arc<str>,
    pub(crate) resolver: Arc<str>,
}

impl NodeFiles {
    pub(crate) fn of(texts: Texts) -> Self {
        Self { devices: Vec::new(), texts }
    }
}

#[derive(Debug)]
struct Power {
    is_on: bool,
    /// The namespaces of the node. While it is off, those of the next power-on: the ends of its
    /// links wait there.
    here: Arc<Namespaces>,
}

impl LiveNode {
    pub(crate) fn new(node: &NodePlan, made: Made) -> Self {
        let power = RwLock::new(Power { is_on: true, here: Arc::new(Namespaces::new(made)) });
        Self {
            name: node.name.clone(),
            kind: node.kind,
            power,
            is_frozen: AtomicBool::new(false),
            mapper: Mapper::default(),
            past: Mutex::default(),
            variables: Mutex::default(),
            unroutable: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> NodeKind {
        self.kind
    }

    pub(crate) fn is_on(&self) -> bool {
        self.here().is_ok()
    }

    /// Returns the node's namespaces, or an error if it is powered off.
    pub(crate) fn here(&self) -> Result<Arc<Namespaces>, Failure> {
        let power = lock::read(&self.power);
        let off = || Failure::new("use", self.name.as_str(), "it is powered off");
        let off = || off().of(Kind::PoweredOff);
        if power.is_on { Ok(Arc::clone(&power.here)) } else { Err(off()) }
    }

    /// Runs `work` on a new thread on the node. Returns an error if it is powered off, or if the
    /// kernel refuses the thread.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let here = self.here()?;
        on_thread::in_place(&here.place, &self.name, work).map_err(|refused| refused.of(&self.name))
    }

    /// Returns whether the node is on and has not been powered off since `here` was its own.
    pub(crate) fn is_still(&self, here: &Arc<Namespaces>) -> bool {
        self.here().is_ok_and(|now| Arc::ptr_eq(&now, here))
    }

    /// Returns the namespaces of the next power-on, if the node is off.
    pub(crate) fn off(&self) -> Option<Arc<Namespaces>> {
        let power = lock::read(&self.power);
        (!power.is_on).then(|| Arc::clone(&power.here))
    }

    /// Marks the node off and installs `next` for the next power-on. Returns the old namespaces.
    pub(crate) fn turn_off(&self, next: Arc<Namespaces>) -> Arc<Namespaces> {
        let mut power = lock::write(&self.power);
        power.is_on = false;
        self.is_frozen.store(false, Ordering::Relaxed);
        self.unroutable.store(0, Ordering::Relaxed);
        std::mem::replace(&mut power.here, next)
    }

    /// Marks the programs of the node as stopped, or as running. Returns whether they were stopped.
    pub(crate) fn set_frozen(&self, is_frozen: bool) -> bool {
        self.is_frozen.swap(is_frozen, Ordering::SeqCst)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::SeqCst)
    }

    /// Marks the node on.
    pub(crate) fn turn_on(&self) {
        lock::write(&self.power).is_on = true;
    }

    /// Keeps an old network while threads of the test can start programs in it. The lab kills these
    /// programs at its end.
    pub(crate) fn keep(&self, network: OwnedFd) {
        let mut past = lock::lock(&self.past);
        past.push(network);
        past.retain(|network| ns_set::is_in_use(network.as_fd()));
    }

    /// Takes the old networks that were kept.
    pub(crate) fn take_past(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut *lock::lock(&self.past))
    }

    /// Sets a variable of the environment of programs.
    pub(crate) fn set_variable(&self, name: OsString, value: OsString) {
        lock::lock(&self.variables).insert(name, value);
    }

    /// Returns these variables.
    pub(crate) fn variables(&self) -> BTreeMap<OsString, OsString> {
        lock::lock(&self.variables).clone()
    }

    /// Counts sends of the library for which there was no route.
    pub(crate) fn note_unroutable(&self, count: u64) {
        self.unroutable.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the number of these sends.
    pub(crate) fn unroutable(&self) -> u64 {
        self.unroutable.load(Ordering::Relaxed)
    }

    /// Returns the limitations of the node, also if it is off.
    pub(crate) fn limitations(&self) -> Vec<Limitation> {
        let power = lock::read(&self.power);
        power.here.limitations.clone()
    }

    /// Returns the failure of a step on something of this node.
    pub(crate) fn failure(&self, step: &str, object: &str, error: &io::Error) -> Failure {
        diagnose::explain_shortage(step, &format!("{object} of {}", self.name), error)
    }
}

impl Namespaces {
    pub(crate) fn new(made: Made) -> Self {
        Self { made, tasks: OnceLock::new(), changing: Mutex::new(()) }
    }

    /// Locks the addresses and routes of the node against other changes by the lab.
    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        lock::lock(&self.changing)
    }
}

impl Deref for Namespaces {
    type Target = Made;

    fn deref(&self) -> &Made {
        &self.made
    }
}
