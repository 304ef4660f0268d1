//! Inside of a NAT: what depends on its nodes, which are 1:1 addresses, forwards and blocks of
//! ports. Pure.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use crate::lab::plan::nat::realms::{Border, Realms};
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::plan::{InterfacePlan, NodePlan};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::model::Transport;

/// A NAT in its network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) nodes: &'a [NodePlan],
    /// Realms of IPv4.
    pub(crate) realms: &'a Realms,
    pub(crate) router: usize,
    /// Position of the outside interface.
    pub(crate) outside: usize,
}

/// A forwarded port as declared; `to` is the index of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward {
    pub(crate) protocol: Transport,
    pub(crate) external_port: u16,
    pub(crate) to: usize,
    pub(crate) port: u16,
}

impl Site<'_> {
    /// Sets what depends on inside nodes; `one_to_one` has addresses and the indexes of their
    /// nodes. Adds mistakes, each as a reason with advice.
    pub(crate) fn complete(
        &self,
        (plan, nat): (&mut NatPlan, &Nat),
        one_to_one: &[(Ipv4Addr, usize)],
        mistakes: &mut Vec<String>,
    ) {
        if first_ipv4(&self.nodes[self.router].interfaces[self.outside]).is_none() {
            let advice = "give it one, or remove `ipv6_only`";
            mistakes.push(format!("the outside has no IPv4 address; {advice}"));
        }
        if self.realms.bypassed().contains(&self.router) {
            mistakes.push(
                "its inside and its outside are joined by other routers, by which packets would \
                 pass without translation; remove that way, or put a NAT on it, too"
                    .to_owned(),
            );
            return;
        }
        let found = self.one_to_one(plan, one_to_one, mistakes);
        (plan.one_to_one, plan.one_to_one_nodes) = found.into_iter().unzip();
        if let Some(size) = nat.block {
            plan.blocks = self.blocks(plan, size).unwrap_or_else(|mistake| {
                mistakes.push(mistake);
                Vec::new()
            });
        }
    }

    /// Returns a forwarded port that follows `others`.
    ///
    /// # Errors
    ///
    /// The reason, with advice.
    pub(crate) fn forward(
        &self,
        forward: Forward,
        others: &[PortForwardPlan],
    ) -> Result<PortForwardPlan, String> {
        let Forward { protocol, external_port, to, port } = forward;
        if external_port == 0 || port == 0 {
            return Err("there is no port 0; give one from 1 on".to_owned());
        }
        let is_same =
            |one: &&PortForwardPlan| (one.protocol, one.external_port) == (protocol, external_port);
        if let Some(other) = others.iter().find(is_same) {
            let (to, port) = (other.to, other.port);
            return Err(format!("it is forwarded to {to}:{port} already; give another port"));
        }
        let (node, to) = (to, self.inside_address(to)?);
        Ok(PortForwardPlan { protocol, external_port, to, node, port })
    }

    /// Makes a NAT that was planned know the addresses that its inside nodes have now. What is for
    /// a node that is not inside any more stays as it was, and leads nowhere.
    pub(crate) fn follow(&self, plan: &mut NatPlan) {
        let one_to_one = plan.one_to_one.iter_mut().map(|(_, inside)| inside);
        let one_to_one = one_to_one.zip(plan.one_to_one_nodes.iter().copied());
        let forwards = plan.forwards.iter_mut().map(|one| (&mut one.to, one.node));
        for (address, node) in one_to_one.chain(forwards) {
            *address = self.inside_address(node).unwrap_or(*address);
        }
        self.follow_blocks(plan);
    }

    /// Assigns blocks of ports to the inside addresses that have none: those of addresses that are
    /// not inside any more, then new ones as long as there are ports.
    fn follow_blocks(&self, plan: &mut NatPlan) {
        let Some((_, last)) = plan.blocks.last().cloned() else { return };
        let hosts = self.shared_addresses(plan);
        let is_new = |host: &&Ipv4Addr| plan.blocks.iter().all(|(other, _)| other != *host);
        let mut new = hosts.iter().filter(is_new).copied().collect::<Vec<_>>().into_iter();
        for (host, _) in plan.blocks.iter_mut().filter(|(host, _)| !hosts.contains(host)) {
            *host = new.next().unwrap_or(*host);
        }
        let size = last.end() - last.start() + 1;
        let first = last.end().checked_add(1).unwrap_or(u16::MAX);
        let free = (first..=*plan.ports.end()).step_by(size.into());
        let free = free.filter_map(|first| Some(first..=first.checked_add(size - 1)?));
        let free = free.filter(|block| block.end() <= plan.ports.end());
        plan.blocks.extend(new.zip(free));
    }

    /// Returns the first IPv4 address of an inside node.
    fn inside_address(&self, node: usize) -> Result<Ipv4Addr, String> {
        let of_plan = &self.nodes[node];
        let name = &of_plan.name;
        if node == self.router {
            return Err(format!("`{name}` is the router itself; name a node inside"));
        }
        if of_plan.kind == NodeKind::Switch {
            return Err(format!("`{name}` is a switch, which has no address; name a node inside"));
        }
        let mut interfaces = of_plan.interfaces.iter();
        let found = interfaces.find_map(|one| first_ipv4(one).filter(|_| self.is_inside(one)));
        match found {
            Some(address) => Ok(address),
            None if of_plan.interfaces.iter().all(|one| first_ipv4(one).is_none()) => {
                Err(format!("`{name}` has no IPv4 address; give it one"))
            }
            None => {
                let router = &self.nodes[self.router].name;
                Err(format!("`{name}` is not inside of `{router}`; name a node that is"))
            }
        }
    }

    fn is_inside(&self, interface: &InterfacePlan) -> bool {
        self.inside().is_some_and(|realm| self.realms.of(interface.segment) == realm)
    }

    /// Returns the realm of the inside.
    pub(crate) fn inside(&self) -> Option<usize> {
        let router = &self.nodes[self.router];
        let is_inside = |one: &&InterfacePlan| {
            router.border(&one.name, true) == Border::Open && first_ipv4(one).is_some()
        };
        let first = router.interfaces.iter().find(is_inside)?;
        Some(self.realms.of(first.segment))
    }

    fn one_to_one(
        &self,
        plan: &NatPlan,
        given: &[(Ipv4Addr, usize)],
        mistakes: &mut Vec<String>,
    ) -> Vec<((Ipv4Addr, Ipv4Addr), usize)> {
        let own = first_ipv4(&self.nodes[self.router].interfaces[self.outside]);
        let mut found: Vec<((Ipv4Addr, Ipv4Addr), usize)> = Vec::new();
        for &(external, node) in given {
            let name = &self.nodes[node].name;
            let refused = |why: &str| format!("1:1 of {external} and `{name}`: {why}");
            let inside = match self.inside_address(node) {
                Ok(inside) => inside,
                Err(why) => {
                    mistakes.push(refused(&why));
                    continue;
                }
            };
            if Some(external) == own {
                mistakes.push(refused("it is the address of the outside interface; give another"));
            } else if plan.pool.contains(&external) {
                mistakes.push(refused("the pool has the address, too; remove it from one"));
            } else if found.iter().any(|((other, _), _)| *other == external) {
                mistakes.push(refused("the address has another node already; give another"));
            } else if found.iter().any(|((_, other), _)| *other == inside) {
                mistakes.push(refused("the node has another address already; remove one"));
            } else {
                found.push(((external, inside), node));
            }
        }
        found
    }

    /// Returns the ports of each inside host, in the order of nodes.
    fn blocks(
        &self,
        plan: &NatPlan,
        size: u16,
    ) -> Result<Vec<(Ipv4Addr, RangeInclusive<u16>)>, String> {
        if size == 0 {
            return Err("0 ports for each host; give at least 1".to_owned());
        }
        let hosts = self.shared_addresses(plan);
        let count = plan.ports.clone().count();
        if hosts.len() * usize::from(size) > count {
            let hosts = hosts.len();
            return Err(format!(
                "{size} ports for each of {hosts} inside addresses, of {count}; give fewer"
            ));
        }
        let block = |order: usize| {
            let first = plan.ports.start() + size * order as u16;
            first..=first + (size - 1)
        };
        Ok(hosts.into_iter().enumerate().map(|(order, host)| (host, block(order))).collect())
    }

    /// Returns the addresses of inside hosts that share external ones, in the order of nodes.
    fn shared_addresses(&self, plan: &NatPlan) -> Vec<Ipv4Addr> {
        let others = self.nodes.iter().enumerate().filter(|(node, _)| *node != self.router);
        let interfaces = others.flat_map(|(_, node)| &node.interfaces);
        let inside = interfaces.filter(|one| self.is_inside(one));
        let all = inside.flat_map(|one| one.addresses.iter().map(|own| own.address()));
        let is_shared = |address: &Ipv4Addr| plan.one_to_one.iter().all(|(_, one)| one != address);
        all.filter_map(ipv4).filter(is_shared).collect()
    }
}

/// Returns the first IPv4 address of an interface.
pub(crate) fn first_ipv4(interface: &InterfacePlan) -> Option<Ipv4Addr> {
    interface.addresses.iter().find_map(|one| ipv4(one.address()))
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
