//! Address spaces of a lab, between which NATs are the borders: whose an address is, as another
//! node sees it. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::evidence::facts::network::Protocol;
use crate::evidence::facts::topology::{
    LabFacts, LabInterface, LabIpv6, LabNat, LabNode, LabPrefix,
};
use crate::explain::path::Map;
use crate::explain::path::lookup::covers;

/// Most NATs on a way.
const MOST: usize = 4;

/// Order of an address in a realm that is not seen.
const UNSEEN: u32 = u32::MAX;

/// End of a forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded<'a> {
    /// Router that the packets were sent to.
    pub(crate) router: &'a str,
    pub(crate) to: SocketAddr,
    /// Node that has this address.
    pub(crate) node: Option<&'a str>,
}

impl<'a> Map<'a> {
    /// Returns the node that has an address, as a node sees it: in its own realm, else in one
    /// outside of that, else in any. Without a node that looks, the outermost realm comes first.
    pub(crate) fn owner_for(self, address: IpAddr, from: Option<&str>) -> Option<&'a str> {
        let seen = self.seen(from, address.is_ipv4());
        let live = self.networks.iter().flat_map(|network| {
            let has = |one: &&crate::evidence::facts::network::Interface| {
                one.addresses.iter().any(|one| one.address == address)
            };
            let found = network.interfaces.iter().filter(has);
            found.map(move |one| (network.node.as_str(), one.name.as_str()))
        });
        let planned = self.lab.into_iter().flat_map(|lab| &lab.nodes).flat_map(|node| {
            let found = node.interfaces.iter().filter(|one| one.addresses.contains(&address));
            found.map(move |one| (node.name.as_str(), one.name.as_str()))
        });
        let order = |(node, interface): &(&str, &str)| {
            let realm = self.realm(node, interface, address.is_ipv4());
            realm.map_or(0, |realm| seen.get(&realm).copied().unwrap_or(UNSEEN))
        };
        let found = live.chain(planned).min_by_key(order);
        found.map(|(node, _)| node)
    }

    /// Returns whether a node sends to an address of an interface without a NAT that hides it.
    pub(crate) fn sees(self, from: &str, (node, interface): (&str, &str), is_ipv4: bool) -> bool {
        if !self.has_nats() {
            return true;
        }
        let seen = self.seen(Some(from), is_ipv4);
        self.realm(node, interface, is_ipv4).is_none_or(|realm| seen.contains_key(&realm))
    }

    /// Returns the node that has an address which another one does not see, and the router behind
    /// whose NAT it is.
    pub(crate) fn hidden_by(
        self,
        from: &str,
        address: IpAddr,
    ) -> Option<(&'a str, &'a LabNode, &'a LabNat)> {
        let owner = self.owner_for(address, Some(from))?;
        let (router, nat) = self.hidden_of(from, owner, address)?;
        Some((owner, router, nat))
    }

    /// Returns the router behind whose NAT a node has an address, if another one does not see it.
    pub(crate) fn hidden_of(
        self,
        from: &str,
        owner: &str,
        address: IpAddr,
    ) -> Option<(&'a LabNode, &'a LabNat)> {
        let lab = self.lab?;
        let is_ipv4 = address.is_ipv4();
        let interface = interface_with(lab, owner, address)?;
        if self.sees(from, (owner, &interface.name), is_ipv4) {
            return None;
        }
        let realm = realm(interface, is_ipv4);
        let found = borders(lab, is_ipv4).into_iter().find(|(.., inside, _)| *inside == realm);
        found.map(|(router, nat, ..)| (router, nat))
    }

    /// Returns whether an address of a node is behind the NAT of a router.
    pub(crate) fn hidden_by_router(self, router: &str, node: &str, address: IpAddr) -> bool {
        let Some(lab) = self.lab else { return false };
        let Some(interface) = interface_with(lab, node, address) else { return false };
        let is_ipv4 = address.is_ipv4();
        let realm = realm(interface, is_ipv4);
        let mut all = borders(lab, is_ipv4).into_iter();
        node != router && all.any(|(one, _, inside, _)| one.name == router && inside == realm)
    }

    /// Returns whether two interfaces are in one address space.
    pub(crate) fn share_a_realm(
        self,
        one: (&str, &str),
        other: (&str, &str),
        is_ipv4: bool,
    ) -> bool {
        let [one, other] = [one, other].map(|(node, name)| self.realm(node, name, is_ipv4));
        one.is_none() || other.is_none() || one == other
    }

    /// Returns where packets to a forwarded port go, through several NATs if that is so.
    pub(crate) fn forwarded(
        self,
        from: Option<&str>,
        to: SocketAddr,
        protocol: Protocol,
    ) -> Option<Forwarded<'a>> {
        let (mut from, mut to, mut found) = (from, to, None);
        for _ in 0..MOST {
            let Some((router, next)) = self.forward(from, to, protocol) else { break };
            let node = self.owner_for(next.ip(), Some(router));
            let first = found.map_or(router, |known: Forwarded<'_>| known.router);
            found = Some(Forwarded { router: first, to: next, node });
            (from, to) = (Some(router), next);
        }
        found
    }

    fn forward(
        self,
        from: Option<&str>,
        to: SocketAddr,
        protocol: Protocol,
    ) -> Option<(&'a str, SocketAddr)> {
        let lab = self.lab.filter(|_| self.has_nats())?;
        let router = lab.node(self.owner_for(to.ip(), from)?)?;
        let nat = router.nats.iter().find(|nat| nat.has_external(to.ip()))?;
        let inside =
            borders(lab, to.is_ipv4()).into_iter().find(|(node, ..)| node.name == router.name);
        let is_inside = |node: &str| {
            let realms = realms_of(lab, node, to.is_ipv4());
            inside.is_some_and(|(_, _, inside, outside)| {
                realms.contains(&inside) && !realms.contains(&outside)
            })
        };
        if from.is_some_and(is_inside) && !nat.is_hairpinning {
            return None;
        }
        Some((&router.name, nat.inside_of(to, protocol)?))
    }

    pub(crate) fn has_nats(self) -> bool {
        self.lab.is_some_and(|lab| lab.nodes.iter().any(|node| !node.nats.is_empty()))
    }

    /// Returns the realm of an interface; none if the lab does not know it.
    fn realm(self, node: &str, interface: &str, is_ipv4: bool) -> Option<u32> {
        let node = self.lab?.node(node)?;
        let found = node.interfaces.iter().find(|one| one.name == interface)?;
        Some(realm(found, is_ipv4))
    }

    /// Returns the realms that a node sees, with the number of NATs on the way.
    fn seen(self, from: Option<&str>, is_ipv4: bool) -> BTreeMap<u32, u32> {
        let Some(lab) = self.lab else { return BTreeMap::new() };
        let own = match from {
            Some(node) => realms_of(lab, node, is_ipv4),
            None => vec![0],
        };
        let mut seen: BTreeMap<u32, u32> = own.into_iter().map(|realm| (realm, 0)).collect();
        let borders = borders(lab, is_ipv4);
        for steps in 1..=borders.len() as u32 {
            let next = borders.iter().filter(|(.., inside, outside)| {
                seen.get(inside) == Some(&(steps - 1)) && !seen.contains_key(outside)
            });
            let next: Vec<u32> = next.map(|(.., outside)| *outside).collect();
            seen.extend(next.into_iter().map(|realm| (realm, steps)));
        }
        seen
    }
}

impl LabNat {
    /// Returns whether an address is an external one.
    pub(crate) fn has_external(&self, address: IpAddr) -> bool {
        if self.has_prefixes(address) {
            return self.moved(address, false).is_some();
        }
        self.external.contains(&address)
            || self.one_to_one.iter().any(|pair| pair.external == address)
    }

    /// Returns where packets to an external endpoint go without a mapping.
    pub(crate) fn inside_of(&self, to: SocketAddr, protocol: Protocol) -> Option<SocketAddr> {
        if self.has_prefixes(to.ip()) {
            return Some(SocketAddr::new(self.moved(to.ip(), false)?, to.port()));
        }
        if let Some(pair) = self.one_to_one.iter().find(|pair| pair.external == to.ip()) {
            return Some(SocketAddr::new(pair.inside, to.port()));
        }
        let is_it = |one: &&crate::evidence::facts::topology::LabForward| {
            one.protocol == protocol && one.port == to.port() && to.is_ipv4()
        };
        self.forwards.iter().find(is_it).map(|one| one.to)
    }

    /// Returns the external address of packets from an inside one.
    pub(crate) fn external_of(&self, inside: IpAddr) -> Option<IpAddr> {
        if self.has_prefixes(inside) {
            return self.moved(inside, true);
        }
        if let Some(pair) = self.one_to_one.iter().find(|pair| pair.inside == inside) {
            return Some(pair.external);
        }
        self.external.iter().find(|one| one.is_ipv4() == inside.is_ipv4()).copied()
    }

    /// Returns whether it translates the prefix of an address, in place of a mapping.
    pub(crate) fn has_prefixes(&self, address: IpAddr) -> bool {
        address.is_ipv6() && self.ipv6 == LabIpv6::Prefix
    }

    /// Returns an address with the other prefix: that outside, or that inside.
    fn moved(&self, address: IpAddr, is_outward: bool) -> Option<IpAddr> {
        let pair = |one: &LabPrefix| match is_outward {
            true => (one.inside, one.external, one.length),
            false => (one.external, one.inside, one.length),
        };
        let mut pairs = self.prefixes.iter().map(pair);
        let (_, to, length) = pairs.find(|(from, _, length)| covers(*from, *length, address))?;
        let (IpAddr::V6(to), IpAddr::V6(address)) = (to, address) else { return None };
        let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        Some(Ipv6Addr::from_bits(to.to_bits() & !host | address.to_bits() & host).into())
    }
}

/// Returns the NATs that translate a family: router, NAT, realm inside, realm outside.
fn borders(lab: &LabFacts, is_ipv4: bool) -> Vec<(&LabNode, &LabNat, u32, u32)> {
    let routers = lab.nodes.iter().filter(|node| !node.nats.is_empty());
    let all = routers.flat_map(|node| {
        let nats = node.nats.iter().filter(move |nat| is_ipv4 || nat.ipv6 != LabIpv6::Routed);
        nats.filter_map(move |nat| {
            let is_outside = |name: &str| node.nats.iter().any(|nat| nat.outside == name);
            let outside = node.interfaces.iter().find(|one| one.name == nat.outside)?;
            let is_inside = |one: &&LabInterface| {
                !is_outside(&one.name) && has_family(one, is_ipv4) && one.link.is_some()
            };
            let inside = node.interfaces.iter().find(is_inside)?;
            Some((node, nat, realm(inside, is_ipv4), realm(outside, is_ipv4)))
        })
    });
    all.collect()
}

fn realms_of(lab: &LabFacts, node: &str, is_ipv4: bool) -> Vec<u32> {
    let interfaces = lab.node(node).into_iter().flat_map(|node| &node.interfaces);
    let with_family = interfaces.filter(|one| has_family(one, is_ipv4));
    with_family.map(|one| realm(one, is_ipv4)).collect()
}

fn interface_with<'a>(lab: &'a LabFacts, node: &str, address: IpAddr) -> Option<&'a LabInterface> {
    lab.node(node)?.interfaces.iter().find(|one| one.addresses.contains(&address))
}

fn has_family(interface: &LabInterface, is_ipv4: bool) -> bool {
    interface.addresses.iter().any(|one| one.is_ipv4() == is_ipv4)
}

const fn realm(interface: &LabInterface, is_ipv4: bool) -> u32 {
    if is_ipv4 { interface.realm } else { interface.realm_of_ipv6 }
}
