//! Waits for events on a node, in place of a sleep. An error at the limit lists what was there
//! instead.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::addr::cidr::{CidrError, Subnet};
use crate::error::{Failure, Kind, Result};
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::lab::observe::sockets;
use crate::lab::observe::sockets::{Endpoint, Protocol};
use crate::lab::observe::wait::deadline::{Deadline, Limit};
use crate::lab::observe::wait::limit::Wait;
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::run::node::Node;
use crate::lab::topology::input::SubnetArg;
use crate::netlink::events::Events;
use crate::netlink::link::Interface;
use crate::netlink::route::{MAIN, Route};
use crate::netlink::rule::leads_to;
use crate::netlink::sock_diag::{Reader, Socket, Wanted};

/// Longest sleep between two looks at the node.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for events on a node. Each ends at once when the node is powered off.
impl<'lab, M: WaitMode> Wait<'lab, Node, M> {
    /// Waits until a TCP socket listens where other nodes can reach it: on a port, at any address
    /// except those of loopback; or at the given address, which may be one of loopback.
    ///
    /// # Errors
    ///
    /// At the limit, with the listening sockets.
    #[track_caller]
    pub fn listening(&self, at: impl Into<Endpoint>) -> M::Output<'lab, ()> {
        self.serving(Location::caller(), Protocol::Tcp, at.into())
    }

    /// Waits until an unconnected UDP socket is bound where other nodes can reach it, at a port or
    /// address as for [`listening`](Self::listening).
    ///
    /// # Errors
    ///
    /// At the limit, with the bound sockets.
    #[track_caller]
    pub fn bound(&self, at: impl Into<Endpoint>) -> M::Output<'lab, ()> {
        self.serving(Location::caller(), Protocol::Udp, at.into())
    }

    /// Waits for an established TCP connection with this local or remote end: a port, an address,
    /// or both.
    ///
    /// # Errors
    ///
    /// At the limit, with the connections.
    #[track_caller]
    pub fn established(&self, end: impl Into<Endpoint>) -> M::Output<'lab, ()> {
        let end = end.into();
        let show = |sockets: &[Socket], node: &str| {
            let all: Vec<_> = sockets.iter().filter_map(Socket::connection).collect();
            vec![sockets::shown("TCP connections of", node, &all)]
        };
        let what = format!("an established connection with {end}");
        let is_match = move |socket: &Socket| socket.is_established(end);
        self.socket(Location::caller(), what, Wanted::Connections, is_match, show)
    }

    /// Waits until the interface of this name exists, is up, and has carrier.
    ///
    /// # Errors
    ///
    /// At the limit, with the node's interfaces.
    #[must_use]
    #[track_caller]
    pub fn link_up(&self, interface: &str) -> M::Output<'lab, ()> {
        let name = interface.to_owned();
        self.on_node(Location::caller(), move |node, deadline| link_up(node, &name, deadline))
    }

    /// Waits for a route to exactly this destination (`10.9.0.0/24`; the default route is the one
    /// to `0.0.0.0/0` or `::/0`). Its interface must be up, and a rule (ip-rule(8)) must lead to
    /// its table, if only for some packets.
    ///
    /// # Errors
    ///
    /// At once for a text that is no subnet. At the limit, with the node's routes.
    #[track_caller]
    pub fn route(&self, destination: impl Into<SubnetArg>) -> M::Output<'lab, ()> {
        let destination = destination.into().0;
        self.on_node(Location::caller(), move |node, deadline| route(node, destination, deadline))
    }

    fn serving(
        &self,
        at: &'static Location<'static>,
        protocol: Protocol,
        end: Endpoint,
    ) -> M::Output<'lab, ()> {
        let show =
            move |sockets: &[Socket], node: &str| sockets::services(sockets, node, protocol, end);
        let what = format!("a socket on {protocol} {end}");
        let is_match = move |socket: &Socket| socket.serves(protocol, end);
        self.socket(at, what, Wanted::Services, is_match, show)
    }

    fn socket(
        &self,
        at: &'static Location<'static>,
        what: String,
        wanted: Wanted,
        is_match: impl Fn(&Socket) -> bool + Send + Sync + 'static,
        show: impl Fn(&[Socket], &str) -> Vec<String> + Send + Sync + 'static,
    ) -> M::Output<'lab, ()> {
        self.on_node(at, move |node, deadline| {
            let here = node.here()?;
            on_thread::within(&here.place, node.name(), || {
                let (mut reader, mut seen) = (Reader::open(), Vec::new());
                let found = deadline.poll(|| {
                    seen = sockets::read(&mut reader, wanted, node.name())?;
                    node.must_be_still(&here, &what)?;
                    Ok(seen.iter().any(&is_match).then_some(()))
                })?;
                found.ok_or_else(|| {
                    let object = format!("{what} of {}", node.name());
                    let reason = format!("there is none {deadline}");
                    let failure = Failure::new("wait for", object, reason).of(deadline.kind());
                    show(&seen, node.name()).into_iter().fold(failure, Failure::advise).into()
                })
            })
        })
    }

    /// Makes a wait of `work`, which blocks its thread.
    pub(crate) fn on_node<T: Send + 'static>(
        &self,
        at: &'static Location<'static>,
        work: impl FnOnce(&Node, &Deadline) -> Result<T> + Send + 'static,
    ) -> M::Output<'lab, T> {
        let node = self.of.share();
        let limit = Limit::new(self.limit, &node.panics);
        M::start(at, limit, move |deadline| M::step(move || work(&node, &deadline)))
    }
}

fn link_up(node: &Node, name: &str, deadline: &Deadline) -> Result<()> {
    let here = node.here()?;
    let look = || {
        let all = here.netlink.interfaces()?;
        let is_it = |one: &Interface| one.name == name && one.is_up && one.is_running;
        let found = all.iter().any(is_it);
        Ok((found, all.iter().map(Interface::to_string).collect()))
    };
    let sought = Sought { object: &format!("interface {name}"), reason: "it is not up" };
    event(node, &here, &sought, ("interfaces", look), deadline)
}

fn route(node: &Node, destination: Result<Subnet, CidrError>, deadline: &Deadline) -> Result<()> {
    let wanted = destination.map_err(|error| {
        Failure::new("wait for", format!("a route of {}", node.name()), error.to_string())
    })?;
    let here = node.here()?;
    let netlink = &here.netlink;
    let look = || {
        let interfaces = netlink.interfaces()?;
        let name = |index: u32| {
            let interface = interfaces.iter().find(|interface| interface.index == index);
            interface.map_or_else(|| format!("#{index}"), |interface| interface.name.clone())
        };
        let (all, rules) = (netlink.routes()?, netlink.rules()?);
        let vrfs: Vec<u32> = interfaces.iter().filter_map(|one| one.vrf).collect();
        let is_match = |route: &Route| {
            let place = (route.table, wanted.prefix());
            is_to(route, wanted) && leads_to(&rules, &vrfs, wanted.is_ipv4(), place)
        };
        let shown = all.iter().filter(|route| !route.is_local());
        let shown = shown.map(|route| shown_route(route, name));
        let rules =
            rules.iter().filter(|rule| !rule.is_default()).map(|rule| format!("rule {rule}"));
        Ok((all.iter().any(is_match), shown.chain(rules).collect()))
    };
    let sought = Sought { object: &format!("a route to {wanted}"), reason: "there is none" };
    event(node, &here, &sought, ("routes", look), deadline)
}

/// Object of a wait, and the reason of its error at the limit.
struct Sought<'a> {
    object: &'a str,
    reason: &'a str,
}

/// Calls `look` whenever the kernel reports a change of a link, a route or a rule, until it finds
/// what is sought. The second value of `look` is the list for the error.
fn event(
    node: &Node,
    here: &Arc<Namespaces>,
    sought: &Sought<'_>,
    (title, look): (&str, impl Fn() -> Result<(bool, Vec<String>)> + Sync),
    deadline: &Deadline,
) -> Result<()> {
    on_thread::within(&here.place, node.name(), || {
        // Opened before the first look, so that no change is missed.
        let events = Events::open()?;
        loop {
            let is_last = deadline.is_over();
            let (found, seen) = look()?;
            node.must_be_still(here, sought.object)?;
            if found {
                return Ok(());
            }
            if is_last {
                let object = format!("{} of {}", sought.object, node.name());
                let reason = format!("{} {deadline}", sought.reason);
                let failure = Failure::new("wait for", object, reason).of(deadline.kind());
                let failure = failure.advise(format!("{title} of {}:", node.name()));
                let add = |failure: Failure, line| failure.advise(format!("  {line}"));
                return Err(seen.iter().fold(failure, add).into());
            }
            // The kernel reports no event when a node without links is powered off.
            events.wait(deadline.left().min(PAUSE))?;
        }
    })
}

impl Node {
    /// Returns an error once the namespaces in `here` are powered off: no event can happen there.
    pub(crate) fn must_be_still(&self, here: &Arc<Namespaces>, what: &str) -> Result<()> {
        if self.is_still(here) {
            return Ok(());
        }
        let why = format!("{} was powered off meanwhile", self.name());
        Err(Failure::new("wait for", what, why).of(Kind::PoweredOff).into())
    }
}

fn is_to(route: &Route, wanted: Subnet) -> bool {
    route.is_usable && route.destination == wanted
}

/// Prints a route as `ip route` does: `10.0.0.0/24 via 10.1.0.1 dev eth0`.
fn shown_route(route: &Route, name: impl Fn(u32) -> String) -> String {
    let kind = if route.kind == "unicast" { String::new() } else { format!("{} ", route.kind) };
    let mut text = format!("{kind}{}", route.destination);
    for hop in &route.hops {
        text += &hop.via.map_or_else(String::new, |via| format!(" via {via}"));
        text += &hop.index.map_or_else(String::new, |index| format!(" dev {}", name(index)));
    }
    if route.table != MAIN {
        text += &format!(" table {}", route.table);
    }
    if !route.is_usable && route.kind == "unicast" {
        text += " linkdown";
    }
    text
}
