//! The impairments of a link in the drawing of a lab, and what its engine has stopped. Pure.

use crate::evidence::facts::Facts;
use crate::evidence::facts::link::Way;
use crate::evidence::facts::topology::LabFacts;
use crate::explain::scene::node_name;

/// Text of a direction without impairments.
const UNIMPAIRED: &str = "unimpaired";

/// Returns the lines of a link: its impairments, then what each direction has stopped. A direct
/// veth pair has none.
pub(super) fn rows(facts: &Facts, lab: &LabFacts, at: usize) -> Vec<String> {
    let link = &lab.links[at];
    let name = |end: usize| {
        let node = link.ends.get(end).and_then(|end| lab.nodes.get(end.node as usize));
        node_name(node.map_or("?", |node| &node.name))
    };
    let ways = [(name(0), name(1)), (name(1), name(0))].map(|(from, to)| format!("{from} to {to}"));
    let is_impaired = |row: &(&String, &String)| row.1 != UNIMPAIRED;
    let impaired: Vec<_> = ways.iter().zip(&link.impairments).filter(is_impaired).collect();
    let mut rows: Vec<String> = match impaired.as_slice() {
        [(_, forth), (_, back)] if forth == back => vec![format!("    both ways: {forth}")],
        _ => impaired.iter().map(|(way, text)| format!("    {way}: {text}")).collect(),
    };
    for (is_back, way) in [false, true].into_iter().zip(&ways) {
        rows.extend(counts(facts, (lab, at), is_back).map(|counts| format!("    {way}: {counts}")));
    }
    rows
}

/// Returns the packets of a direction that have not passed: `of 40 packets 3 lost, 2 held`.
fn counts(facts: &Facts, (lab, at): (&LabFacts, usize), is_back: bool) -> Option<String> {
    let is_it = |way: &&Way| (way.lab, way.link as usize, way.is_back) == (lab.number, at, is_back);
    let way = facts.look()?.ways.iter().find(is_it)?;
    let stopped = way.stopped();
    let all = match way.received {
        1 => "of 1 packet".to_owned(),
        count => format!("of {count} packets"),
    };
    (!stopped.is_empty()).then(|| format!("{all} {}", stopped.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::facts::Look;
    use crate::evidence::facts::topology::{LabEnd, LabLink, LabNode};

    fn facts(impairments: [&str; 2], ways: Vec<Way>) -> Facts {
        let node = |name: &str| LabNode { name: name.into(), ..LabNode::default() };
        let end = |node| LabEnd { node, interface: "eth0".into() };
        let lab = LabFacts {
            number: 1,
            nodes: vec![node("client"), node("server")],
            links: vec![LabLink {
                name: "lan".into(),
                ends: vec![end(0), end(1)],
                impairments: impairments.map(String::from).into(),
            }],
        };
        let looks = vec![Look { ways, ..Look::default() }];
        Facts { labs: vec![lab], looks, ..Facts::default() }
    }

    fn shown(facts: &Facts) -> Vec<String> {
        rows(facts, facts.lab().unwrap(), 0)
    }

    #[test]
    fn directions_that_are_alike_share_a_line() {
        let of = |impairments| shown(&facts(impairments, Vec::new()));
        assert_eq!(of([UNIMPAIRED; 2]), [""; 0]);
        assert_eq!(of(["delay 20ms, loss 1%"; 2]), ["    both ways: delay 20ms, loss 1%"]);
        assert_eq!(of([UNIMPAIRED, "loss 1%"]), ["    server to client: loss 1%"]);
        let both = ["    client to server: loss 2%", "    server to client: loss 1%"];
        assert_eq!(of(["loss 2%", "loss 1%"]), both);
    }

    #[test]
    fn what_was_stopped_is_counted_by_what_has_stopped_it() {
        let way = Way { lab: 1, received: 9, ..Way::default() };
        let forth = Way { lost: 1, dropped_by_rule: 2, dropped_by_queue: 3, ..way.clone() };
        let back = Way { is_back: true, waiting: 1, is_held: true, received: 1, ..way.clone() };
        let of = |impairments, ways| shown(&facts(impairments, ways));
        assert_eq!(
            of(["loss 1%", UNIMPAIRED], vec![forth, back]),
            [
                "    client to server: loss 1%",
                "    client to server: of 9 packets 1 lost, 2 dropped by a rule, 3 dropped by the \
                 full queue",
                "    server to client: of 1 packet 1 held"
            ]
        );
        assert_eq!(of(["loss 1%"; 2], vec![way.clone()]), ["    both ways: loss 1%"]);
        // Another lab, and another link.
        let others = [Way { lab: 2, lost: 1, ..way.clone() }, Way { link: 1, lost: 1, ..way }];
        assert_eq!(of([UNIMPAIRED; 2], others.into()), [""; 0]);
    }
}
