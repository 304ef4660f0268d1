//! Addresses on a link: one that did not answer, one that two nodes have, one that is not ready.
//! Pure.

use std::net::IpAddr;

use crate::evidence::facts::network::{Address, Interface, Network};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way;
use crate::explain::causes::way::losses;
use crate::explain::scene::{Scene, node_name};
use crate::explain::sockets::is_loopback;
use crate::explain::target::Target;
use crate::explain::trouble::{self, Trouble};

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let is_about_link = matches!(
        scene.trouble,
        Trouble::TimedOut
            | Trouble::WouldBlock
            | Trouble::HostUnreachable
            | Trouble::NetworkUnreachable
            | Trouble::AddrNotAvailable
            | Trouble::TimeLimit
            | Trouble::Refused
            | Trouble::Reset
    );
    if !is_about_link {
        return Vec::new();
    }
    // What ends the path explains why no answer comes.
    let is_explained =
        !way::causes(scene, targets).is_empty() || !losses::causes(scene, targets).is_empty();
    let silent = if is_explained { None } else { unanswered(scene, targets) };
    [tentative(scene), duplicate(scene), silent].into_iter().flatten().collect()
}

/// Returns each address of each node, with its interface.
fn addresses<'a>(
    scene: &Scene<'a>,
) -> impl Iterator<Item = (&'a Network, &'a Interface, &'a Address)> {
    scene.networks.iter().flat_map(|network| {
        let all = network.interfaces.iter();
        all.flat_map(move |interface| {
            interface.addresses.iter().map(move |one| (network, interface, one))
        })
    })
}

/// Finds an address whose duplicate address detection has not passed (RFC 4862, section 5.4).
fn tentative(scene: &Scene<'_>) -> Option<Cause> {
    if matches!(scene.trouble, Trouble::Refused | Trouble::Reset) {
        return None;
    }
    let named = trouble::addresses(scene.message);
    let is_named = |address: IpAddr| named.iter().any(|one| one.ip() == address);
    let is_it = |one: &Address| one.is_tentative || one.is_duplicate;
    let mut all: Vec<_> = addresses(scene).filter(|(_, _, one)| is_it(one)).collect();
    all.sort_by_key(|(_, _, one)| !is_named(one.address));
    let (network, interface, one) = all.first()?;
    let (node, address) = (node_name(&network.node), one.address);
    let is_sure = scene.trouble == Trouble::AddrNotAvailable && is_named(address);
    let text = if one.is_duplicate {
        format!("{address} on {node} is not usable: another host has it")
    } else {
        format!("{address} on {node} was not usable yet: it is tentative")
    };
    Some(
        Cause::new(Certainty::if_sure(is_sure), text)
            .shown_by(format!(
                "duplicate address detection of {} on {node} has not passed",
                interface.name
            ))
            .try_to("wait until it has, set the address by the lab, which waits, or use `nodad`")
            .on(&network.node),
    )
}

/// Finds an address that two nodes have.
fn duplicate(scene: &Scene<'_>) -> Option<Cause> {
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    let all: Vec<_> = addresses(scene)
        .filter(|(network, _, one)| !network.node.starts_with("net:[") && !is_loopback(one.address))
        .filter(|(_, _, one)| !is_link_local(&one.address))
        .collect();
    let twice = all.iter().enumerate().find_map(|(at, (network, on, one))| {
        let same = |(other, place, two): &&(&Network, &Interface, &Address)| {
            let places = [(network, on), (other, place)];
            let [this, that] = places.map(|(of, on)| (of.node.as_str(), on.name.as_str()));
            // Behind different NATs that is usual.
            other.inode != network.inode
                && two.address == one.address
                && scene.map().share_a_realm(this, that, one.address.is_ipv4())
        };
        all[at + 1..].iter().find(same).map(|(other, ..)| (*network, *other, one.address))
    });
    let (network, other, address) = twice?;
    let (one, two) = (node_name(&network.node), node_name(&other.node));
    Some(
        Cause::likely(format!("{one} and {two} both have the address {address}"))
            .shown_by("packets to it arrive at whichever answers first (ARP, NDP)")
            .try_to("assign each address to one node")
            .on(&network.node)
            .on(&other.node),
    )
}

/// Finds a neighbour that was asked for and did not answer.
fn unanswered(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    if matches!(scene.trouble, Trouble::Refused | Trouble::Reset | Trouble::AddrNotAvailable) {
        return None;
    }
    let all = scene.networks.iter().flat_map(|network| {
        let failed = network
            .neighbours
            .iter()
            .filter(|one| matches!(one.state.as_str(), "FAILED" | "INCOMPLETE"));
        failed.map(move |one| (network, one))
    });
    let is_target = |address| targets.iter().any(|target| target.to.ip() == address);
    let is_own = |network: &Network| scene.node.is_some_and(|node| node == network.node);
    let (network, found) =
        all.min_by_key(|(network, one)| (!is_target(one.address), !is_own(network)))?;
    let (node, address) = (node_name(&network.node), found.address);
    let interface = network.interface(found.device).map_or("?", |one| one.name.as_str());
    let question = if address.is_ipv4() { "ARP" } else { "NDP" };
    let proof = format!("the neighbour entry of {node} for {address} is {}", found.state);
    let cause = match scene.owner(address, Some(&network.node)) {
        Some(owner) => Cause::likely(format!(
            "{} did not answer {question} for {address} on {interface} of {node}",
            node_name(owner)
        ))
        .try_to(format!("look at the links and filters between {node} and {}", node_name(owner)))
        .on(owner),
        None => Cause::likely(format!("no node has the address {address}, which {node} asked for"))
            .try_to("compare the address with those of the lab"),
    };
    Some(cause.shown_by(proof).on(&network.node))
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::network::Neighbour;
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::{Sample, address, device};

    #[test]
    fn a_tentative_address_is_found() {
        const UNAVAILABLE: &str = "Cannot assign requested address (os error 99)";
        let mut sample = Sample::pair();
        let mut eth9 = device("eth9", 9, &[("fd00::1", 64)]);
        sample.network("client").interfaces.push(eth9.clone());
        sample.clone().panics(UNAVAILABLE).does_not_say("tentative");
        eth9.addresses[0].is_tentative = true;
        *sample.interface("client", "eth9") = eth9;
        sample.clone().panics(UNAVAILABLE).says(Likely, "fd00::1 on client was not usable yet");
        let named = format!("bind [fd00::1]:80: {UNAVAILABLE}");
        sample.clone().panics(&named).says(Certain, "fd00::1 on client was not usable yet");
        sample.panics("assertion failed").does_not_say("tentative");
    }

    #[test]
    fn an_address_of_two_nodes_is_found() {
        let mut sample = Sample::pair().hangs();
        sample.does_not_say("both have");
        sample.interface("server", "eth0").addresses[0].address = address("10.0.0.1");
        let causes = sample.causes();
        let text = "client and server both have the address 10.0.0.1";
        assert!(causes.iter().any(|cause| cause.text == text), "{causes:?}");
    }

    #[test]
    fn a_neighbour_that_did_not_answer_is_found() {
        let mut sample = Sample::pair();
        let state = "FAILED".to_owned();
        let to = address("10.0.0.77");
        let entry = Neighbour { address: to, device: 2, mac: String::new(), state };
        sample.network("client").neighbours.push(entry);
        let mut sample = sample.panics("No route to host (os error 113)");
        sample.says(Likely, "no node has the address 10.0.0.77, which client asked for");
        sample.network("client").neighbours[0].address = address("10.0.0.2");
        sample.says(Likely, "server did not answer ARP for 10.0.0.2 on eth0 of client");
        // The link is down: no answer can come.
        let mut cut = sample.clone();
        cut.interface("server", "eth0").is_up = false;
        cut.says(Likely, "link lan is down");
        cut.does_not_say("answer");
        sample.network("client").neighbours[0].state = "REACHABLE".into();
        sample.does_not_say("answer");
    }
}
