//! A node of a running lab, and what can be run on it.

use std::any::Any;
use std::fmt;
use std::fs;
use std::panic;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::addr::sysctl::Sysctl;
use crate::error::{Error, Failure, Result, located};
use crate::isolation;
use crate::lab::fabric::node::{Here, LiveNode};
use crate::lab::fabric::on_thread;
use crate::lab::fabric::own_network::sysctl;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::blocked;
use crate::lab::run::panics;
use crate::lab::run::panics::Panics;
use crate::lab::run::programs::spawner::Common;
use crate::lab::topology::NodeKind;
use crate::netns::NetNs;
use crate::sys::errno;

/// A node of a [`Lab`](crate::Lab): a network namespace with a hostname, `/etc/hosts`,
/// `/etc/resolv.conf` and `/sys` of its own. Where a container forbids another `/sys`, a node has the
/// caller's, and [`limitations`](crate::Lab::limitations) says so.
///
/// What runs on it is in the caller's process, or a program that it starts; files, users and
/// processes are the caller's.
pub struct Node {
    fabric: Arc<Fabric>,
    /// The position of the node in the plan.
    at: usize,
    pub(crate) common: Common,
    pub(crate) panics: Panics,
}

impl Node {
    pub(crate) fn new(fabric: Arc<Fabric>, at: usize, (panics, common): (Panics, Common)) -> Self {
        Self { fabric, at, common, panics }
    }

    /// Returns a second handle of the node, for a thread that may outlive the borrow of the lab by a
    /// moment.
    pub(crate) fn share(&self) -> Self {
        let shared = (self.panics.clone(), self.common.clone());
        Self::new(Arc::clone(&self.fabric), self.at, shared)
    }

    /// Its name, by which the others know it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.live().name()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.live().kind()
    }

    /// Whether it has not been [powered off](crate::Lab::power_off).
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.live().is_on()
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

    /// The same for a method of that name.
    #[track_caller]
    pub(crate) fn run_as<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let here = self.on();
        let (over, end) = mpsc::channel();
        let start = || {
            let _over = over;
            on_thread::go(&here.place, self.name());
            work()
        };
        let call = format_args!("`{name}` on {}", self.name());
        let ended = on_thread::scoped(self.name(), start, || blocked::wait_for(&end, call));
        let ended = ended.unwrap_or_else(|error| self.give_up("start a thread on", &error));
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
        &self.fabric.hosts[self.at]
    }

    /// Returns the node's namespaces, or an error if it is powered off.
    pub(crate) fn here(&self) -> Result<Arc<Here>, Failure> {
        self.live().here()
    }

    /// Returns whether the node is on and has not been powered off since `here` was its own.
    pub(crate) fn is_still(&self, here: &Arc<Here>) -> bool {
        self.live().is_still(here)
    }

    /// The same where an error cannot be told otherwise than by a panic.
    #[track_caller]
    pub(crate) fn on(&self) -> Arc<Here> {
        // No closure: the line is to be the caller's.
        match self.here() {
            Ok(here) => here,
            Err(_) => panic!("host {}: it is powered off", self.name()),
        }
    }

    /// Returns the failure of a step on something of this node.
    pub(crate) fn failure(&self, step: &str, object: &str, error: &std::io::Error) -> Failure {
        self.live().failure(step, object, error)
    }

    #[track_caller]
    pub(crate) fn give_up(&self, step: &str, error: &std::io::Error) -> ! {
        let message = format!("{step} host {}: {}", self.name(), errno::describe(error));
        isolation::note_lack(&message, step, self.name(), error);
        panic!("{message}")
    }

    /// The panic of a thread of this host, with the host's name before it.
    fn named(&self, panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
        match panics::message(&*panic) {
            Some(text) => Box::new(format!("host {}: {text}", self.name())),
            None => panic,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind, is_on) = (self.name(), self.kind(), self.is_on());
        let mut text = f.debug_struct("Host");
        text.field("name", &name).field("kind", &kind).field("is_on", &is_on).finish()
    }
}
