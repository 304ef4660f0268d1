//! The handle of a node: threads of the test on the node, and its sysctls.

use std::any::Any;
use std::fmt;
use std::fs;
use std::panic;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::addr::sysctl::Sysctl;
use crate::error::{Error, Failure, Result, located, panic_text};
use crate::isolation;
use crate::lab::fabric::node::{LiveNode, Namespaces};
use crate::lab::fabric::on_thread;
use crate::lab::fabric::own_network::sysctl;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::blocked;
use crate::lab::run::panics::Panics;
use crate::lab::run::programs::spawner::Common;
use crate::lab::topology::NodeKind;
use crate::netns::NetNs;
use crate::sys::errno;

/// Node of a [`Lab`](crate::Lab): a network namespace with its own hostname, `/etc/hosts`,
/// `/etc/resolv.conf` and `/sys`. In a container that forbids a new `/sys`, nodes have the
/// caller's, and [`limitations`](crate::Lab::limitations) lists that.
///
/// Code on a node runs in the caller's process, or in a program that this process starts. All other
/// files, users and processes are the caller's.
pub struct Node {
    fabric: Arc<Fabric>,
    /// Position of the node in the plan.
    at: usize,
    pub(crate) common: Common,
    pub(crate) panics: Panics,
}

impl Node {
    pub(crate) fn new(fabric: Arc<Fabric>, at: usize, (panics, common): (Panics, Common)) -> Self {
        Self { fabric, at, common, panics }
    }

    /// Returns a second handle of the node, for a thread that may outlive the borrow of the lab by
    /// a moment.
    pub(crate) fn share(&self) -> Self {
        let shared = (self.panics.clone(), self.common.clone());
        Self::new(Arc::clone(&self.fabric), self.at, shared)
    }

    /// Returns the name of the node, by which other nodes find it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.live().name()
    }

    /// Returns the kind of the node.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.live().kind()
    }

    /// Returns whether the node is on: see [`power_off`](crate::Lab::power_off).
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.live().is_on()
    }

    /// Returns a handle of the node's network namespace.
    ///
    /// # Errors
    ///
    /// EMFILE if the table of descriptors is full; a node that is powered off.
    #[track_caller]
    pub fn netns(&self) -> Result<NetNs> {
        located(self.try_netns())
    }

    fn try_netns(&self) -> Result<NetNs> {
        let fd = self.here()?.place.network().try_clone_to_owned();
        NetNs::try_from(fd.map_err(|error| self.failure("duplicate", "the network", &error))?)
    }

    /// Runs `work` on a new thread on the node and returns its result. Sockets that it creates
    /// belong to the node's network, also when the calling thread uses them.
    ///
    /// # Panics
    ///
    /// If `work` panics, with the node's name before the message. Also if a thread cannot be
    /// started or moved to the node, or the node is powered off.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> std::io::Result<()> {
    /// use std::net::TcpListener;
    ///
    /// let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80"))?;
    /// let (stream, peer) = listener.accept()?; // On the calling thread.
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.run_as("run", work)
    }

    /// Does the same for the method called `name`.
    #[track_caller]
    pub(crate) fn run_as<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let here = self.on();
        let (over, end) = mpsc::channel();
        let start = || {
            let _over = over;
            on_thread::go(&here.place, self.name());
            work()
        };
        let call = format!("`{name}` on {}", self.name());
        let ended = on_thread::scoped(self.name(), start, || blocked::wait_for(&end, call));
        let ended = ended.unwrap_or_else(|error| self.give_up("start a thread on", &error));
        ended.unwrap_or_else(|panic| panic::resume_unwind(self.named(panic)))
    }

    /// Starts a thread on the node. If the thread panics, [`JoinHandle::join`] returns the panic,
    /// and the drop of the lab panics, too. A thread may outlive the lab: the node's network then
    /// exists until the thread ends, and a panic of the thread aborts the process.
    ///
    /// # Panics
    ///
    /// If a thread cannot be started, or the node is powered off.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> std::io::Result<()> {
    /// use std::net::TcpListener;
    ///
    /// let accepting = lab[server].spawn_thread(|| TcpListener::bind("0.0.0.0:80")?.accept());
    /// let (stream, peer) = accepting.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
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
        let name = self.name().to_owned();
        let start = self.panics.of_thread(self.name(), move || {
            on_thread::go(&place, &name);
            work()
        });
        let thread = on_thread::spawn(self.name(), start);
        match thread {
            Ok(thread) => thread,
            Err(error) => self.give_up("start a thread on", &error),
        }
    }

    /// Sets a sysctl of the node's network, such as `net.ipv4.ip_forward`. If the name of an
    /// interface has a dot, separate the parts by slashes: `net/ipv4/conf/eth0.5/forwarding`. In
    /// the caller's own network the end of the lab restores the old value, and those of other
    /// sysctls that the kernel has changed with this one.
    ///
    /// # Errors
    ///
    /// A name that is not below `net.`; ENOENT for a sysctl that the kernel does not have; EINVAL
    /// for a value that it does not accept; a node that is powered off.
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        located(self.try_sysctl(name, value))
    }

    #[expect(clippy::needless_pass_by_value, reason = "a number is written as it is")]
    fn try_sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        let sysctl = Sysctl::checked(name)
            .map_err(|why| Failure::new("write", format!("`{name}` of {}", self.name()), why))?;
        let (here, value) = (self.here()?, value.to_string());
        let is_local = self.kind() == NodeKind::Local;
        let written = self.run(|| match is_local {
            true => sysctl::write((&sysctl, &value), &here.netlink, &self.fabric.journal),
            false => Ok(fs::write(sysctl.path(), &value)),
        });
        written?.map_err(|error| Error::from(self.failure("write", &sysctl.path(), &error)))
    }

    /// Returns the state of the lab.
    pub(crate) fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }

    /// Returns the position of the node in the plan.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns the state of the node.
    pub(crate) fn live(&self) -> &LiveNode {
        &self.fabric.nodes[self.at]
    }

    /// Returns the node's namespaces, or an error if it is powered off.
    pub(crate) fn here(&self) -> Result<Arc<Namespaces>, Failure> {
        self.live().here()
    }

    /// Returns whether the node is on and has not been powered off since `here` was its own.
    pub(crate) fn is_still(&self, here: &Arc<Namespaces>) -> bool {
        self.live().is_still(here)
    }

    /// Returns the node's namespaces, for methods that return no error.
    #[track_caller]
    pub(crate) fn on(&self) -> Arc<Namespaces> {
        // Not a closure: the panic reports the caller's line.
        match self.here() {
            Ok(here) => here,
            Err(_) => panic!("node {}: it is powered off", self.name()),
        }
    }

    /// Returns the failure of a step on something of this node.
    pub(crate) fn failure(&self, step: &str, object: &str, error: &std::io::Error) -> Failure {
        self.live().failure(step, object, error)
    }

    #[track_caller]
    pub(crate) fn give_up(&self, step: &str, error: &std::io::Error) -> ! {
        let message = format!("{step} node {}: {}", self.name(), errno::describe(error));
        isolation::note_lack(&message, step, self.name(), error);
        panic!("{message}")
    }

    /// Returns the panic of a thread of this node, with the node's name before the message.
    fn named(&self, panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
        match panic_text(&*panic) {
            Some(text) => Box::new(format!("node {}: {text}", self.name())),
            None => panic,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind, is_on) = (self.name(), self.kind(), self.is_on());
        let mut text = f.debug_struct("Node");
        text.field("name", &name).field("kind", &kind).field("is_on", &is_on).finish()
    }
}
