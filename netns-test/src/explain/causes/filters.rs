//! Rules of packet filters that dropped or rejected packets. Pure.

pub(super) mod dropped;

use crate::evidence::facts::network::{Filter, Network};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::scene::{Scene, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    if matches!(scene.trouble, Trouble::AddrInUse | Trouble::TooManyFiles | Trouble::Unresolved) {
        return Vec::new();
    }
    let matched = scene.networks.iter().flat_map(|network| {
        // Those of the lab are judged by the packets that they have dropped.
        let is_of_user = |filter: &&Filter| filter.packets > 0 && !dropped::is_own(filter);
        let filters = network.filters.iter().filter(is_of_user);
        filters.map(move |filter| (network, filter))
    });
    let mut all: Vec<_> =
        matched.filter(|(_, filter)| dropped::fits(scene.trouble, filter)).collect();
    // What names the port of the target comes first, then what has matched most.
    let names = |filter: &Filter| targets.iter().any(|target| names(filter, target));
    all.sort_by_key(|(_, filter)| (!names(filter), std::cmp::Reverse(filter.packets)));
    let found = all.first().map(|(network, filter)| {
        let is_silent = matches!(scene.trouble, Trouble::TimedOut | Trouble::Refused);
        let is_known = targets.iter().any(|target| target.is_sure && self::names(filter, target));
        let named = targets.iter().find(|target| self::names(filter, target));
        let cause = explain(network, filter, is_known && is_silent && all.len() == 1);
        cause.shown_by_all(named.map(|target| target.proof.clone()))
    });
    dropped::cause(scene, targets).into_iter().chain(found).collect()
}

/// Returns whether a rule that names the port of a target has rejected packets.
pub(crate) fn has_rejected(scene: &Scene<'_>, target: &Target<'_>) -> bool {
    let mut filters = scene.networks.iter().flat_map(|network| &network.filters);
    filters.any(|one| one.packets > 0 && one.verdict.contains("reject") && names(one, target))
}

/// Returns whether the text of a rule names the port of a target.
fn names(filter: &Filter, target: &Target<'_>) -> bool {
    let port = target.to.port().to_string();
    let words = filter.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| pair[0] == "dport" && pair[1] == port)
}

fn explain(network: &Network, filter: &Filter, is_sure: bool) -> Cause {
    let node = node_name(&network.node);
    let verb = if filter.verdict.contains("reject") { "rejects" } else { "drops" };
    let place = format!("{} {}", filter.table, filter.chain);
    let text = if filter.text.is_empty() { "its policy".to_owned() } else { filter.text.clone() };
    Cause::new(
        Certainty::if_sure(is_sure),
        format!("a packet filter on {node} {verb} packets: {text}"),
    )
    .shown_by(format!("this rule in {place} on {node} has matched {} packets", filter.packets))
    .try_to("change the rule, or let it accept what the test needs")
    .on(&network.node)
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::network::{AttemptKind, Filter};
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    fn filter(text: &str, verdict: &str, packets: u64) -> Filter {
        Filter {
            table: "inet f".into(),
            chain: "input".into(),
            text: text.into(),
            verdict: verdict.into(),
            packets,
        }
    }

    #[test]
    fn a_rule_that_names_the_port_is_certain() {
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
        let mut sample = sample.panics("Os { code: 110, kind: TimedOut, message: \"\" }");
        let rule = filter("tcp dport 80 drop", "drop", 2);
        sample.network("server").filters.push(rule);
        sample.says(Certain, "a packet filter on server drops packets: tcp dport 80 drop");
        sample.network("server").filters[0].text = "tcp dport 8080 drop".into();
        sample.says(Likely, "a packet filter on server drops packets");
        sample.network("server").filters[0].packets = 0;
        sample.does_not_say("packet filter");
    }

    #[test]
    fn a_drop_does_not_refuse() {
        let mut sample = Sample::pair().panics("Os { code: 111, kind: ConnectionRefused }");
        sample.network("server").filters.push(filter("drop", "drop", 2));
        sample.does_not_say("packet filter");
        sample.network("server").filters.push(filter("reject", "reject", 2));
        assert!(sample.causes().iter().any(|cause| cause.text.contains("server rejects packets")));
    }
}
