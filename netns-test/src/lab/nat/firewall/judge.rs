//! Which flows a new firewall would not have let pass: their packets are to be judged again, while
//! the kernel takes them as packets of a known flow.

use std::net::{IpAddr, SocketAddr};

use crate::lab::plan::nat::{FirewallPlan, FirewallRulePlan};
use crate::lab::plan::routes::fib::Fib;
use crate::lab::plan::{NodePlan, solve};
use crate::lab::topology::nat::model::{FirewallAction, FirewallDirection};

/// Protocols with ports, and those of queries.
const WITH_PORTS: [u8; 2] = [6, 17];
const QUERIES: [u8; 2] = [1, 58];

/// A firewall on its node.
#[derive(Debug)]
pub(in crate::lab::nat) struct Judge<'a> {
    node: &'a NodePlan,
    wall: &'a FirewallPlan,
    fib: Fib,
    /// Addresses that the node has besides those of the plan.
    own: &'a [IpAddr],
}

impl<'a> Judge<'a> {
    /// Returns none for a node without a firewall.
    pub(in crate::lab::nat) fn of(node: &'a NodePlan, own: &'a [IpAddr]) -> Option<Self> {
        let wall = node.firewall.as_ref()?;
        Some(Self { node, wall, fib: solve::fib(node), own })
    }

    /// Returns whether the firewall lets the first packet of a flow pass.
    pub(in crate::lab::nat) fn passes(
        &self,
        protocol: u8,
        from: SocketAddr,
        to: SocketAddr,
    ) -> bool {
        let Some(direction) = self.direction(from.ip(), to.ip()) else { return true };
        let of_rule = |rule: &&FirewallRulePlan| {
            rule.direction == direction && is_match(rule, protocol, from.ip(), to)
        };
        let default = self.wall.defaults[usize::from(direction == FirewallDirection::In)];
        let action = self.wall.rules.iter().find(of_rule).map_or(default, |rule| rule.action);
        action == FirewallAction::Allow
    }

    /// Returns the direction of a flow; none if the firewall does not see it.
    fn direction(&self, from: IpAddr, to: IpAddr) -> Option<FirewallDirection> {
        let is_host = self.wall.outside.is_empty();
        match (self.is_own(from), self.is_own(to)) {
            (true, true) => None,
            (true, false) => is_host.then_some(FirewallDirection::Out),
            (false, true) if is_host => Some(FirewallDirection::In),
            (false, to_itself) => {
                match (self.is_outside(from), to_itself || !self.is_outside(to)) {
                    (true, true) => Some(FirewallDirection::In),
                    (false, false) => Some(FirewallDirection::Out),
                    _ => None,
                }
            }
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        let mut all = self.node.interfaces.iter().flat_map(|one| &one.addresses);
        address.is_loopback()
            || self.own.contains(&address)
            || all.any(|own| own.address() == address)
    }

    fn is_outside(&self, address: IpAddr) -> bool {
        let found = self.fib.look_up(address).map(|(at, _)| &self.node.interfaces[at].name);
        found.is_some_and(|name| self.wall.outside.contains(name))
    }
}

fn is_match(rule: &FirewallRulePlan, protocol: u8, from: IpAddr, to: SocketAddr) -> bool {
    let is_protocol = match rule.protocol {
        Some(wanted) if QUERIES.contains(&wanted) => QUERIES.contains(&protocol),
        Some(wanted) => wanted == protocol,
        None => rule.ports.is_empty() || WITH_PORTS.contains(&protocol),
    };
    is_protocol
        && (rule.ports.is_empty() || rule.ports.iter().any(|ports| ports.contains(&to.port())))
        && (rule.from.is_empty() || rule.from.contains(&from))
        && (rule.to.is_empty() || rule.to.contains(&to.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::topology::{Firewall, Nat, Topology, Traffic};

    #[test]
    fn flows_are_judged_by_the_direction_of_their_first_packet() {
        let mut net = Topology::new();
        let [laptop, server] = ["laptop", "server"].map(|name| net.host(name));
        let home = net.router("home");
        net.link(laptop, home).subnet("192.168.1.0/24");
        let wan = net.link(home, server).subnet("203.0.113.0/24").id();
        net.nat(home, wan, Nat::home());
        let wall = Firewall::new().allow_out(Traffic::tcp(443)).allow_out(Traffic::ping());
        net.firewall(home, wall.deny_out().deny_in());
        let plan = net.plan().unwrap();
        let own = ["203.0.113.9".parse().unwrap()];
        let judge = Judge::of(&plan.nodes()[plan.position(home).unwrap()], &own).unwrap();
        let passes = |protocol, from: &str, to: &str| {
            judge.passes(protocol, from.parse().unwrap(), to.parse().unwrap())
        };
        let (inside, outside) = ("192.168.1.1:5000", "203.0.113.2:5000");
        assert!(passes(6, inside, "203.0.113.2:443"));
        assert!(passes(1, inside, outside));
        assert!(!passes(17, inside, "203.0.113.2:443"));
        assert!(!passes(6, inside, "203.0.113.2:80"));
        // From outside, also to the router.
        assert!(!passes(6, outside, "192.168.1.1:443"));
        assert!(!passes(6, outside, "203.0.113.1:443"));
        // It does not see these.
        assert!(passes(6, "203.0.113.1:9", outside));
        assert!(passes(6, "203.0.113.9:9", outside));
        assert!(passes(6, inside, "192.168.1.2:80"));
        assert!(Judge::of(&plan.nodes()[0], &own).is_none());
    }
}
