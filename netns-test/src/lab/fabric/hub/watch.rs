//! The watch over the ends of links through the hub: a program on a node may take one down or up.
//! The methods of the lab that change an end pass its state on without the watch.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::diagnose;
use crate::error::Failure;
use crate::lab::fabric::ends::{End, LinkEnds};
use crate::lab::fabric::hub::mirror::Mirror;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::netlink::events::Events;
use crate::sys::fds::Until;
use crate::sys::lock::lock;
use crate::sys::process::signals;
use crate::sys::{errno, fds, process};

/// Name of the thread.
const NAME: &str = "netns-carrier";

/// The thread that watches, and the way to it.
#[derive(Debug)]
pub(crate) struct Watch {
    running: Mutex<Option<Running>>,
    /// Process that has the thread.
    owner: process::Pid,
}

#[derive(Debug)]
struct Running {
    /// The close ends the thread, once it is woken.
    orders: Sender<Order>,
    /// A byte wakes the thread. Its close does not: a forked child may have a copy.
    wake: OwnedFd,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Add(Vec<(usize, Events)>),
    Remove(usize),
}

impl Watch {
    pub(crate) fn start(mirror: Arc<Mirror>, links: Arc<LinkEnds>) -> Result<Self, Failure> {
        let failed = |error| diagnose::explain("start", "the watch of links", &error);
        let (woken, wake) = fds::pipe().map_err(failed)?;
        fds::set_nonblocking(&woken).map_err(failed)?;
        let (orders, taken) = mpsc::channel();
        let watcher =
            Watcher { mirror, links, orders: taken, woken, networks: BTreeMap::default() };
        let thread = signals::spawn_blocking_all(NAME, move || watcher.run()).map_err(failed)?;
        let running = Running { orders, wake, thread };
        Ok(Self { running: Mutex::new(Some(running)), owner: process::id() })
    }

    /// Watches the networks of these nodes, also for changes since before this call. A node that is
    /// watched in another network is no longer watched there.
    pub(crate) fn add(&self, nodes: &[(usize, Arc<Namespaces>)]) -> Result<(), Failure> {
        if nodes.is_empty() {
            return Ok(());
        }
        let opened = on_thread::fresh(|| {
            let open = |(at, here): &(usize, Arc<Namespaces>)| {
                let entered = here.place.enter_network();
                let object = "to the network of a node";
                entered.map_err(|error| errno::failure("setns", object, &error))?;
                Ok((*at, Events::of_links()?))
            };
            nodes.iter().map(open).collect::<Result<Vec<_>, Failure>>()
        })?;
        self.order(Order::Add(opened));
        Ok(())
    }

    /// Lets go of the network of a node.
    pub(crate) fn remove(&self, node: usize) {
        self.order(Order::Remove(node));
    }

    /// Ends the watch.
    pub(crate) fn stop(&self) {
        let running = lock(&self.running).take();
        // A forked child has a copy of this, and no such thread.
        let Some(Running { orders, wake, thread }) = running.filter(|_| self.is_owner()) else {
            return;
        };
        drop(orders);
        // Where the write is refused, the close may wake it.
        drop(fds::write_once(wake.as_fd(), b"x"));
        drop(wake);
        // It does not panic.
        drop(thread.join());
    }

    fn order(&self, order: Order) {
        let running = lock(&self.running);
        if let Some(Running { orders, wake, .. }) = running.as_ref().filter(|_| self.is_owner()) {
            // Both fail only after the thread has ended.
            drop(orders.send(order));
            drop(fds::write_once(wake.as_fd(), b"x"));
        }
    }

    fn is_owner(&self) -> bool {
        process::id() == self.owner
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// State of the thread.
struct Watcher {
    mirror: Arc<Mirror>,
    links: Arc<LinkEnds>,
    orders: Receiver<Order>,
    woken: OwnedFd,
    /// Notifications of the networks of nodes, by the position of the node.
    networks: BTreeMap<usize, Events>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            match self.wait() {
                Ok(None) => return,
                Ok(Some(changed)) => self.pass_on(&changed),
                Err(error) => {
                    let failure = errno::failure("wait for", "changes of links", &error);
                    return self.mirror.note(&failure);
                }
            }
        }
    }

    /// Waits for changes. Returns the nodes that have them; none at the end.
    fn wait(&mut self) -> io::Result<Option<Vec<usize>>> {
        let own = [Until::Readable(self.woken.as_fd())].into_iter();
        let all = own.chain(self.networks.values().map(|events| Until::Readable(events.as_fd())));
        let ready = fds::wait(&all.collect::<Vec<_>>(), None)?;
        let of_networks = self.networks.iter().zip(&ready[1..]);
        let changed = of_networks.filter(|(_, ready)| ready.readable || ready.hung_up);
        let changed = changed.map(|((node, events), _)| {
            events.clear();
            *node
        });
        let mut changed: Vec<usize> = changed.collect();
        if ready[0].readable || ready[0].hung_up {
            fds::read_available(&self.woken, &mut [0; 64])?;
            loop {
                match self.orders.try_recv() {
                    Ok(Order::Add(new)) => {
                        changed.extend(new.iter().map(|(node, _)| *node));
                        self.networks.extend(new);
                    }
                    Ok(Order::Remove(node)) => drop(self.networks.remove(&node)),
                    Err(TryRecvError::Empty) if !ready[0].hung_up => break,
                    // The test has closed the pipe, or the hub has ended.
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(Some(changed))
    }

    fn pass_on(&self, changed: &[usize]) {
        let is_there = |ends: &[End; 2]| ends.iter().any(|end| changed.contains(&end.node));
        if let Err(failure) = self.mirror.links(&self.links.lock(), is_there) {
            self.mirror.note(&failure);
        }
    }
}
