//! Changes of the NATs of a running node, and what a NAT has in memory.

pub(crate) mod apply;
pub(crate) mod connections;
pub(crate) mod firewall;
pub(crate) mod port_mapping;

use std::fmt;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::build::nat as rules;
use crate::lab::nat;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
use crate::lab::plan::NodePlan;
use crate::lab::run::node::Node;
use crate::lab::topology::{LinkId, Nat, NodeId, Transport};
use crate::netlink::nft::Nft;

/// NAT of a running router: what it has in memory ([`Node::nat`]).
///
/// ```no_run
/// # fn main() -> netns_test::Result<()> {
/// use netns_test::Topology;
/// use netns_test::lab::Nat;
///
/// let mut net = Topology::new();
/// let (laptop, home, server) = (net.host("laptop"), net.router("home"), net.host("server"));
/// net.link(laptop, home);
/// let wan = net.link(home, server).id();
/// net.nat(home, wan, Nat::home());
/// let lab = net.build()?;
/// let to = (lab[server].ipv4(), 9);
/// let _service = lab[server].run(|| std::net::UdpSocket::bind("0.0.0.0:9"))?;
/// lab[laptop].run(|| std::net::UdpSocket::bind("0.0.0.0:5000")?.send_to(b"hi", to))?;
/// let [only] = &lab[home].nat().mappings()?[..] else { panic!() };
/// assert_eq!(only.inside.port(), 5000);
/// assert_eq!(*only.outside.ip(), lab[home].address_on(wan));
/// lab[home].nat().reboot()?;
/// assert!(lab[home].nat().mappings()?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
#[must_use = "only the methods of this handle do anything"]
pub struct NodeNat<'lab> {
    node: &'lab Node,
}

impl Node {
    /// Returns the handle of the router's NAT: see [`NodeNat`]. Its methods fail on a node without
    /// NAT.
    pub fn nat(&self) -> NodeNat<'_> {
        NodeNat { node: self }
    }

    /// Replaces the NAT of the router by another one, all at once. Forwarded ports stay. If the new
    /// one differs, all mappings are forgotten, and connections through the router break, as when a
    /// router is replaced.
    ///
    /// The NAT stays when the node is powered off and on, and when the lab is extended, unless the
    /// extended topology declares another one than before. External addresses, routes and names
    /// follow: they are those that [`plan`](crate::Topology::plan) computes with this NAT. The
    /// [plan of the lab](crate::Lab::plan) stays the same.
    ///
    /// # Errors
    ///
    /// A node that does not have exactly one NAT: see [`set_nat_on`](Self::set_nat_on). All
    /// mistakes that [`plan`](crate::Topology::plan) finds in the topology with this NAT. A kernel
    /// without nftables or NAT; a node that is powered off. After an error all is as before.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, home: netns_test::NodeId) -> netns_test::Result<()> {
    /// use netns_test::lab::Nat;
    ///
    /// lab[home].set_nat(Nat::symmetric())?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_nat(&self, nat: Nat) -> Result<()> {
        located(self.redeclare("NAT set", |topology| {
            let links = topology.outside_links(self.position());
            let link = self.only_link("set", &links, "set_nat_on")?;
            topology.set_nat(self.position(), link, &nat);
            Ok(())
        }))
    }

    /// Puts a NAT on a link of the router, or replaces the one that it has there. Where there was
    /// none, nodes outside lose their routes to the inside.
    ///
    /// # Errors
    ///
    /// As [`set_nat`](Self::set_nat).
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_nat_on(&self, outside: LinkId, nat: Nat) -> Result<()> {
        located(self.link_of("set", outside).map_err(Into::into).and_then(|link| {
            self.redeclare("NAT set", |topology| {
                topology.set_nat(self.position(), link, &nat);
                Ok(())
            })
        }))
    }

    /// Removes the NATs of the router, and the ports that they forward. Nodes outside get routes to
    /// the inside.
    ///
    /// # Errors
    ///
    /// A node without NAT; insides that cannot be joined with the outside, such as two with the
    /// same subnet; a node that is powered off. After an error all is as before.
    #[track_caller]
    pub fn remove_nat(&self) -> Result<()> {
        located(self.redeclare("NAT removed", |topology| {
            let links = topology.outside_links(self.position());
            if links.is_empty() {
                return Err(self.no_nat("remove"));
            }
            links.into_iter().for_each(|link| topology.remove_nat(self.position(), link));
            Ok(())
        }))
    }

    /// Forwards a port of the NAT that the router has on the link `outside`, as
    /// [`Topology::forward_port`](crate::Topology::forward_port) does, from the moment when this
    /// returns. What other inside endpoints have at this port is forgotten: mappings with their
    /// connections. All others stay.
    ///
    /// # Errors
    ///
    /// As [`set_nat`](Self::set_nat); a port that is forwarded already.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(
    /// #     lab: netns_test::Lab,
    /// #     [home, server]: [netns_test::NodeId; 2],
    /// #     wan: netns_test::LinkId,
    /// # ) -> netns_test::Result<()> {
    /// use netns_test::lab::Transport;
    ///
    /// lab[home].forward_port(wan, Transport::Tcp, 8443, server, 443)?;
    /// lab[home].remove_forward(wan, Transport::Tcp, 8443)?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn forward_port(
        &self,
        outside: LinkId,
        protocol: Transport,
        external_port: u16,
        to: NodeId,
        port: u16,
    ) -> Result<()> {
        let what = format!("{protocol} port {external_port} forwarded");
        located(self.redeclare(&what, |topology| {
            let router = self.id();
            topology.forward_port(router, outside, protocol, external_port, to, port);
            Ok(())
        }))
    }

    /// Removes a forwarded port. Connections through it stay until the port is forwarded to another
    /// endpoint.
    ///
    /// # Errors
    ///
    /// A port that is not forwarded; a node that is powered off.
    #[track_caller]
    pub fn remove_forward(
        &self,
        outside: LinkId,
        protocol: Transport,
        external_port: u16,
    ) -> Result<()> {
        let port = format!("{protocol} port {external_port}");
        located(self.link_of("remove", outside).map_err(Into::into).and_then(|link| {
            self.redeclare(&format!("{port} not forwarded any more"), |topology| {
                let place = (self.position(), link);
                match topology.remove_forward(place, protocol, external_port) {
                    true => Ok(()),
                    false => {
                        let object = format!("{port} of {}", self.name());
                        let failure = Failure::new("remove", object, "it is not forwarded");
                        Err(failure.advise("name link, protocol and port as in `forward_port`"))
                    }
                }
            })
        }))
    }

    /// Returns the node's id in the topology.
    fn id(&self) -> NodeId {
        self.fabric().plan.id(self.position())
    }

    fn link_of(&self, step: &str, link: LinkId) -> Result<usize, Failure> {
        let unknown = || {
            let object = format!("the NAT of {}", self.name());
            let why = "the link is of another topology, or newer than the lab";
            let failure = Failure::new(step, object, why);
            failure.advise("use the ids of the lab's topology, and `extend` it by what is new")
        };
        self.fabric().plan.link_position(link).ok_or_else(unknown)
    }

    /// Returns the only one of the outside links of NATs.
    fn only_link(&self, step: &str, links: &[usize], other: &str) -> Result<usize, Failure> {
        match links {
            [only] => Ok(*only),
            [] => Err(self.no_nat(step)),
            several => {
                let why = format!("it has {} of them", several.len());
                let failure = Failure::new(step, format!("the NAT of {}", self.name()), why);
                Err(failure.advise(format!("name the outside link by `{other}`")))
            }
        }
    }

    fn no_nat(&self, step: &str) -> Failure {
        let failure = Failure::new(step, format!("the NAT of {}", self.name()), "it has none");
        failure.advise("put one on an outside link with `set_nat_on`")
    }

    /// Returns the node as planned, with the NATs and the firewall that it has now.
    pub(crate) fn with_rules(&self) -> NodePlan {
        self.fabric().now().nodes()[self.position()].clone()
    }

    /// Does `work` with a socket in the network of the node, which has this plan.
    fn on_rules<T: Send>(
        &self,
        planned: &NodePlan,
        work: impl FnOnce(&mut Nft, &NodePlan) -> Result<T, Failure> + Send,
    ) -> Result<T> {
        let here = self.here()?;
        Ok(rules::on(&here.place, self.name(), |nft| work(nft, planned))?)
    }
}

impl NodeNat<'_> {
    /// Returns the mappings that exist now, ordered by protocol and inside endpoint: those that
    /// packets have made, those of forwarded ports in use among them, and leased ones.
    ///
    /// # Errors
    ///
    /// A node without NAT, or powered off; a request that the kernel refuses.
    #[track_caller]
    pub fn mappings(&self) -> Result<Vec<NatMapping>> {
        located(self.on("list", |nft, planned| {
            let mut mappings = nat::mappings(nft, planned)?;
            self.node.live().mapper.add_leases(nft, &mut mappings)?;
            Ok(mappings)
        }))
    }

    /// Returns the rules of the NATs that drop packets, with the number of packets and bytes that
    /// each has dropped. Those of a firewall are [`Node::firewall_rules`].
    ///
    /// # Errors
    ///
    /// As [`mappings`](Self::mappings).
    #[track_caller]
    pub fn drops(&self) -> Result<Vec<FirewallCounter>> {
        located(self.on("list", nat::nat_counters))
    }

    /// Forgets all mappings and connections, as if all had timed out at once. The next packet of an
    /// inside endpoint makes a new mapping; TCP connections end. Forwarded and leased ports stay.
    /// Packets that come in meanwhile are dropped.
    ///
    /// # Errors
    ///
    /// As [`mappings`](Self::mappings).
    #[track_caller]
    pub fn flush(&self) -> Result<()> {
        self.note("mappings flushed");
        located(self.on("flush", nat::flush))
    }

    /// Restarts the NAT and the firewall: all mappings, leases, connections and counters are lost,
    /// as by a restart of the router. Epochs of port mapping begin with 0, which the router
    /// announces. Its links keep their carrier; for a restart that takes time, see
    /// [`Lab::power_off`](crate::Lab::power_off).
    ///
    /// # Errors
    ///
    /// As [`mappings`](Self::mappings).
    #[track_caller]
    pub fn reboot(&self) -> Result<()> {
        self.note("NAT restarted");
        located(self.on("restart", |nft, planned| {
            nat::apply(nft, planned)?;
            nat::flush(nft, planned)?;
            let here = self.node.here()?;
            self.node.live().mapper.follow(planned, &here.place, true)
        }))
    }

    fn on<T: Send>(
        &self,
        step: &str,
        work: impl FnOnce(&mut Nft, &NodePlan) -> Result<T, Failure> + Send,
    ) -> Result<T> {
        // It is not replaced meanwhile.
        let _links = self.node.fabric().links.lock();
        let planned = self.node.with_rules();
        if planned.nats.is_empty() {
            return Err(self.node.no_nat(step).into());
        }
        self.node.on_rules(&planned, work)
    }

    fn note(&self, what: &str) {
        log::note(|| Event::of(EventKind::Rules, self.node.name(), what));
    }
}

/// `NodeNat(of home)`
impl fmt::Debug for NodeNat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeNat(of {})", self.node.name())
    }
}
