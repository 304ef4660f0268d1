//! Sends for which a network had no route. Pure.

use crate::evidence::escapes;
use crate::evidence::facts::Facts;
use crate::evidence::facts::network::{Attempt, AttemptKind, Network};
use crate::report::text::page::{Rank, Section};

/// Most networks, and destinations of one.
const MOST: usize = 4;

/// Returns a line for each network that a test wanted to leave.
pub(crate) fn section(facts: &Facts) -> Section {
    let networks = || facts.look().into_iter().flat_map(|look| &look.networks);
    let mut rows: Vec<String> = networks().filter_map(row).collect();
    if rows.len() > MOST {
        let left = rows.len() - MOST;
        rows.truncate(MOST);
        rows.push(format!("  ... {left} more nodes"));
    }
    Section { title: "Noticed".into(), rows, least: 2, rank: Rank::Counters }
}

fn row(network: &Network) -> Option<String> {
    let node = if network.node.is_empty() { "the test" } else { &network.node };
    let counted: u64 = escapes::COUNTERS.iter().map(|name| network.counter(name)).sum();
    let named: Vec<&Attempt> = network.attempts.iter().flatten().filter(is_escape).collect();
    if !named.is_empty() {
        let count = named.iter().map(|one| one.count).sum::<u64>() + counted;
        let some = named.iter().take(MOST).map(|one| destination(one)).collect::<Vec<_>>();
        let more = if named.len() > MOST { ", ..." } else { "" };
        return Some(format!("  {node}: {}: {}{more}", escapes::sentence(count), some.join(", ")));
    }
    let hint = "(left the lab?). Name them: NETNS_TEST_ESCAPE=trace";
    (counted > 0).then(|| format!("  {node}: {} {hint}", escapes::sentence(counted)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "for a filter")]
fn is_escape(attempt: &&Attempt) -> bool {
    attempt.kind == AttemptKind::Escape
}

/// `udp 192.0.2.1:53 (3 times)`
fn destination(attempt: &Attempt) -> String {
    let to = attempt.to.map(|to| match to.port() {
        0 => to.ip().to_string(),
        _ => to.to_string(),
    });
    let times =
        if attempt.count > 1 { format!(" ({} times)", attempt.count) } else { String::new() };
    format!("{} {}{times}", attempt.protocol.word(), to.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::facts::Look;
    use crate::evidence::facts::network::{Count, Protocol};

    fn rows(network: Network) -> Vec<String> {
        let look = Look { networks: vec![network], ..Look::default() };
        section(&Facts { looks: vec![look], ..Facts::default() }).rows
    }

    #[test]
    fn sends_without_a_route_are_counted_or_named() {
        let counters = vec![Count { name: "Ip.OutNoRoutes".into(), value: 2 }];
        let counted = Network { node: "client".into(), counters, ..Network::default() };
        let expected = "  client: 2 sends had no route (left the lab?). \
                        Name them: NETNS_TEST_ESCAPE=trace";
        assert_eq!(rows(counted), [expected]);
        let escape = |to: &str, count| Attempt {
            kind: AttemptKind::Escape,
            protocol: Protocol::Udp,
            to: Some(to.parse().unwrap()),
            count,
            ..Attempt::default()
        };
        let attempts = Some(vec![escape("192.0.2.1:53", 3), escape("192.0.2.2:0", 1)]);
        let named = Network { attempts, ..Network::default() };
        let expected = "  the test: 4 sends had no route: udp 192.0.2.1:53 (3 times), \
                        udp 192.0.2.2";
        assert_eq!(rows(named), [expected]);
        assert!(rows(Network::default()).is_empty());
    }
}
