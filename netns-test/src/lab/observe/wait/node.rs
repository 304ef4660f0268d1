//! Events of a host to wait for, instead of sleeping. Each wait has a deadline, and an error that
//! shows what it saw.

use std::sync::Arc;
use std::time::Duration;

use crate::addr::cidr::Subnet;
use crate::error::{Failure, Kind, Result, located};
use crate::lab::fabric::node::Here;
use crate::lab::observe::sockets;
use crate::lab::observe::sockets::{Endpoint, Protocol, Socket};
use crate::lab::observe::wait::limit::{Deadline, PATIENCE, There, Within};
use crate::lab::observe::wait::reachable::Peer;
use crate::lab::run::node::Node;
use crate::lab::topology::input::SubnetArg;
use crate::netlink::events::Events;
use crate::netlink::route::{MAIN, Route};
use crate::netlink::rule::leads_to;
use crate::netlink::state::Interface;

/// How long nothing is looked at where nothing is told.
const PAUSE: Duration = Duration::from_millis(100);

/// The waits last 10 seconds at most; [`within`](Self::within) has others. They end at once where the host is
/// powered off. They block the calling thread: in a task, [`tokio::task::spawn_blocking`] is the place
/// for them.
impl Node {
    /// The same host, for a wait of `limit` at most:
    /// `lab[server].within(Duration::from_secs(60)).wait_listening(80)?`.
    pub fn within(&self, limit: Duration) -> Within<'_, Self> {
        Within { of: self, limit }
    }

    /// Waits until a TCP socket listens where other nodes can reach it: on a port, at any address but those
    /// of loopback; or at the address that is given, which may be one of loopback.
    ///
    /// # Errors
    ///
    /// When the time is over: with what listens.
    #[track_caller]
    pub fn wait_listening(&self, at: impl Into<Endpoint>) -> Result<()> {
        self.within(PATIENCE).wait_listening(at)
    }

    /// Waits until a UDP socket that is connected to nobody is bound where other nodes can reach it, as
    /// [`wait_listening`](Self::wait_listening) has it.
    ///
    /// # Errors
    ///
    /// When the time is over: with what listens.
    #[track_caller]
    pub fn wait_bound(&self, at: impl Into<Endpoint>) -> Result<()> {
        self.within(PATIENCE).wait_bound(at)
    }

    /// Waits until there is an established TCP connection, one end of which is that: a port, an
    /// address, or both.
    ///
    /// # Errors
    ///
    /// When the time is over: with the connections that there are.
    #[track_caller]
    pub fn wait_established(&self, end: impl Into<Endpoint>) -> Result<()> {
        self.within(PATIENCE).wait_established(end)
    }

    /// Waits until an interface is there, up, and carries packets.
    ///
    /// # Errors
    ///
    /// When the time is over: with the interfaces that there are.
    #[track_caller]
    pub fn wait_link_up(&self, interface: &str) -> Result<()> {
        self.within(PATIENCE).wait_link_up(interface)
    }

    /// Waits until there is a route to exactly this destination (`10.9.0.0/24`; the default route is
    /// the one to `0.0.0.0/0` or `::/0`) whose interface is up, in a table that a rule leads to
    /// (ip-rule(8)), if only for some packets.
    ///
    /// # Errors
    ///
    /// At once for a text that is no subnet. When the time is over: with the routes that there are.
    #[track_caller]
    pub fn wait_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        self.within(PATIENCE).wait_route(destination)
    }

    /// Waits until another node answers an ICMP echo request: over IPv4 and over IPv6, if it has
    /// addresses of both. It is given as a node of the lab, by its name, or by one address. A node and a
    /// name stand for the addresses of the plan, whatever it has been given since.
    ///
    /// # Errors
    ///
    /// At once for a name that the lab does not know. When the time is over: with the last node on
    /// the way that answers, and what it says.
    #[track_caller]
    pub fn wait_reachable(&self, other: impl Into<Peer>) -> Result<()> {
        self.within(PATIENCE).wait_reachable(other)
    }
}

/// The waits of a host, with a time of one's own.
impl Within<'_, Node> {
    /// See [`Node::wait_listening`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_listening(&self, at: impl Into<Endpoint>) -> Result<()> {
        located(self.serves(Protocol::Tcp, at.into()))
    }

    /// See [`Node::wait_bound`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_bound(&self, at: impl Into<Endpoint>) -> Result<()> {
        located(self.serves(Protocol::Udp, at.into()))
    }

    /// See [`Node::wait_established`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_established(&self, end: impl Into<Endpoint>) -> Result<()> {
        located(self.try_wait_established(end))
    }

    fn try_wait_established(&self, end: impl Into<Endpoint>) -> Result<()> {
        let end = end.into();
        let show = |sockets: &[Socket], host: &str| {
            let all: Vec<_> = sockets.iter().filter_map(Socket::connection).collect();
            vec![sockets::shown("TCP connections of", host, &all)]
        };
        self.socket(
            &format!("an established connection with {end}"),
            |socket| socket.is_established(end),
            show,
        )
    }

    /// See [`Node::wait_link_up`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_link_up(&self, interface: &str) -> Result<()> {
        located(self.try_wait_link_up(interface))
    }

    fn try_wait_link_up(&self, interface: &str) -> Result<()> {
        let here = self.of.here()?;
        let netlink = &here.netlink;
        let look = || {
            let all = netlink.interfaces()?;
            let is_it = |one: &Interface| one.name == interface && one.is_up && one.is_running;
            let found = all.iter().any(is_it);
            Ok((found, all.iter().map(Interface::to_string).collect()))
        };
        self.event(&format!("interface {interface}"), "it is not up", "interfaces", look)
    }

    /// See [`Node::wait_route`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        located(self.try_wait_route(destination))
    }

    fn try_wait_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        let given = destination.into().0;
        let wanted = given.map_err(|error| {
            Failure::new("wait for", format!("a route of {}", self.of.name()), error.to_string())
        })?;
        let here = self.of.here()?;
        let netlink = &here.netlink;
        let look = || {
            let interfaces = netlink.interfaces()?;
            let name = |index: u32| {
                let interface = interfaces.iter().find(|interface| interface.index == index);
                interface.map_or_else(|| format!("#{index}"), |interface| interface.name.clone())
            };
            let (all, rules) = (netlink.routes()?, netlink.rules()?);
            let vrfs: Vec<u32> = interfaces.iter().filter_map(|one| one.vrf).collect();
            let is_found = |route: &Route| {
                let place = (route.table, wanted.prefix());
                is_to(route, wanted) && leads_to(&rules, &vrfs, wanted.is_ipv4(), place)
            };
            let shown = all.iter().filter(|route| !route.is_local());
            let shown = shown.map(|route| shown_route(route, name));
            let rules =
                rules.iter().filter(|rule| !rule.is_default()).map(|rule| format!("rule {rule}"));
            Ok((all.iter().any(is_found), shown.chain(rules).collect()))
        };
        self.event(&format!("a route to {wanted}"), "there is none", "routes", look)
    }

    fn serves(&self, protocol: Protocol, end: Endpoint) -> Result<()> {
        let show = |sockets: &[Socket], host: &str| sockets::services(sockets, host, protocol, end);
        let what = format!("a socket on {protocol} {end}");
        self.socket(&what, |socket| socket.serves(protocol, end), show)
    }

    fn socket(
        &self,
        what: &str,
        is_it: impl Fn(&Socket) -> bool + Sync,
        show: impl Fn(&[Socket], &str) -> Vec<String> + Sync,
    ) -> Result<()> {
        let (host, deadline) = (self.of.name(), Deadline::new(self.limit));
        let here = self.of.here()?;
        There::on(&here, self.of).run(|| {
            let mut seen = Vec::new();
            let found = deadline.poll(|| {
                seen = sockets::read(host)?;
                self.of.must_be_still(&here, what)?;
                Ok(seen.iter().any(&is_it).then_some(()))
            })?;
            found.ok_or_else(|| {
                let object = format!("{what} of {host}");
                let failure = Failure::new("wait for", object, format!("there is none {deadline}"));
                let shown = show(&seen, host).into_iter();
                shown.fold(failure.of(Kind::Timeout), Failure::advise).into()
            })
        })
    }

    /// Looks again whenever the kernel reports that a link, a route or a rule has changed.
    fn event(
        &self,
        what: &str,
        reason: &str,
        title: &str,
        look: impl Fn() -> Result<(bool, Vec<String>)> + Sync,
    ) -> Result<()> {
        let (host, deadline) = (self.of.name(), Deadline::new(self.limit));
        let here = self.of.here()?;
        There::on(&here, self.of).run(|| {
            // Before the first look, so that nothing is missed.
            let events = Events::open()?;
            loop {
                let is_last = deadline.is_over();
                let (found, seen) = look()?;
                self.of.must_be_still(&here, what)?;
                if found {
                    return Ok(());
                }
                if is_last {
                    let object = format!("{what} of {host}");
                    let failure = Failure::new("wait for", object, format!("{reason} {deadline}"));
                    let failure = failure.of(Kind::Timeout).advise(format!("{title} of {host}:"));
                    let add = |failure: Failure, line| failure.advise(format!("  {line}"));
                    return Err(seen.iter().fold(failure, add).into());
                }
                // Where a host without links is powered off, nothing is told.
                events.wait(deadline.left().min(PAUSE))?;
            }
        })
    }
}

impl Node {
    /// An error once the network is gone in which something is waited for: it cannot come any more.
    pub(crate) fn must_be_still(&self, here: &Arc<Here>, what: &str) -> Result<()> {
        if self.is_still(here) {
            return Ok(());
        }
        let why = format!("{} was powered off meanwhile", self.name());
        Err(Failure::new("wait for", what, why).of(Kind::PoweredOff).into())
    }
}

fn is_to(route: &Route, wanted: Subnet) -> bool {
    route.is_usable && route.destination == (wanted.network(), wanted.prefix())
}

/// `10.0.0.0/24 via 10.1.0.1 dev eth0`, in the words of `ip route`.
fn shown_route(route: &Route, name: impl Fn(u32) -> String) -> String {
    let kind = if route.kind == "unicast" { String::new() } else { format!("{} ", route.kind) };
    let mut text = format!("{kind}{}/{}", route.destination.0, route.destination.1);
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
