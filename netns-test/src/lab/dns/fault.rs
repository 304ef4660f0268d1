//! Faults of a server while it runs. Pure.

use crate::lab::dns::store::{Client, is_of};
use crate::lab::plan::dns::record::FaultPlan;
use crate::lab::topology::Transport;
use crate::lab::topology::dns::fault::FaultKind;
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::RecordType;

/// A fault, and how often it has applied.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// Number by which it is removed; none for one that the topology declares.
    pub(crate) number: Option<u64>,
    /// Server, by its position; none for all.
    pub(crate) server: Option<usize>,
    pub(crate) plan: FaultPlan,
    pub(crate) hits: usize,
}

/// Query as a fault sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) server: usize,
    pub(crate) name: &'a str,
    pub(crate) record_type: RecordType,
    pub(crate) transport: Transport,
    pub(crate) client: Client,
}

impl Running {
    pub(crate) fn new(number: Option<u64>, server: Option<usize>, plan: FaultPlan) -> Self {
        Self { number, server, plan, hits: 0 }
    }

    fn applies(&self, query: &Subject<'_>) -> bool {
        let FaultPlan { names, kind, times, types, transport, clients } = &self.plan;
        let is_over = *kind == FaultKind::Truncated && query.transport == Transport::Tcp;
        !is_over
            && self.server.is_none_or(|server| server == query.server)
            && times.is_none_or(|times| self.hits < times)
            && matches(names, query.name)
            && (types.is_empty() || types.contains(&query.record_type))
            && transport.is_none_or(|transport| transport == query.transport)
            && is_of(clients, query.client)
    }
}

/// Returns the fault that applies to a query, the last one that was set, and counts it.
pub(crate) fn next(all: &mut [Running], query: &Subject<'_>) -> Option<FaultKind> {
    let one = all.iter_mut().rev().find(|one| one.applies(query))?;
    one.hits += 1;
    Some(one.plan.kind)
}

/// Returns whether a pattern matches a canonical name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(rest) => name.len() >= rest.len() && name.ends_with(rest),
        None => name::is_in(name, pattern) && name.len() == pattern.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(names: &str, times: Option<usize>) -> Running {
        let plan = FaultPlan {
            names: names.to_owned(),
            kind: FaultKind::Refused,
            times,
            types: Vec::new(),
            transport: None,
            clients: Vec::new(),
        };
        Running::new(None, None, plan)
    }

    fn query(name: &str) -> Subject<'_> {
        let client = Client { node: None, address: [10, 0, 0, 1].into() };
        let (record_type, transport) = (RecordType::A, Transport::Udp);
        Subject { server: 0, name, record_type, transport, client }
    }

    #[test]
    fn patterns_match_whole_labels() {
        for (pattern, name, expected) in [
            ("*", "a.b", true),
            ("*", "", true),
            ("*.b", "a.b", true),
            ("*.b", "x.a.b", true),
            ("*.b", "b", false),
            ("*.b", "ab", false),
            ("a.b", "a.b", true),
            ("a.b", "x.a.b", false),
            ("a.b", "xa.b", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_fault_ends_after_its_number_and_the_last_one_applies() {
        let mut all = vec![fault("a", None), fault("*", Some(1))];
        all[0].plan.kind = FaultKind::ServFail;
        assert_eq!(next(&mut all, &query("a")), Some(FaultKind::Refused));
        assert_eq!(next(&mut all, &query("a")), Some(FaultKind::ServFail));
        assert_eq!(next(&mut all, &query("b")), None);
        assert_eq!([all[0].hits, all[1].hits], [1, 1]);
    }
}
