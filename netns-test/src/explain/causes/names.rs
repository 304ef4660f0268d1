//! Names that were not found, and addresses outside of the lab. Pure.

use crate::evidence::facts::network::Network;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::path::Map;
use crate::explain::path::lookup::covers;
use crate::explain::scene::{Scene, node_name};
use crate::explain::sockets::is_loopback;
use crate::explain::target::Target;
use crate::explain::trouble::{self, Trouble};

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let found = match scene.trouble {
        Trouble::Unresolved if scene.facts.lab().is_none() => no_resolver(scene),
        Trouble::Unresolved => unresolved(scene),
        Trouble::NetworkUnreachable if scene.facts.lab().is_none() => no_way_out(scene),
        Trouble::NetworkUnreachable | Trouble::HostUnreachable => outside(scene, targets),
        _ => None,
    };
    found.into_iter().collect()
}

/// Advice for a test that wants to leave its network.
const INSIDE: &str =
    "let the test serve what it needs, at an address of its own network, or build a lab for it";

/// Explains a name that was not found by a test without a lab.
fn no_resolver(scene: &Scene<'_>) -> Option<Cause> {
    let network = alone(scene)?;
    let counted = left_by(network).map(|counted| format!(" ({counted})")).unwrap_or_default();
    let cause = Cause::likely(
        "no name server can be asked: the test's own network has only lo, and no way out",
    )
    .shown_by(format!("no route of it leads out{counted}"))
    .shown_by("only names of /etc/hosts are found without a name server, such as localhost");
    Some(cause.try_to("use an address, or a name of /etc/hosts").try_to(INSIDE))
}

/// Explains ENETUNREACH of a test without a lab.
fn no_way_out(scene: &Scene<'_>) -> Option<Cause> {
    let network = alone(scene)?;
    let named =
        trouble::addresses(scene.message).into_iter().chain(trouble::addresses(scene.statement));
    let to = named.map(|end| end.ip()).find(|ip| !is_loopback(*ip) && !ip.is_unspecified());
    let counted = left_by(network);
    let is_sure = counted.is_some() && scene.networks.len() == 1 && scene.has_sockets;
    let text = match to {
        Some(to) => format!("the test's own network has no route to {to}: it has only lo"),
        None => "the test's own network has no route out: it has only lo".to_owned(),
    };
    Some(
        Cause::new(Certainty::if_sure(is_sure), text)
            .shown_by(match counted {
                Some(counted) => format!("a send had no route ({counted})"),
                None => "no route of it leads out".to_owned(),
            })
            .try_to("connect to 127.0.0.1 or ::1, where the test's own servers listen")
            .try_to(INSIDE),
    )
}

/// Returns the network of a test without a lab, if it has only `lo`.
fn alone<'a>(scene: &Scene<'a>) -> Option<&'a Network> {
    let network =
        scene.networks.iter().find(|network| network.is_own || network.node.is_empty())?;
    let is_alone = network.interfaces.iter().all(|interface| interface.name == "lo");
    let leads_out = network
        .routes
        .iter()
        .any(|route| route.kind == "unicast" && !is_loopback(route.destination));
    // Without the feature `lab` interfaces and routes are not read.
    (is_alone && !leads_out).then_some(network)
}

/// Explains a name that was not found.
fn unresolved(scene: &Scene<'_>) -> Option<Cause> {
    let nodes: Vec<&str> = scene.facts.lab()?.nodes.iter().map(|node| node.name.as_str()).collect();
    let cause = match nearest(scene, &nodes) {
        Some((name, node)) => {
            Cause::likely(format!("no node is called {name:?}: the nearest name is {node:?}"))
                .shown_by(format!("nodes of the lab: {}", list(&nodes)))
                .try_to(format!("write {node:?}"))
                .on(node)
        }
        None => Cause::likely("the name is of no node of the lab, and a lab has no other names")
            .shown_by(format!("nodes of the lab: {}", list(&nodes)))
            .try_to("use the name or an address of a node, or serve the name on a node (DNS)"),
    };
    let left = scene.networks.iter().find(|network| left_by(network).is_some());
    Some(match left.and_then(|network| Some((network, left_by(network)?))) {
        Some((network, counted)) => cause.shown_by(format!(
            "{} has asked for it outside of the lab, without a route: {counted}",
            node_name(&network.node)
        )),
        None => cause,
    })
}

/// Returns a name that the test uses and that is nearly that of a node.
fn nearest<'a>(scene: &Scene<'_>, nodes: &[&'a str]) -> Option<(String, &'a str)> {
    let named: Vec<&str> = [scene.message].into_iter().chain(literals(scene.statement)).collect();
    let around: Vec<&str> = scene.ending.source.iter().flat_map(|line| literals(line)).collect();
    nearest_of(&named, nodes).or_else(|| nearest_of(&around, nodes))
}

/// Returns the texts between quotes in a line of source: other words are names of variables.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

fn nearest_of<'a>(texts: &[&str], nodes: &[&'a str]) -> Option<(String, &'a str)> {
    let words = texts.iter().flat_map(|text| text.split(|c: char| !is_of_name(c)));
    let mut best: Option<(usize, String, &str)> = None;
    for word in words.filter(|word| word.len() > 1 && !nodes.contains(word)) {
        for node in nodes {
            let distance = distance(word, node);
            let is_near = distance <= (node.len() / 3).clamp(1, 3);
            if is_near && best.as_ref().is_none_or(|(known, ..)| distance < *known) {
                best = Some((distance, word.to_owned(), node));
            }
        }
    }
    best.map(|(_, word, node)| (word, node))
}

/// Explains a send without a route to an address outside of the lab.
fn outside(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    let lab = scene.facts.lab()?;
    // An address of a subnet of the lab is sought on a link.
    let is_outside = |target: &&Target<'_>| {
        let mut interfaces = scene.networks.iter().flat_map(|network| &network.interfaces);
        target.node.is_none()
            && !interfaces.any(|interface| {
                let mut all = interface.addresses.iter();
                all.any(|one| covers(one.address, one.prefix, target.to.ip()))
            })
    };
    if let Some(target) = targets.iter().find(is_outside) {
        let address = target.to.ip();
        return Some(
            Cause::new(
                Certainty::if_sure(target.is_sure),
                format!("{address} is an address outside of the lab"),
            )
            .shown_by(target.proof.clone())
            .shown_by("no node of the lab has it")
            .try_to("use an address of a node, or add a node that has this address"),
        );
    }
    if !targets.is_empty() {
        return None;
    }
    let node = scene.networks.iter().find(|network| {
        scene.node.is_none_or(|node| node == network.node) && left_by(network).is_some()
    })?;
    let counted = left_by(node)?;
    // A node of the lab without a route is another cause.
    let map = Map { networks: scene.networks, lab: Some(lab) };
    let addresses =
        lab.nodes.iter().flat_map(|node| &node.interfaces).flat_map(|one| &one.addresses);
    let reaches = |to| map.walk(&node.node, None, to).is_none_or(|path| path.end.is_ok());
    if !addresses.copied().all(reaches) {
        return None;
    }
    let name = node_name(&node.node);
    Some(
        Cause::likely(format!("{name} has sent to an address outside of the lab"))
            .shown_by(format!(
                "a send had no route ({counted}), and there is one to each node of the lab"
            ))
            .try_to("use the address or name of a node; the machine's own network is not reached")
            .on(&node.node),
    )
}

/// Returns the counter of packets of a network that had no route.
fn left_by(network: &Network) -> Option<String> {
    let names = ["Ip.OutNoRoutes", "Ip6OutNoRoutes"];
    let found = names.iter().find(|name| network.counter(name) > 0)?;
    Some(format!("{found} {}", network.counter(found)))
}

fn list(nodes: &[&str]) -> String {
    const MOST: usize = 12;
    let more = if nodes.len() > MOST { ", ..." } else { "" };
    format!("{}{more}", nodes[..nodes.len().min(MOST)].join(", "))
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.'
}

/// Returns the number of characters to insert, remove, replace or swap between two words.
fn distance(one: &str, other: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // A word of a message may be long, and the nearest node is not.
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swaps = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swaps { least.min(rows[i - 2][j - 2] + 1) } else { least }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;
    use crate::evidence::facts::network::AttemptKind;
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::{Sample, device};

    const UNRESOLVED: &str = "failed to lookup address information: Name or service not known";

    #[test]
    fn words_have_a_distance() {
        for (one, other, expected) in [
            ("sever", "server", 1),
            ("serevr", "server", 1),
            ("a", "b", 1),
            ("client", "server", 6),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_found() {
        let sample = Sample::pair().panics(UNRESOLVED);
        sample.says(Likely, "the name is of no node of the lab");
        let mut typo = sample.clone();
        typo.ending.source = vec!["let s = TcpStream::connect(\"sevrer:80\").unwrap();".into()];
        typo.says(Likely, "no node is called \"sevrer\": the nearest name is \"server\"");
        // The name of a variable is none of a node.
        typo.ending.source = vec!["let (lab, _server) = pair(\"a\"); connect(\"x:80\")".into()];
        typo.says(Likely, "the name is of no node of the lab");
        let named = "dns error for srver: failed to lookup address information";
        sample.panics(named).says(Likely, "the nearest name is \"server\"");
    }

    #[test]
    fn a_test_without_a_lab_has_no_way_out() {
        let mut sample = Sample::pair();
        sample.facts.labs.clear();
        sample.look().networks.truncate(1);
        let mut unreachable = sample.clone().panics("Network is unreachable (os error 101)");
        unreachable.says(Likely, "the test's own network has no route out: it has only lo");
        unreachable.count("", "Ip.OutNoRoutes", 1);
        unreachable.says(Certain, "the test's own network has no route out: it has only lo");
        unreachable.ending.statement = "TcpStream::connect(\"192.0.2.1:80\").unwrap();".into();
        unreachable.says(Certain, "no route to 192.0.2.1: it has only lo");
        unreachable.network("").interfaces.push(device("dummy0", 2, &[("10.9.0.1", 24)]));
        unreachable.does_not_say("only lo");
        let message = "failed to lookup address information: Temporary failure in name resolution";
        let mut unresolved = sample.panics(message);
        unresolved.says(Likely, "no name server can be asked");
        unresolved.network("").interfaces.push(device("dummy0", 2, &[("10.9.0.1", 24)]));
        unresolved.does_not_say("name server");
    }

    #[test]
    fn an_address_outside_of_the_lab_is_found() {
        const UNREACHABLE: &str = "Os { code: 101, kind: NetworkUnreachable, message: \"\" }";
        let mut sample = Sample::pair().panics(UNREACHABLE);
        sample.does_not_say("outside of the lab");
        sample.count("client", "Ip.OutNoRoutes", 1);
        sample.says(Likely, "client has sent to an address outside of the lab");
        let named = "connect 192.0.2.1:443: Network is unreachable (os error 101)";
        sample.clone().panics(named).says(Certain, "192.0.2.1 is an address outside of the lab");
        // A node of the lab has no route.
        sample.network("client").routes.clear();
        sample.does_not_say("outside of the lab");
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:4", "10.0.0.2:80");
        sample.panics(UNREACHABLE).does_not_say("outside of the lab");
    }
}
