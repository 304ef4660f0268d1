//! A node of a running lab, and what can be run on it.

use std::any::Any;
use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Failure, Kind, Result, located};
use crate::isolation;
use crate::lab::build::Made;
use crate::lab::fabric::node_runtime::Tasks;
use crate::lab::fabric::own_network::sysctl;
use crate::lab::plan::NodePlan;
use crate::lab::run::blocked;
use crate::lab::run::lab::Fabric;
use crate::lab::run::panics;
use crate::lab::run::panics::Panics;
use crate::lab::run::spawner::Common;
use crate::lab::topology::NodeKind;
use crate::lab::topology::names;
use crate::netns::NetNs;
use crate::sys::errno;
use crate::sys::ns::ns_set;
use crate::sys::ns::ns_set::Place;

/// A node of a [`Lab`](crate::Lab): a network namespace with a hostname, `/etc/hosts`,
/// `/etc/resolv.conf` and `/sys` of its own. Where a container forbids another `/sys`, a node has the
/// caller's, and [`limitations`](crate::Lab::limitations) says so.
///
/// What runs on it is in the caller's process, or a program that it starts; files, users and
/// processes are the caller's.
pub struct Node {
    name: String,
    kind: NodeKind,
    power: RwLock<Power>,
    fabric: RwLock<Weak<Fabric>>,
    /// The networks that it had before power cuts, where something of the test may still be.
    past: Mutex<Vec<OwnedFd>>,
    pub(crate) common: Common,
    pub(crate) panics: Panics,
}

/// What there is of a host that is on.
#[derive(Debug)]
pub(crate) struct Here {
    made: Made,
    pub(crate) tasks: OnceLock<Tasks>,
    /// Held while addresses or routes are changed.
    changing: Mutex<()>,
}

#[derive(Debug)]
struct Power {
    is_on: bool,
    /// Of a host that is off, what there will be: its namespaces, with the ends of its links.
    here: Arc<Here>,
}

/// Keeps the calling thread on a host; dropped, it moves the thread back.
///
/// It belongs to its thread and cannot be sent to another. Where the way back is barred the
/// process is aborted, rather than let the thread go on in the wrong place.
#[must_use = "dropped at once, it moves the thread back at once"]
pub struct NodeGuard<'host> {
    back: Place,
    /// Not `Send`: the thread it moves is the one that drops it.
    _thread: PhantomData<(*const (), &'host Node)>,
}

impl Node {
    pub(crate) fn new(
        node: &NodePlan,
        made: Made,
        fabric: Weak<Fabric>,
        (panics, common): (Panics, Common),
    ) -> Self {
        let (name, kind) = (node.name.clone(), node.kind);
        let power = RwLock::new(Power { is_on: true, here: Arc::new(Here::new(made)) });
        let (fabric, past) = (RwLock::new(fabric), Mutex::default());
        Self { name, kind, power, fabric, past, common, panics }
    }

    /// Its name, by which the others know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Whether it has not been [powered off](crate::Lab::power_off).
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.here().is_ok()
    }

    /// A handle on its network namespace.
    ///
    /// # Errors
    ///
    /// EMFILE where the table of descriptors is full; where the host is powered off.
    #[track_caller]
    pub fn netns(&self) -> Result<NetNs> {
        located(self.try_netns())
    }

    fn try_netns(&self) -> Result<NetNs> {
        let fd = self.here()?.place.network().try_clone_to_owned();
        NetNs::try_from(fd.map_err(|error| self.failure("duplicate", "the network", &error))?)
    }

    /// Calls `work` on the host, on a thread that is there, and gives what it gives. Sockets that it
    /// makes keep their host.
    ///
    /// # Panics
    ///
    /// As `work` does, with the host's name before the message; where no thread can be started, or it
    /// cannot go there, or the host is powered off.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.run_as("run", work)
    }

    /// The same for a method of that name.
    #[track_caller]
    pub(crate) fn run_as<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let here = self.on();
        let (over, end) = mpsc::channel();
        let ended = thread::scope(|scope| {
            let start = || {
                let _over = over;
                go(&here.place, &self.name);
                work()
            };
            let thread = thread::Builder::new().name(self.name.clone()).spawn_scoped(scope, start);
            let thread = thread.unwrap_or_else(|error| self.give_up("start a thread on", &error));
            blocked::wait_for(&end, format_args!("`{name}` on {}", self.name));
            thread.join()
        });
        ended.unwrap_or_else(|panic| panic::resume_unwind(self.named(panic)))
    }

    /// Starts a thread that lives on the host. What it panics with is told by
    /// [`JoinHandle::join`], and again when the lab is dropped, which panics then. One that panics
    /// after that ends the process; one that goes on keeps the host's network. A panic that is still being
    /// printed is waited for.
    ///
    /// # Panics
    ///
    /// Where no thread can be started, or the host is powered off.
    #[track_caller]
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let place = self.on().place.try_clone();
        let place = match place {
            Ok(place) => place,
            Err(error) => self.give_up("duplicate the handles of", &error),
        };
        let name = self.name.clone();
        let start = self.panics.of_thread(&self.name, move || {
            go(&place, &name);
            work()
        });
        let thread = thread::Builder::new().name(self.name.clone()).spawn(start);
        match thread {
            Ok(thread) => thread,
            Err(error) => self.give_up("start a thread on", &error),
        }
    }

    /// Moves the calling thread to the host, for as long as the guard lives. Threads that it starts
    /// begin there. From then on its working directory is its own.
    ///
    /// So do threads that a library starts meanwhile for all of the process, such as those of a runtime's
    /// blocking pool (name lookups of tokio): they stay there. [`run`](Self::run) and
    /// [`spawn`](Self::spawn) leave the caller's thread alone.
    ///
    /// Under a runtime with several threads do not hold the guard across an `.await`. Guards must be
    /// dropped in the reverse of their order, as local variables are.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN` in the caller's user namespace, and where the thread could not come
    /// back since its own mounts or hostname are an outer user namespace's; where the host is powered
    /// off. It is where it was then.
    #[track_caller]
    pub fn enter(&self) -> Result<NodeGuard<'_>> {
        located(self.try_enter())
    }

    fn try_enter(&self) -> Result<NodeGuard<'_>> {
        let here = self.here()?;
        let back = Place::own();
        let back = back.map_err(|error| self.failure("open", "the way back from", &error))?;
        // Who may go there may not always come back. It may if it may go where it is.
        back.enter().map_err(|error| {
            let advice = "the thread could not come back to where it is; under unshare(1), give it -m and -u, too";
            self.failure("setns", "to the network", &error).advise(advice)
        })?;
        if let Err(error) = here.place.enter() {
            // It may have come half of the way.
            drop(NodeGuard { back, _thread: PhantomData });
            return Err(self.failure("setns", "to", &error).into());
        }
        Ok(NodeGuard { back, _thread: PhantomData })
    }

    /// Sets a sysctl of its network: `net.ipv4.ip_forward`, or with slashes where the name of an
    /// interface has a dot. In the caller's own network it is taken back when the lab ends, with all that the
    /// kernel changes by it.
    ///
    /// # Errors
    ///
    /// For one that is not below `net.`; ENOENT for one that the kernel does not have, EINVAL for a value that it does not take; where the
    /// host is powered off.
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        located(self.try_sysctl(name, value))
    }

    #[expect(clippy::needless_pass_by_value, reason = "a number is written as it is")]
    fn try_sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        if let Some(why) = names::sysctl(name) {
            return Err(Failure::new("write", format!("`{name}` of {}", self.name), why).into());
        }
        let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
        let (path, value) = (format!("/proc/sys/{path}"), value.to_string());
        let here = self.here()?;
        let own = self.fabric().filter(|_| self.kind == NodeKind::Local);
        let written = self.run(|| match &own {
            Some(own) => sysctl::write((&path, &value), &here.netlink, &own.journal),
            None => Ok(fs::write(&path, &value)),
        });
        written?.map_err(|error| Error::from(self.failure("write", &path, &error)))
    }

    /// What it is a part of, unless that has ended.
    pub(crate) fn fabric(&self) -> Option<Arc<Fabric>> {
        self.fabric.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    pub(crate) fn join(&self, fabric: Weak<Fabric>) {
        *self.fabric.write().unwrap_or_else(PoisonError::into_inner) = fabric;
    }

    /// What there is of it.
    pub(crate) fn here(&self) -> Result<Arc<Here>, Failure> {
        let power = self.power.read().unwrap_or_else(PoisonError::into_inner);
        let off = || Failure::new("use", self.name.as_str(), "it is powered off");
        let off = || off().of(Kind::PoweredOff);
        if power.is_on { Ok(Arc::clone(&power.here)) } else { Err(off()) }
    }

    /// Whether it has not been powered off since it had that.
    pub(crate) fn is_still(&self, here: &Arc<Here>) -> bool {
        self.here().is_ok_and(|now| Arc::ptr_eq(&now, here))
    }

    /// The same where an error cannot be told otherwise than by a panic.
    #[track_caller]
    pub(crate) fn on(&self) -> Arc<Here> {
        // No closure: the line is to be the caller's.
        match self.here() {
            Ok(here) => here,
            Err(_) => panic!("host {}: it is powered off", self.name),
        }
    }

    /// What there will be of one that is off.
    pub(crate) fn off(&self) -> Option<Arc<Here>> {
        let power = self.power.read().unwrap_or_else(PoisonError::into_inner);
        (!power.is_on).then(|| Arc::clone(&power.here))
    }

    /// Powers it off; `later` is what there will be of it. Gives what there was.
    pub(crate) fn turn_off(&self, later: Arc<Here>) -> Arc<Here> {
        let mut power = self.power.write().unwrap_or_else(PoisonError::into_inner);
        power.is_on = false;
        std::mem::replace(&mut power.here, later)
    }

    /// Keeps a network that it has no more for as long as threads of the test may start programs there:
    /// these end with the lab.
    pub(crate) fn keep(&self, network: OwnedFd) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push(network);
        past.retain(|network| ns_set::is_in_use(network.as_fd()));
    }

    /// Those that it has kept, for good.
    pub(crate) fn take_past(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut *self.past.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn turn_on(&self) {
        self.power.write().unwrap_or_else(PoisonError::into_inner).is_on = true;
    }

    /// A failed step on what belongs to this host.
    pub(crate) fn failure(&self, step: &str, object: &str, error: &std::io::Error) -> Failure {
        errno::failure(step, format!("{object} of {}", self.name), error)
    }

    #[track_caller]
    pub(crate) fn give_up(&self, step: &str, error: &std::io::Error) -> ! {
        let message = format!("{step} host {}: {}", self.name, errno::describe(error));
        isolation::note_lack(&message, step, &self.name, error);
        panic!("{message}")
    }

    /// The panic of a thread of this host, with the host's name before it.
    fn named(&self, panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
        match panics::message(&*panic) {
            Some(text) => Box::new(format!("host {}: {text}", self.name)),
            None => panic,
        }
    }
}

impl fmt::Debug for NodeGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeGuard").finish_non_exhaustive()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind, is_on) = (&self.name, self.kind, self.is_on());
        let mut text = f.debug_struct("Host");
        text.field("name", name).field("kind", &kind).field("is_on", &is_on).finish()
    }
}

impl Here {
    pub(crate) fn new(made: Made) -> Self {
        Self { made, tasks: OnceLock::new(), changing: Mutex::new(()) }
    }

    /// Waits until nobody else changes addresses or routes.
    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Here {
    type Target = Made;

    fn deref(&self) -> &Made {
        &self.made
    }
}

/// Moves the calling thread, which is new, to a host.
pub(crate) fn go(place: &Place, name: &str) {
    if let Err(error) = place.enter() {
        let reason = errno::describe(&error);
        let message = format!("move a thread to host {name}: {reason}");
        isolation::note_lack(&message, "move a thread to", name, &error);
        panic!("{message}");
    }
}

impl Drop for NodeGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.back.enter() {
            // No panic: the thread may be unwinding, and would be in the wrong place all the same.
            eprintln!(
                "netns-test: a thread cannot return from a host: {}",
                errno::describe(&error)
            );
            std::process::abort();
        }
    }
}
