//! Finds the kind of a NAT, as a STUN client with two servers does (RFC 5780).

use std::net::{IpAddr, Ipv4Addr};
use std::panic::Location;
use std::time::Duration;

use crate::error::{Failure, Result};
use crate::lab::observe::probe::ends::{End, Pair, Probe};
use crate::lab::observe::probe::kind::{Hairpinning, NatKind};
use crate::lab::observe::wait::limit::Wait;
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::run::lab::Lab;
use crate::lab::run::node::Node;
use crate::lab::topology::NodeId;
use crate::lab::topology::nat::model::{Filtering, Mapping};

/// Limit of a probe without another one. A loaded machine does not use it up.
const LIMIT: Duration = Duration::from_secs(60);

impl Lab {
    /// Finds what is between a client and two servers: the NAT's mapping, filtering, hairpinning
    /// and port preservation, by UDP over IPv4. The probe is that of RFC 5780, with sockets of its
    /// own on the three nodes.
    ///
    /// Each of the sockets of the client has a mapping afterwards, as those of other programs have.
    ///
    /// [`Wait::nat_kind`] is the same with another time limit, or as a future.
    ///
    /// # Errors
    ///
    /// After 60 seconds, if the client cannot exchange datagrams with both servers, or if so many
    /// are lost that the kind is not known; a node that is given twice or powered off, or a server
    /// without an IPv4 address.
    ///
    /// # Panics
    ///
    /// If a node is of another topology.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use netns_test::{Lab, NodeId, Result};
    /// # fn test(lab: Lab, [client, a, b]: [NodeId; 3]) -> Result<()> {
    /// use netns_test::lab::Nat;
    ///
    /// let kind = lab.nat_kind(client, a, b)?;
    /// println!("{kind}");
    /// assert_eq!(kind, Nat::home());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn nat_kind(&self, client: NodeId, server_a: NodeId, server_b: NodeId) -> Result<NatKind> {
        self[client].wait(LIMIT).nat_kind(&self[server_a], &self[server_b])
    }
}

impl<'lab, M: WaitMode> Wait<'lab, Node, M> {
    /// Finds the kind of the NAT between this node and two servers, as
    /// [`Lab::nat_kind`](crate::Lab::nat_kind) does.
    ///
    /// # Errors
    ///
    /// As that method, with the limit of the wait.
    #[must_use]
    #[track_caller]
    pub fn nat_kind(&self, server_a: &Node, server_b: &Node) -> M::Output<'lab, NatKind> {
        let servers = [server_a.share(), server_b.share()];
        self.on_node(Location::caller(), move |client, deadline| {
            let [a, b] = &servers;
            let places = [client, a, b].map(Node::position);
            if places[0] == places[1] || places[0] == places[2] || places[1] == places[2] {
                let object = format!("the kind of the NAT of {}", client.name());
                let failure = Failure::new("find", object, "a node is given twice");
                return Err(failure.advise("name a client and two servers outside").into());
            }
            find(&Probe::new(&[client, a, b], deadline)?)
        })
    }
}

fn find(probe: &Probe<'_>) -> Result<NatKind> {
    let [a, b] = [1, 2].map(|at| probe.server_address(at, true));
    let (a, b): ([End; 2], [End; 2]) = (probe.open(1, a?)?, probe.open(2, b?)?);
    let [for_source, first, opened, marker, x, y] =
        probe.open(0, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
    let inside = for_source.source_to(a[0].address)?;

    let pair = |inside, outside| Pair { inside, outside };
    let seen = [&a[0], &a[1], &b[0]].map(|server| probe.outward(pair(&first, server)));
    let [one, same_address, other_address] = seen;
    let seen = [one?, same_address?, other_address?];
    let firsts = [&opened, &x, &y].map(|end| Ok((end, probe.outward(pair(end, &a[0]))?)));
    let mut preserved = vec![(&first, seen[0])];
    firsts.into_iter().try_for_each(|one: Result<_>| one.map(|one| preserved.push(one)))?;
    let is_own = |(end, seen): &(&End, _)| *seen == (inside, end.address.port()).into();
    let is_translated = !preserved.iter().all(is_own);
    let is_preserved = preserved.iter().filter(|(end, seen)| end.address.port() == seen.port());

    let filtering = filtering(
        probe,
        pair(&opened, &a[0]),
        [&a[1], &b[1]],
        [pair(&marker, &a[0]), pair(&marker, &b[0])],
    )?;
    let hairpinning = match is_translated {
        true => hairpinning(probe, [&x, &y], pair(&marker, &a[0]), inside)?,
        false => Hairpinning::None,
    };
    let mut external = Vec::new();
    for address in
        seen.iter().chain(preserved.iter().map(|(_, seen)| seen)).map(std::net::SocketAddr::ip)
    {
        if !external.contains(&address) {
            external.push(address);
        }
    }
    // One accident does not decide: a random port can be the inside one, or that can be in use.
    let port_preservation = 2 * is_preserved.count() > preserved.len();
    let mapping = is_translated.then(|| mapping(seen));
    Ok(NatKind { inside, external, mapping, filtering, hairpinning, port_preservation })
}

/// Returns the mapping, from the endpoints that two ports of a server and a second server have seen
/// of one socket.
fn mapping<T: PartialEq>([one, same_address, other_address]: [T; 3]) -> Mapping {
    match (one == same_address, one == other_address) {
        (true, true) => Mapping::EndpointIndependent,
        (true, false) => Mapping::AddressDependent,
        (false, _) => Mapping::AddressAndPortDependent,
    }
}

/// Finds from where an endpoint is reached that has sent to one endpoint of `a` only.
fn filtering(
    probe: &Probe<'_>,
    opened: Pair<'_>,
    [port_of_a, port_of_b]: [&End; 2],
    [marker_of_a, marker_of_b]: [Pair<'_>; 2],
) -> Result<Filtering> {
    let passes = |from, marker| Ok(probe.inward(opened, from, marker)?.is_some());
    // The answer of the one that is known to pass, so that a firewall against all is no filtering.
    probe.there_and_back(opened)?;
    if passes(port_of_b, marker_of_b)? {
        return Ok(Filtering::EndpointIndependent);
    }
    let is_by_address: Result<bool> = passes(port_of_a, marker_of_a);
    Ok(match is_by_address? {
        true => Filtering::AddressDependent,
        false => Filtering::AddressAndPortDependent,
    })
}

/// Finds what happens to packets of two sockets of the client to each other's external endpoints.
fn hairpinning(
    probe: &Probe<'_>,
    [x, y]: [&End; 2],
    marker: Pair<'_>,
    inside: IpAddr,
) -> Result<Hairpinning> {
    let server = marker.outside;
    let heard = probe.marked(y, marker, |probe| {
        let [of_x, of_y] = [x, y].map(|inside| probe.outward(Pair { inside, outside: server }));
        let (of_x, of_y) = (of_x?, of_y?);
        // Both, so that each has sent to the other one, as filters want it.
        probe.send(y, of_x);
        probe.send(x, of_y);
        Ok(())
    })?;
    Ok(match heard {
        None => Hairpinning::None,
        Some(heard) if heard.from.ip() == inside => Hairpinning::InternalSource,
        Some(_) => Hairpinning::ExternalSource,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_follow_from_what_three_endpoints_see() {
        assert_eq!(mapping([1, 1, 1]), Mapping::EndpointIndependent);
        assert_eq!(mapping([1, 1, 2]), Mapping::AddressDependent);
        assert_eq!(mapping([1, 2, 3]), Mapping::AddressAndPortDependent);
        assert_eq!(mapping([1, 2, 1]), Mapping::AddressAndPortDependent);
    }
}
