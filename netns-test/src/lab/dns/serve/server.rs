//! The thread that serves the name servers of a lab.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::dns::answer::Answer;
use crate::lab::dns::recurse::Errand;
use crate::lab::dns::serve::connection::Connection;
use crate::lab::dns::serve::peer::Peer;
use crate::lab::dns::serve::shared::Shared;
use crate::lab::dns::serve::socket::Bound;
use crate::lab::dns::serve::upstream::Upstream;
use crate::lab::dns::state::{Case, Handled, Way};
use crate::lab::topology::Transport;
use crate::sys::fds::Until;
use crate::sys::fds::named::{PAUSE, wait_named};
use crate::sys::net::datagram;

/// Most connections of clients; the oldest is closed for one more.
const MOST: usize = 1_024;

/// Most messages of a socket before others have their turn.
const TURN: usize = 64;

/// State of the thread.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    bounds: Vec<Arc<Bound>>,
    connections: Vec<Connection>,
    /// Number of the last connection.
    last: u64,
    later: Vec<(Instant, Peer, Vec<u8>)>,
    upstream: Upstream,
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Order,
    Datagram(usize, usize),
    Listener(usize, usize),
    Upstream(usize, usize),
    Connection(u64),
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (bounds, connections, later) = (Vec::new(), Vec::new(), Vec::new());
        Self { shared, bounds, connections, last: 0, later, upstream: Upstream::default() }
    }

    /// Serves until the end.
    pub(crate) fn run(mut self) {
        loop {
            let mut has_order = false;
            for one in self.wait() {
                match one {
                    Ready::Order => has_order = true,
                    Ready::Datagram(at, socket) => self.receive(at, socket),
                    Ready::Listener(at, listener) => self.accept(at, listener),
                    Ready::Upstream(at, socket) => self.hear(at, socket),
                    Ready::Connection(number) => self.go_on(number),
                }
            }
            self.send_later();
            self.give_up();
            // Last, so that positions stay right.
            if has_order && !self.obey() {
                return;
            }
        }
    }

    fn wait(&self) -> Vec<Ready> {
        let mut all = vec![(Ready::Order, Until::Readable(self.shared.woken()))];
        for (at, bound) in self.bounds.iter().enumerate() {
            let datagrams = bound.datagrams.iter().map(|one| one.as_fd()).enumerate();
            let listeners = bound.listeners.iter().map(|one| one.as_fd()).enumerate();
            let upstreams = bound.upstreams.iter().map(|one| one.as_fd()).enumerate();
            let named = (datagrams.map(|(socket, fd)| (Ready::Datagram(at, socket), fd)))
                .chain(listeners.map(|(listener, fd)| (Ready::Listener(at, listener), fd)))
                .chain(upstreams.map(|(socket, fd)| (Ready::Upstream(at, socket), fd)));
            all.extend(named.map(|(name, fd)| (name, Until::Readable(fd))));
        }
        let connections = self.connections.iter();
        all.extend(connections.map(|one| (Ready::Connection(one.number), one.until())));
        let next = self.later.iter().map(|(at, ..)| *at).chain(self.upstream.next()).min();
        let next = next.map(|at| at.saturating_duration_since(Instant::now()));
        wait_named(all, next)
    }

    /// Takes over the sockets that there are. Returns false at the end.
    fn obey(&mut self) -> bool {
        let Some(bounds) = self.shared.take() else { return false };
        let is_there = |one: &Arc<Bound>| bounds.iter().any(|other| Arc::ptr_eq(one, other));
        self.connections.retain(|one| is_there(&one.bound));
        self.later.retain(|(_, peer, _)| match peer {
            Peer::Datagram(bound, ..) => is_there(bound),
            Peer::Connection(_) => true,
        });
        self.upstream.retain(|bound| is_there(bound));
        self.bounds = bounds;
        self.shared.taken();
        true
    }

    fn receive(&mut self, at: usize, socket: usize) {
        let bound = Arc::clone(&self.bounds[at]);
        let mut buffer = [0; 65_536];
        for _ in 0..TURN {
            // An error is one of an earlier answer, which ICMP has brought back.
            let Ok(arrived) = datagram::receive(&bound.datagrams[socket], &mut buffer) else {
                return;
            };
            let peer = Peer::Datagram(Arc::clone(&bound), socket, arrived.from, arrived.to);
            let way = Way {
                server: bound.server,
                node: bound.node,
                from: arrived.from,
                transport: Transport::Udp,
            };
            self.answer(peer, way, &buffer[..arrived.length]);
        }
    }

    fn accept(&mut self, at: usize, listener: usize) {
        let bound = Arc::clone(&self.bounds[at]);
        for _ in 0..TURN {
            let accepted = match bound.listeners[listener].accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => return thread::sleep(PAUSE),
            };
            self.last += 1;
            self.connections.extend(Connection::new(self.last, accepted, &bound));
            if self.connections.len() > MOST {
                drop(self.connections.remove(0));
            }
        }
    }

    /// Reads, answers and writes what it can without waiting.
    fn go_on(&mut self, number: u64) {
        let Some(connection) = self.connection(number) else { return };
        let mut is_open = connection.receive();
        let (from, bound) = (connection.from, Arc::clone(&connection.bound));
        let (server, node) = (bound.server, bound.node);
        let way = Way { server, node, from, transport: Transport::Tcp };
        while let Some(message) = self.connection(number).and_then(Connection::message) {
            self.answer(Peer::Connection(number), way, &message);
        }
        if let Some(connection) = self.connection(number) {
            is_open = is_open && connection.send();
        }
        if !is_open {
            self.connections.retain(|one| one.number != number);
        }
    }

    fn connection(&mut self, number: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.number == number)
    }

    fn answer(&mut self, peer: Peer, way: Way, message: &[u8]) {
        let handled = self.shared.state().handle(way, message, Instant::now());
        self.act(peer, handled);
    }

    fn act(&mut self, peer: Peer, handled: Handled) {
        match handled {
            Handled::Nothing => {}
            Handled::Reply(bytes, Duration::ZERO) => self.send(&peer, &bytes),
            Handled::Reply(bytes, delay) => {
                self.await_answer(&peer);
                // A delay without end is silence.
                let at = Instant::now().checked_add(delay);
                self.later.extend(at.map(|at| (at, peer, bytes)));
            }
            Handled::Ask(asked, server) => {
                let Some(bound) = self.bound(&peer) else { return };
                self.await_answer(&peer);
                let (case, errand) = *asked;
                self.upstream.ask(&bound, (peer, case, errand), server);
            }
        }
    }

    /// Takes the answers of other servers.
    fn hear(&mut self, at: usize, socket: usize) {
        let bound = Arc::clone(&self.bounds[at]);
        let mut buffer = [0; 65_536];
        for _ in 0..TURN {
            // An error is one of an earlier question, which ICMP has brought back.
            let Ok(arrived) = datagram::receive(&bound.upstreams[socket], &mut buffer) else {
                return;
            };
            let heard = self.upstream.take(&bound, arrived.from, &buffer[..arrived.length]);
            if let Some(((peer, case, errand), found)) = heard {
                self.resume(peer, (case, errand), Some(found));
            }
        }
    }

    /// Goes on without the servers that have not answered in time.
    fn give_up(&mut self) {
        for (peer, case, errand) in self.upstream.late() {
            self.resume(peer, (case, errand), None);
        }
    }

    fn resume(&mut self, peer: Peer, (case, errand): (Case, Errand), found: Option<Answer>) {
        let handled = self.shared.state().resume(case, errand, found);
        let number = match peer {
            Peer::Connection(number) => Some(number),
            Peer::Datagram(..) => None,
        };
        self.act(peer, handled);
        if let Some(number) = number {
            self.connection(number).into_iter().for_each(|one| one.awaited -= 1);
            self.go_on(number);
        }
    }

    fn bound(&mut self, peer: &Peer) -> Option<Arc<Bound>> {
        match peer {
            Peer::Datagram(bound, ..) => Some(Arc::clone(bound)),
            Peer::Connection(number) => Some(Arc::clone(&self.connection(*number)?.bound)),
        }
    }

    /// Keeps the connection of a client open, if it is one, until it has an answer.
    fn await_answer(&mut self, peer: &Peer) {
        if let Peer::Connection(number) = peer {
            self.connection(*number).into_iter().for_each(|one| one.awaited += 1);
        }
    }

    /// Sends an answer. One that cannot be sent is as one that is lost.
    fn send(&mut self, peer: &Peer, bytes: &[u8]) {
        match peer {
            Peer::Datagram(bound, socket, to, from) => {
                drop(datagram::send(&bound.datagrams[*socket], bytes, *from, *to));
            }
            Peer::Connection(number) => {
                self.connection(*number).into_iter().for_each(|one| one.put(bytes));
            }
        }
    }

    /// Sends the answers whose time has come.
    fn send_later(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.later.iter().position(|(at, ..)| *at <= now) {
            let (_, peer, bytes) = self.later.remove(at);
            self.send(&peer, &bytes);
            if let Peer::Connection(number) = peer {
                self.connection(number).into_iter().for_each(|one| one.awaited -= 1);
                self.go_on(number);
            }
        }
    }
}
