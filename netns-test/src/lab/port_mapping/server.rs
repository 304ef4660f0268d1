//! The thread that serves hosts on the inside interfaces of a router.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::lab::port_mapping::answers;
use crate::lab::port_mapping::desk::{Desk, Kernel, external};
use crate::lab::port_mapping::inside::{HTTP_PORT, Inside, Socket};
use crate::lab::port_mapping::model::{PortMappingAction, PortMappingAnswer};
use crate::lab::port_mapping::orders::Shared;
use crate::lab::port_mapping::upnp::connection::Connection;
use crate::lab::port_mapping::upnp::{description, ssdp};
use crate::lab::port_mapping::{nat_pmp, pcp};
use crate::lab::topology::PortMappingProtocol::{NatPmp, Pcp, Upnp};
use crate::netlink::Netlink;
use crate::netlink::events::Events;
use crate::netlink::nft::Nft;
use crate::sys::fds::Until;
use crate::sys::fds::named::{PAUSE, wait_named};
use crate::sys::lock::lock;
use crate::sys::net::on_interface;

/// Most connections of clients; the oldest is closed for one more.
const MOST: usize = 256;

/// Number of announcements, and the time after the first; each further one comes after twice the
/// time (RFC 6886, section 3.2.1).
const ANNOUNCEMENTS: u32 = 10;
const FIRST: Duration = Duration::from_millis(250);

/// All hosts of a link, and the port on which clients listen.
const CLIENTS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 5350);

/// State of the thread.
pub(crate) struct Server {
    shared: Arc<Shared>,
    kernel: Kernel,
    events: Events,
    insides: Vec<Inside>,
    connections: Vec<Connection>,
    external: Option<Ipv4Addr>,
    /// The last external address that there was.
    last_external: Option<Ipv4Addr>,
    announcement: Option<Announcement>,
}

/// The next announcement.
#[derive(Clone, Copy)]
struct Announcement {
    at: Instant,
    done: u32,
}

/// A descriptor that is ready.
enum Ready {
    Order,
    Event,
    Socket(usize, Socket),
    Connection(usize),
}

impl Server {
    /// Opens the sockets to the kernel in the network of the calling thread.
    pub(crate) fn open(shared: Arc<Shared>) -> Result<Self, Failure> {
        let kernel = Kernel { nft: Nft::open()?, netlink: Netlink::open()? };
        let events = Events::open()?;
        Ok(Self {
            shared,
            kernel,
            events,
            insides: Vec::new(),
            connections: Vec::new(),
            external: None,
            last_external: None,
            announcement: None,
        })
    }

    /// Serves until the end.
    pub(crate) fn run(mut self) {
        loop {
            let ready = self.wait();
            // The last ones first, so that positions stay right.
            for one in ready.into_iter().rev() {
                match one {
                    Ready::Order => {
                        if self.obey() {
                            return;
                        }
                    }
                    Ready::Event => self.follow(),
                    Ready::Socket(at, socket) => self.serve(at, socket),
                    Ready::Connection(at) => {
                        if !self.with_desk(|desk, all| all[at].go_on(desk)) {
                            drop(self.connections.remove(at));
                        }
                    }
                }
            }
            self.announce();
        }
    }

    fn wait(&self) -> Vec<Ready> {
        let mut all = vec![
            (Ready::Order, Until::Readable(self.shared.woken())),
            (Ready::Event, Until::Readable(self.events.as_fd())),
        ];
        for (at, inside) in self.insides.iter().enumerate() {
            let own = inside.descriptors().into_iter();
            all.extend(own.map(|(socket, fd)| (Ready::Socket(at, socket), Until::Readable(fd))));
        }
        let connections = self.connections.iter().enumerate();
        all.extend(connections.map(|(at, one)| (Ready::Connection(at), one.awaited())));
        let next = self.announcement.map(|one| one.at.saturating_duration_since(Instant::now()));
        wait_named(all, next)
    }

    /// Carries out orders. Returns whether it is the end.
    fn obey(&mut self) -> bool {
        let Some(order) = self.shared.next() else { return true };
        let result = self.refresh();
        if order.announces {
            self.announcement = Some(Announcement { at: Instant::now(), done: 0 });
            self.announce();
        }
        self.shared.done(order.number, result);
        false
    }

    /// Follows changes of interfaces and addresses.
    fn follow(&mut self) {
        self.events.clear();
        if let Err(failure) = self.refresh() {
            let text = format!("the server of port mapping: {failure}");
            lock(&self.shared.state).faults.push(text);
        }
    }

    /// Opens and closes sockets as the interfaces are now, and passes the leases on to the kernel.
    fn refresh(&mut self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        let now = Instant::now();
        let Some(node) = state.node.clone() else { return Ok(()) };
        let Some(nat) = state.nat().cloned() else { return Ok(()) };
        let outsides: Vec<&str> = node.nats.iter().map(|one| one.outside.as_str()).collect();
        let served = nat.port_mapping.as_ref();
        let there = Inside::list(&self.kernel.netlink, &outsides)?;
        self.insides.retain(|one| there.iter().any(|other| one.is_on(other)));
        for inside in there {
            let known = self.insides.iter_mut().find(|one| one.is_on(&inside));
            let inside = match known {
                Some(known) => {
                    known.addresses = inside.addresses;
                    known
                }
                None => {
                    self.insides.push(inside);
                    self.insides.last_mut().expect("it was added")
                }
            };
            inside.open(&node.name, served)?;
        }
        state.leases.expire(now);
        let external = external(&self.kernel.netlink, &nat)?;
        self.external = external;
        // Between two addresses there may be none.
        if external.is_some() {
            let was = std::mem::replace(&mut self.last_external, external);
            if was.is_some() && was != external {
                state.restart_pcp(now);
                self.announcement = Some(Announcement { at: now, done: 0 });
            }
        }
        // A failure is among the faults then.
        let _ = Desk { state: &mut state, kernel: &mut self.kernel, now }.write();
        Ok(())
    }

    fn serve(&mut self, at: usize, socket: Socket) {
        match socket {
            Socket::Requests => self.serve_requests(at),
            Socket::Searches => self.serve_searches(at),
            Socket::Connections => {
                let Some(inside) = self.insides.get(at) else { return };
                let Some((stream, from)) = inside.accept() else { return thread::sleep(PAUSE) };
                self.connections.extend(Connection::new(stream, from));
                if self.connections.len() > MOST {
                    drop(self.connections.remove(0));
                }
            }
        }
    }

    /// Answers a datagram of PCP or NAT-PMP. An answer that cannot be sent is as one that is lost.
    fn serve_requests(&mut self, at: usize) {
        let Some(socket) = self.insides.get(at).and_then(|one| one.requests.as_ref()) else {
            return;
        };
        let mut buffer = [0; 2048];
        let Ok(arrived) = on_interface::receive(socket, &mut buffer) else { return };
        let mut state = lock(&self.shared.state);
        let now = Instant::now();
        state.leases.expire(now);
        let mut desk = Desk { state: &mut state, kernel: &mut self.kernel, now };
        let answer = answers::answer(&mut desk, &buffer[..arrived.length], arrived.from);
        drop(state);
        if let Some(bytes) = answer {
            drop(on_interface::send(socket, &bytes, arrived.to, arrived.from));
        }
    }

    fn serve_searches(&mut self, at: usize) {
        let Some(inside) = self.insides.get(at) else { return };
        let Some(socket) = &inside.searches else { return };
        let mut buffer = [0; 4096];
        let Ok(arrived) = on_interface::receive(socket, &mut buffer) else { return };
        let Some(target) = ssdp::search(&buffer[..arrived.length]) else { return };
        let mut state = lock(&self.shared.state);
        let device = state.node.as_ref().map(|node| description::unique(&node.name));
        let from = inside.own_address(*arrived.from.ip()).unwrap_or(arrived.to);
        let place = SocketAddrV4::new(from, HTTP_PORT);
        let responses = ssdp::responses(&target, &device.unwrap_or_default(), place);
        if responses.is_empty() {
            return;
        }
        let is_silent = state.is_silent();
        let mut desk = Desk { state: &mut state, kernel: &mut self.kernel, now: Instant::now() };
        desk.note(Upnp, arrived.from, PortMappingAction::Discover, PortMappingAnswer::Done);
        drop(state);
        for bytes in responses.iter().filter(|_| !is_silent) {
            drop(on_interface::send(socket, bytes, from, arrived.from));
        }
    }

    fn with_desk<T>(&mut self, work: impl FnOnce(&mut Desk<'_>, &mut [Connection]) -> T) -> T {
        let mut state = lock(&self.shared.state);
        let now = Instant::now();
        state.leases.expire(now);
        let mut desk = Desk { state: &mut state, kernel: &mut self.kernel, now };
        work(&mut desk, &mut self.connections)
    }

    /// Sends the announcement that is due: of a restart, or of another external address.
    fn announce(&mut self) {
        let now = Instant::now();
        let Some(Announcement { at, done }) = self.announcement.filter(|one| one.at <= now) else {
            return;
        };
        let next = Announcement { at: at.max(now) + FIRST * 2_u32.pow(done), done: done + 1 };
        self.announcement = (next.done < ANNOUNCEMENTS).then_some(next);
        let state = lock(&self.shared.state);
        let Some(served) = state.port_mapping().filter(|_| !state.is_silent()) else { return };
        let mut all = Vec::new();
        if let Some(external) = self.external.filter(|_| served.serves(NatPmp)) {
            all.push(nat_pmp::external_address(external, state.epoch(NatPmp, now)));
        }
        if served.serves(Pcp) {
            all.push(pcp::announcement(state.epoch(Pcp, now)));
        }
        drop(state);
        for inside in &self.insides {
            let Some(socket) = &inside.requests else { continue };
            let Some(from) = inside.addresses.first() else { continue };
            for bytes in &all {
                drop(on_interface::send(socket, bytes, from.0, CLIENTS));
            }
        }
    }
}
