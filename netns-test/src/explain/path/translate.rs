//! Translation of a packet on its path, by the NATs of a lab. Pure.

use std::net::SocketAddr;

use crate::evidence::facts::network::{Interface, Network};
use crate::evidence::facts::topology::{LabIpv6, LabNat};
use crate::explain::path::{Crossing, Map, Obstacle, Path};
use crate::explain::sockets::{accepts, is_server};

impl<'a> Map<'a> {
    /// Translates the destination of a packet that has come to an interface of a node.
    pub(super) fn enter(
        self,
        at: &'a Network,
        into: &Interface,
        path: &mut Path<'a>,
    ) -> Result<(), Obstacle<'a>> {
        let node = at.node.as_str();
        path.has_crossed = false;
        // Of an answer.
        let is_known =
            |one: &&Crossing<'_>| one.node == node && one.is_source && one.external == path.to;
        if let Some(known) = path.known.iter().find(is_known) {
            (path.to, path.has_crossed) = (known.inside, true);
            return Ok(());
        }
        let Some(nat) = self.nat(node, |nat| nat.outside == into.name) else { return Ok(()) };
        if nat.has_prefixes(path.to) {
            self.enter_by_prefix(nat, node, path);
            return Ok(());
        }
        if !path.to.is_ipv4() || !nat.has_external(path.to) {
            return Ok(());
        }
        let Some((protocol, port)) = path.port else { return Ok(()) };
        let to = SocketAddr::new(path.to, port);
        let Some(inside) = nat.inside_of(to, protocol) else {
            let takes = at.sockets.iter().filter(|one| is_server(one) && one.protocol == protocol);
            return match takes.into_iter().any(|one| accepts(one, to)) {
                true => Ok(()),
                false => Err(Obstacle::NotForwarded { node, to, protocol }),
            };
        };
        let external = path.to;
        path.crossings.push(Crossing { node, is_source: false, inside: inside.ip(), external });
        (path.to, path.port) = (inside.ip(), Some((protocol, inside.port())));
        path.has_crossed = true;
        Ok(())
    }

    /// Translates the source of a packet that a node forwards by an interface.
    pub(super) fn leave(
        self,
        at: &'a Network,
        out: &Interface,
        path: &mut Path<'a>,
    ) -> Result<(), Obstacle<'a>> {
        let (node, Some(into)) = (at.node.as_str(), path.into) else { return Ok(()) };
        let is_ipv4 = path.to.is_ipv4();
        let crosses = |nat: &LabNat| (nat.outside == out.name) != (nat.outside == into.name);
        let Some(nat) = self.nat(node, crosses) else { return Ok(()) };
        match nat.ipv6 {
            _ if is_ipv4 => {}
            LabIpv6::Routed => return Ok(()),
            LabIpv6::Blocked => return Err(Obstacle::Blocked(node)),
            LabIpv6::Prefix | LabIpv6::Masquerade => {}
        }
        if nat.outside == into.name {
            // From outside.
            return match path.has_crossed {
                true => Ok(()),
                false => Err(Obstacle::Hidden { node, to: path.to }),
            };
        }
        let Some(source) = path.source else {
            path.is_exact = false;
            return Ok(());
        };
        let is_known =
            |one: &&Crossing<'_>| one.node == node && !one.is_source && one.inside == source;
        if let Some(known) = path.known.iter().find(is_known) {
            path.source = Some(known.external);
            return Ok(());
        }
        match nat.external_of(source) {
            Some(external) => {
                path.crossings.push(Crossing { node, is_source: true, inside: source, external });
                path.source = Some(external);
            }
            None if nat.has_prefixes(source) => {
                return Err(Obstacle::NoExternal { node, source });
            }
            None => path.is_known = false,
        }
        Ok(())
    }

    /// Sets the prefix inside in the destination of a packet from outside.
    fn enter_by_prefix(self, nat: &'a LabNat, node: &'a str, path: &mut Path<'a>) {
        let (protocol, port) = path.port.unwrap_or_default();
        let Some(inside) = nat.inside_of(SocketAddr::new(path.to, port), protocol) else { return };
        let external = path.to;
        path.crossings.push(Crossing { node, is_source: false, inside: inside.ip(), external });
        (path.to, path.has_crossed) = (inside.ip(), true);
    }

    fn nat(self, node: &str, is_it: impl Fn(&LabNat) -> bool) -> Option<&'a LabNat> {
        self.lab?.node(node)?.nats.iter().find(|nat| is_it(nat))
    }
}
