//! The nodes and addresses that a failure is about. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::{Attempt, AttemptKind, SocketState};
use crate::explain::Cause;
use crate::explain::path::Map;
use crate::explain::scene;

/// Most nodes and targets that are looked for.
const MOST: usize = 8;

/// Most tries that are looked at, and characters of a text.
const MOST_TRIES: usize = 200;
const MOST_TEXT: usize = 4_000;

/// Subjects of a failure, the most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concern {
    pub(crate) nodes: Vec<String>,
    /// Addresses that a node wanted to reach.
    pub(crate) targets: Vec<(String, IpAddr)>,
}

impl Concern {
    /// Returns what a failure is about.
    pub(crate) fn of(ending: &Ending, facts: &Facts, causes: &[Cause]) -> Self {
        let mut concern = Self::default();
        let panic = panic_of(ending, facts);
        concern.add(facts, panic.map_or("", |event| &event.node));
        let texts = causes
            .iter()
            .flat_map(|cause| std::iter::once(&cause.text).chain(&cause.proof).map(String::as_str));
        let texts = texts.chain([ending.message.as_str()]);
        let texts: Vec<&str> = texts.map(|text| beginning(text, MOST_TEXT)).collect();
        for text in &texts {
            words(text).for_each(|word| concern.add(facts, word));
        }
        concern.look_at_tries(facts);
        let named: Vec<IpAddr> = texts.iter().flat_map(|text| addresses(text)).collect();
        let mut owners = Vec::new();
        for address in &named {
            let from = concern.nodes.first().map(String::as_str);
            let owner = owner(facts, from, *address).map(str::to_owned);
            concern.add(facts, owner.as_deref().unwrap_or_default());
            owners.push(owner);
        }
        // After all of them are known: the first one may be that of the sender.
        for (address, owner) in named.into_iter().zip(owners) {
            let from = concern.nodes.iter().find(|node| Some(*node) != owner.as_ref()).cloned();
            let from = from.unwrap_or_default();
            // A node outside of a NAT has no route to an address inside, and needs none; nor does
            // the NAT to one that it translates.
            if from.is_empty()
                || !is_hidden(facts, &from, address) && !is_external(facts, &from, address)
            {
                concern.target(from, address);
            }
        }
        concern
    }

    /// Adds what nodes have tried: connections that are not answered, and recorded attempts.
    fn look_at_tries(&mut self, facts: &Facts) {
        for network in facts.look().into_iter().flat_map(|look| &look.networks) {
            let waiting = network.sockets.iter().filter(|one| one.state == SocketState::SynSent);
            let waiting = waiting.filter_map(|socket| socket.remote);
            // The remote end is that which has sent the RST.
            let remote = |attempt: &Attempt| match attempt.kind {
                AttemptKind::Reset => attempt.from,
                _ => attempt.to,
            };
            let tried = network.attempts.iter().flatten().filter_map(remote);
            for to in waiting.chain(tried).take(MOST_TRIES) {
                if self.targets.len() >= MOST {
                    return;
                }
                let from = Some(network.node.as_str()).filter(|node| !node.is_empty());
                let Some(other) = owner(facts, from, to.ip()).map(str::to_owned) else {
                    self.add(facts, &network.node);
                    self.target(network.node.clone(), to.ip());
                    continue;
                };
                self.add(facts, &network.node);
                self.add(facts, &other);
                if other != network.node {
                    self.target(network.node.clone(), to.ip());
                }
            }
        }
    }

    fn add(&mut self, facts: &Facts, node: &str) {
        let is_known = facts.lab().is_some_and(|lab| lab.node(node).is_some());
        if is_known && self.nodes.len() < MOST && !self.nodes.iter().any(|other| other == node) {
            self.nodes.push(node.to_owned());
        }
    }

    fn target(&mut self, node: String, address: IpAddr) {
        let target = (node, address);
        let is_one =
            !address.is_unspecified() && !address.is_loopback() && !self.targets.contains(&target);
        if is_one && self.targets.len() < MOST {
            self.targets.push(target);
        }
    }
}

/// Returns the panic that has ended the test: the last one whose message the verdict has.
pub(crate) fn panic_of<'a>(ending: &Ending, facts: &'a Facts) -> Option<&'a Event> {
    scene::last_panic(ending, facts).map(|at| &facts.events[at])
}

/// Returns the time of the panic with which the test ended; what came after it is of the end.
pub(crate) fn failed_at(ending: &Ending, facts: &Facts) -> Option<Duration> {
    let panic = panic_of(ending, facts).filter(|_| ending.kind == EndKind::Panicked);
    panic.map(|event| event.at)
}

/// Returns whether an event is the end of a program that the end of the test has killed.
pub(crate) fn is_killed_by_end(event: &Event, failed: Option<Duration>) -> bool {
    let is_unknown = event.detail("status").is_none_or(|status| status == "has ended");
    event.kind == EventKind::Exit && is_unknown && failed.is_some_and(|failed| event.at > failed)
}

/// Returns the file name of a program's path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

/// Returns the name of the node that has an address, now or as it was built: behind NATs several
/// may have it, of which it is the one that a node sees.
fn owner<'a>(facts: &'a Facts, from: Option<&str>, address: IpAddr) -> Option<&'a str> {
    if address.is_loopback() { None } else { map(facts).owner_for(address, from) }
}

fn is_hidden(facts: &Facts, from: &str, address: IpAddr) -> bool {
    map(facts).hidden_by(from, address).is_some()
}

fn is_external(facts: &Facts, router: &str, address: IpAddr) -> bool {
    let node = facts.lab().and_then(|lab| lab.node(router));
    node.is_some_and(|node| node.nats.iter().any(|nat| nat.has_external(address)))
}

fn map(facts: &Facts) -> Map<'_> {
    Map { networks: facts.look().map_or(&[][..], |look| &look.networks), lab: facts.lab() }
}

fn beginning(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// Returns the words of a text that may be names of nodes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let words = text.split(move |letter| !is_part(letter));
    words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty())
}

/// Returns the addresses in a text.
fn addresses(text: &str) -> Vec<IpAddr> {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, ':' | '.');
    let words = text.split(|letter| !is_part(letter)).map(|word| word.trim_end_matches('.'));
    let parse = |word: &str| {
        let address = word.parse::<SocketAddr>().map(|address| address.ip());
        address.or_else(|_| word.parse()).ok()
    };
    // `::` may end an address, and `:` what is said of one.
    let parse = |word: &str| parse(word).or_else(|| parse(word.strip_suffix(':')?));
    words.filter(|word| word.len() > 2).filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::facts::network::Socket;
    use crate::explain::sample::Sample;

    #[test]
    fn of_two_nodes_with_one_address_it_is_that_which_the_sender_sees() {
        let mut sample = Sample::hidden();
        // Another home: a phone has the address of client.
        let mut phone = sample.facts.labs[0].nodes[0].clone();
        phone.name = "phone".into();
        phone.interfaces[0].realm = 2;
        sample.facts.labs[0].nodes.insert(0, phone);
        let mut network = sample.network("client").clone();
        network.node = "phone".into();
        sample.look().networks.insert(0, network);
        sample.facts.labs[0].links.iter_mut().flat_map(|link| &mut link.ends).for_each(|end| {
            end.node += 1;
        });
        let sample = sample.panics("connect 10.0.0.1:80: timed out");
        let mut from_router = sample.clone();
        from_router.network("router").sockets.push(Socket {
            state: SocketState::SynSent,
            remote: Some("10.0.0.1:80".parse().unwrap()),
            ..Socket::default()
        });
        let event = from_router.facts.events.last_mut().unwrap();
        event.node = "router".into();
        let concern = Concern::of(&from_router.ending, &from_router.facts, &[]);
        assert_eq!(concern.nodes, ["router", "client"]);
        assert_eq!(concern.targets, [("router".to_owned(), "10.0.0.1".parse().unwrap())]);
    }

    #[test]
    fn the_address_of_the_sender_is_no_target_of_the_test() {
        let sample = Sample::pair().panics("send");
        let cause = Cause::likely("packets from 10.0.0.1:5 to 10.0.0.2:53 are dropped");
        let concern = Concern::of(&sample.ending, &sample.facts, &[cause]);
        assert_eq!(concern.nodes, ["client", "server"]);
        let from: Vec<&str> = concern.targets.iter().map(|(from, _)| from.as_str()).collect();
        assert!(!from.contains(&""), "{concern:?}");
        // The test itself has tried to reach a node.
        let sample = Sample::pair().panics("connect 10.0.0.2:80: unreachable");
        let concern = Concern::of(&sample.ending, &sample.facts, &[]);
        assert_eq!(concern.targets, [(String::new(), "10.0.0.2".parse().unwrap())]);
    }

    #[test]
    fn addresses_are_found_in_text() {
        let found = addresses("connect 10.0.0.2:8080: refused, [fd00::1]:80 and 10.0.0.3.");
        let expected =
            ["10.0.0.2", "fd00::1", "10.0.0.3"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(found, expected);
        assert_eq!(addresses("no: add a face, be"), Vec::<IpAddr>::new());
    }
}
