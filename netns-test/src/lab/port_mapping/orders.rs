//! Orders to the thread of a server, and their results.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::error::Failure;
use crate::lab::port_mapping::desk::State;
use crate::sys::errno;
use crate::sys::lock::{lock, wait_while};
use crate::sys::timer::Wakeup;

/// Limit for an order, which takes as long as a few requests to the kernel.
const LIMIT: Duration = Duration::from_secs(60);

/// Number of the first order.
pub(crate) const FIRST: u64 = 1;

/// State that the thread shares with others.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Arc<Mutex<State>>,
    orders: Mutex<Orders>,
    changed: Condvar,
    wakeup: Wakeup,
}

#[derive(Debug, Default)]
struct Orders {
    last: Order,
    /// Number of the last order that was carried out.
    done: u64,
    failure: Option<Failure>,
    ends: bool,
    /// True once the thread has ended, in whatever way.
    has_ended: bool,
}

/// Order to look at interfaces, addresses, plan and leases anew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    pub(crate) number: u64,
    /// True if the server announces a restart to clients.
    pub(crate) announces: bool,
}

impl Shared {
    pub(crate) fn new(state: Arc<Mutex<State>>) -> std::io::Result<Self> {
        let (orders, changed) = (Mutex::default(), Condvar::new());
        Ok(Self { state, orders, changed, wakeup: Wakeup::new()? })
    }

    /// Orders the end of the thread.
    pub(crate) fn end(&self) -> std::io::Result<()> {
        lock(&self.orders).ends = true;
        self.wakeup.wake()
    }

    pub(crate) fn woken(&self) -> BorrowedFd<'_> {
        self.wakeup.descriptor().as_fd()
    }

    /// Returns the order that is to be carried out; none at the end.
    pub(crate) fn next(&self) -> Option<Order> {
        // Until it is cleared, it wakes once more.
        drop(self.wakeup.clear());
        let mut orders = lock(&self.orders);
        let order = orders.last;
        orders.last.announces = false;
        (!orders.ends).then_some(order)
    }

    /// Notes that an order was carried out.
    pub(crate) fn done(&self, number: u64, result: Result<(), Failure>) {
        let mut orders = lock(&self.orders);
        orders.done = number;
        orders.failure = result.err();
        self.changed.notify_all();
    }

    /// Sends an order, and waits until it is carried out.
    pub(crate) fn order(&self, announces: bool) -> Result<(), Failure> {
        let failed = |why: &str| Failure::new("change", "the server of port mapping", why);
        let mut orders = lock(&self.orders);
        orders.last.number += 1;
        orders.last.announces |= announces;
        let number = orders.last.number;
        let woken = self.wakeup.wake();
        woken.map_err(|error| errno::failure("wake", "the server of port mapping", &error))?;
        let is_open = |orders: &mut Orders| orders.done < number && !orders.has_ended;
        let (mut orders, end) = wait_while(&self.changed, orders, LIMIT, is_open);
        match orders.failure.take() {
            Some(failure) => Err(failure),
            None if orders.done >= number => Ok(()),
            None if end.timed_out() => Err(failed("it has not answered within a minute")),
            None => Err(failed("it has panicked")),
        }
    }
}

/// Wakes threads that wait when the server's thread ends, also by a panic.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.0.orders).has_ended = true;
        self.0.changed.notify_all();
    }
}
