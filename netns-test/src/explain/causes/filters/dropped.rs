//! Packets that the NATs and firewalls of the lab have dropped or rejected. A counter alone is no
//! cause: it must have counted a packet of the flow that failed. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::evidence::facts::link::Packet;
use crate::evidence::facts::network::{Filter, Network, Protocol, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::Scene;
use crate::explain::sockets::{is_server, plain};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

/// Table of the rules of the lab.
const TABLE: &str = "inet netns-test";

/// Words of the rules about packets to an external port that leads nowhere.
const NO_MAPPING: &str = "no mapping";

/// Returns whether a rule is one of the lab's own.
pub(super) fn is_own(filter: &Filter) -> bool {
    filter.table == TABLE
}

/// Returns whether a verdict leads to such a failure. A reject answers, a drop does not.
pub(super) fn fits(trouble: Trouble, filter: &Filter) -> bool {
    let rejects = filter.verdict.contains("reject");
    match trouble {
        Trouble::Refused | Trouble::HostUnreachable | Trouble::NetworkUnreachable => rejects,
        Trouble::Reset | Trouble::Denied | Trouble::Other => true,
        _ => !rejects,
    }
}

/// Returns whether a firewall of the lab has rejected a packet to a target.
pub(crate) fn has_rejected(scene: &Scene<'_>, target: &Target<'_>) -> bool {
    let is_it = |one: &Drop<'_>| one.rule.rejects() && one.is_of(scene, target);
    drops(scene).iter().any(is_it)
}

/// Returns whether packets to an external port have come, for which a NAT had no mapping.
pub(crate) fn has_no_mapping(
    scene: &Scene<'_>,
    router: &str,
    to: SocketAddr,
    protocol: Protocol,
) -> bool {
    let is_it = |one: &Drop<'_>| {
        one.at.node == router && (one.to, one.protocol) == (to, protocol) && one.has_no_mapping()
    };
    drops(scene).iter().any(is_it)
}

/// Explains a failure by a rule of the lab.
pub(super) fn cause(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    let fits = |one: &&Drop<'_>| fits(scene.trouble, one.rule.filter);
    let all = drops(scene);
    for target in targets {
        // That a port is not forwarded, the way of the packets shows.
        let mut found = all.iter().filter(fits).filter(|one| !one.has_no_mapping());
        if let Some(found) = found.find(|one| one.is_of(scene, target)) {
            let is_sure = target.is_sure && found.is_only;
            let cause = found.explain(scene, Certainty::if_sure(is_sure));
            return Some(cause.shown_by(target.proof.clone()));
        }
    }
    let is_known = targets.iter().any(|target| target.is_sure);
    let is_it = |one: &&Drop<'_>| match scene.trouble {
        Trouble::WouldBlock | Trouble::TimedOut | Trouble::TimeLimit => one.is_awaited(scene),
        Trouble::Denied => one.is_own(scene),
        _ => false,
    };
    let found = all.iter().filter(fits).filter(|_| !is_known).find(is_it)?;
    Some(found.explain(scene, Certainty::Likely))
}

/// A flow of which a rule has dropped packets.
struct Drop<'a> {
    /// Network of the rule.
    at: &'a Network,
    protocol: Protocol,
    from: SocketAddr,
    to: SocketAddr,
    rule: Rule<'a>,
    /// Whether it can have been no other rule.
    is_only: bool,
}

/// A rule of the lab, whose comment is `nat of home on eth0: drop in: no mapping` or `firewall of
/// home: drop out udp`.
#[derive(Clone, Copy)]
struct Rule<'a> {
    filter: &'a Filter,
    /// Whether it is of a NAT, and not of a firewall.
    is_of_nat: bool,
    text: &'a str,
}

impl<'a> Rule<'a> {
    fn of(filter: &'a Filter) -> Option<Self> {
        let comment = filter.text.split_once("comment \"")?.1.strip_suffix('"')?;
        let (subject, text) = comment.split_once(": ")?;
        Some(Self { filter, is_of_nat: subject.starts_with("nat of "), text })
    }

    fn rejects(self) -> bool {
        self.filter.verdict.contains("reject")
    }

    /// Returns whether it may have dropped a packet, by its words.
    fn may_drop(self, protocol: Protocol, is_to_router: bool) -> bool {
        let has = |word: &str| self.text.split(' ').any(|other| other == word);
        let other = if protocol == Protocol::Tcp { "udp" } else { "tcp" };
        let is_for_none = has("ping") || has("icmp") || self.text.contains("of no flow");
        !has(other) && !is_for_none && (self.text.contains(NO_MAPPING) <= is_to_router)
    }
}

/// Returns the flows of which rules have dropped packets.
fn drops<'a>(scene: &Scene<'a>) -> Vec<Drop<'a>> {
    let mut found = Vec::new();
    for at in scene.networks {
        let own = at.filters.iter().filter(|filter| is_own(filter) && filter.packets > 0);
        let rules: Vec<Rule<'_>> = own.filter_map(Rule::of).collect();
        for packet in &at.dropped {
            found.extend(drop_by(at, &rules, packet));
        }
    }
    found
}

fn drop_by<'a>(at: &'a Network, rules: &[Rule<'a>], packet: &Packet) -> Option<Drop<'a>> {
    let (from, to) = (packet.from?, packet.to?);
    let protocols = [Protocol::Tcp, Protocol::Udp];
    let protocol = protocols.into_iter().find(|one| one.word() == packet.protocol)?;
    let mut addresses = at.interfaces.iter().flat_map(|one| &one.addresses);
    let is_to_router = addresses.any(|one| one.address == to.ip());
    let mut rules: Vec<Rule<'_>> =
        rules.iter().filter(|rule| rule.may_drop(protocol, is_to_router)).copied().collect();
    // The answer of a router is dropped, whose packets are to itself.
    rules.sort_by_key(|rule| rule.text.contains(NO_MAPPING) != (is_to_router && rule.is_of_nat));
    let texts: BTreeSet<&str> = rules.iter().map(|rule| rule.text).collect();
    let is_only = texts.len() == 1;
    Some(Drop { at, protocol, from, to, rule: *rules.first()?, is_only })
}

impl Drop<'_> {
    fn has_no_mapping(&self) -> bool {
        self.rule.text.contains(NO_MAPPING)
    }

    /// Returns whether it is of the attempt to reach a target.
    fn is_of(&self, scene: &Scene<'_>, target: &Target<'_>) -> bool {
        let tried = SocketAddr::new(plain(target.to.ip()), target.to.port());
        let is_to = self.to == tried || self.to == target.server;
        is_to && self.protocol == target.protocol && self.is_from(scene, target.from)
    }

    /// Returns whether a node has sent it, as far as the source shows: behind a NAT any may have.
    fn is_from(&self, scene: &Scene<'_>, node: Option<&str>) -> bool {
        let owner = self.owner(scene, self.from.ip());
        node.is_none() || owner == node || owner.is_some_and(|owner| has_nat(scene, owner))
    }

    /// Returns whether the node that has sent it has dropped it itself: the kernel returns an error
    /// to the sender then.
    fn is_own(&self, scene: &Scene<'_>) -> bool {
        let is_failed = scene.node.is_none_or(|failed| failed == self.at.node);
        is_failed && has_address(self.at, self.from.ip())
    }

    /// Returns whether a socket waits for it, or for an answer to it.
    fn is_awaited(&self, scene: &Scene<'_>) -> bool {
        let is_to_router = has_address(self.at, self.to.ip());
        [self.to, self.from].into_iter().any(|end| {
            let Some(owner) = self.owner(scene, end.ip()) else { return false };
            let waits = |node: &str| {
                scene
                    .network(node)
                    .is_some_and(|at| at.sockets.iter().any(|one| self.waits(one, end)))
            };
            let is_failed = |node: &str| scene.node.is_none_or(|failed| failed == node);
            if has_nat(scene, owner) {
                // An inside node has sent to an external port that leads nowhere.
                let sent =
                    scene.nodes().filter(|one| is_failed(&one.node) && one.node != self.at.node);
                return end == self.from
                    && is_to_router
                    && sent
                        .into_iter()
                        .any(|one| one.sockets.iter().any(|one| self.waits(one, end)));
            }
            is_failed(owner) && waits(owner)
        })
    }

    /// Returns whether a socket has the port of an end.
    fn waits(&self, socket: &Socket, end: SocketAddr) -> bool {
        let is_open = is_server(socket)
            || socket.protocol == Protocol::Udp && socket.state == SocketState::Established;
        let has_port = socket.local.is_some_and(|local| local.port() == end.port());
        socket.protocol == self.protocol && is_open && has_port
    }

    /// Returns the node of an address, as the node of the rule sees it.
    fn owner<'b>(&self, scene: &Scene<'b>, address: IpAddr) -> Option<&'b str> {
        scene.map().owner_for(address, Some(&self.at.node))
    }

    fn explain(&self, scene: &Scene<'_>, certainty: Certainty) -> Cause {
        let (node, from, to) = (self.at.node.as_str(), self.from, self.to);
        let what = if self.rule.is_of_nat { "NAT" } else { "firewall" };
        let verb = if self.rule.rejects() { "rejects" } else { "drops" };
        let protocol = self.protocol.word().to_uppercase();
        let text = format!("the {what} of {node} {verb} {protocol} packets from {from} to {to}");
        let rule = self.rule.text;
        let cause = Cause::new(certainty, text)
            .shown_by(format!("its rule \"{rule}\" has counted at least one packet of that flow"))
            .on(node);
        let ends = [from, to].map(|end| self.owner(scene, end.ip()));
        let cause = ends.into_iter().flatten().fold(cause, Cause::on);
        if !self.rule.is_of_nat {
            return cause.try_to(format!("let the firewall of {node} allow what the test needs"));
        }
        if let Some(router) = symmetric(scene, [Some(node), ends[0]]) {
            return cause
                .shown_by(format!(
                    "the NAT of {router} is symmetric: its external port for one node is not that \
                     for another"
                ))
                .try_to(format!(
                    "give {router} a NAT with endpoint-independent mapping, or relay the packets"
                ));
        }
        let receiver = ends[1].filter(|_| !has_address(self.at, to.ip()));
        match receiver {
            Some(inside) => cause.try_to(format!(
                "let {inside} send to {from} first, by the same port, or choose another filtering"
            )),
            None => cause.try_to(format!(
                "let a node behind {node} send first, or forward port {}",
                to.port()
            )),
        }
    }
}

/// Returns the first of some routers that has an external port for each destination.
fn symmetric<'a>(scene: &Scene<'_>, routers: [Option<&'a str>; 2]) -> Option<&'a str> {
    let lab = scene.facts.lab()?;
    let is_it = |name: &&str| {
        lab.node(name).is_some_and(|node| node.nats.iter().any(|nat| nat.is_symmetric))
    };
    routers.into_iter().flatten().find(is_it)
}

fn has_nat(scene: &Scene<'_>, node: &str) -> bool {
    let node = scene.facts.lab().and_then(|lab| lab.node(node));
    node.is_some_and(|node| !node.nats.is_empty())
}

fn has_address(network: &Network, address: IpAddr) -> bool {
    let mut all = network.interfaces.iter().flat_map(|one| &one.addresses);
    all.any(|one| one.address == address)
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::link::Packet;
    use crate::evidence::facts::network::{AttemptKind, Filter};
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::{Sample, end};

    const UNANSWERED: &str = "Os { code: 110, kind: TimedOut, message: \"\" }";

    fn rule(comment: &str, packets: u64) -> Filter {
        Filter {
            table: super::TABLE.into(),
            chain: "firewall-out".into(),
            text: format!("counter packets {packets} drop comment {comment:?}"),
            verdict: "drop".into(),
            packets,
        }
    }

    fn packet(protocol: &str, from: &str, to: &str) -> Packet {
        Packet { protocol: protocol.into(), from: Some(end(from)), to: Some(end(to)) }
    }

    fn unanswered() -> Sample {
        let mut sample = Sample::routed();
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.1.2:80");
        sample.panics(UNANSWERED)
    }

    #[test]
    fn a_counter_is_a_cause_only_if_it_has_counted_the_flow() {
        let mut sample = unanswered();
        sample.network("router").filters.push(rule("firewall of router: drop out all else", 2));
        sample.does_not_say("firewall");
        let other = packet("tcp", "10.0.0.1:41234", "10.0.1.2:81");
        sample.network("router").dropped = vec![other];
        sample.does_not_say("firewall");
        let own = packet("tcp", "10.0.0.1:41234", "10.0.1.2:80");
        sample.network("router").dropped.push(own.clone());
        sample.says(Certain, "the firewall of router drops TCP packets from 10.0.0.1:41234");
        // It may have been either rule.
        sample.network("router").filters.push(rule("firewall of router: drop out tcp 80", 2));
        sample.says(Likely, "the firewall of router drops TCP packets from 10.0.0.1:41234");
        // Those of another protocol have not dropped it.
        for filter in &mut sample.network("router").filters {
            filter.text = filter.text.replace("tcp 80", "udp").replace("all else", "udp 53");
        }
        sample.does_not_say("firewall");
    }

    #[test]
    fn datagrams_are_those_of_a_socket_that_waits() {
        let mut sample = Sample::routed();
        sample.datagrams("client", 1, "0.0.0.0:5000");
        let mut sample = sample.panics("Os { code: 11, kind: WouldBlock, message: \"\" }");
        let comment = "nat of router on eth1: drop in: from an endpoint that was not sent to";
        sample.network("router").filters.push(rule(comment, 1));
        sample.network("router").dropped = vec![packet("udp", "10.0.1.2:53", "10.0.0.1:5000")];
        sample.says(Likely, "the NAT of router drops UDP packets from 10.0.1.2:53");
        sample.network("router").dropped = vec![packet("udp", "10.0.1.2:53", "10.0.0.1:5001")];
        sample.does_not_say("NAT");
    }

    #[test]
    fn the_sender_of_what_its_own_node_drops_gets_an_error() {
        let denied = "Os { code: 1, kind: PermissionDenied, message: \"\" }";
        let mut sample = Sample::pair().panics(denied);
        sample.network("client").filters.push(rule("firewall of client: drop out all else", 1));
        sample.does_not_say("firewall");
        sample.network("client").dropped = vec![packet("udp", "10.0.0.1:5000", "10.0.0.2:53")];
        sample.says(Likely, "the firewall of client drops UDP packets from 10.0.0.1:5000");
        sample.network("client").dropped = vec![packet("udp", "10.0.0.2:53", "10.0.0.1:5000")];
        sample.does_not_say("firewall");
    }
}
