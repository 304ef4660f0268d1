//! State of the name servers of a lab: what they know, their faults, and who has asked. It does no
//! I/O but the log of the test.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::dns::answer::{Answer, Code, answer};
use crate::lab::dns::fault;
use crate::lab::dns::fault::{Running, Subject};
use crate::lab::dns::model::{DnsAnswer, DnsQuery, data_text, shown};
use crate::lab::dns::recurse;
use crate::lab::dns::recurse::{Errand, Next};
use crate::lab::dns::store::{Change, Client, Store};
use crate::lab::dns::wire::{Parsed, Query, parse};
use crate::lab::plan::dns::record::{FaultPlan, RecordPlan};
use crate::lab::plan::dns::servers::DnsPlan;
use crate::lab::topology::Transport;
use crate::lab::topology::dns::fault::FaultKind;
use crate::lab::topology::dns::record::RecordType;

/// Most queries that are remembered.
const MOST_QUERIES: usize = 100_000;

/// Most names that no zone has and that are remembered.
const MOST_OUTSIDE: usize = 64;

/// State of all servers.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) plan: Arc<DnsPlan>,
    /// Names of nodes, by position.
    nodes: Vec<String>,
    stores: Vec<Store>,
    /// Changes since the build, each of one server.
    changes: Vec<(usize, Change)>,
    pub(crate) faults: Vec<Running>,
    /// Number of the last fault.
    last_fault: u64,
    queries: VecDeque<DnsQuery>,
    /// Names that no zone has, with the node that has asked for them.
    outside: Vec<(Option<usize>, String)>,
    /// Failures of the thread, which fail the test.
    pub(crate) failures: Vec<String>,
}

/// Way of a query to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) server: usize,
    /// Node in whose network the server was asked.
    pub(crate) node: usize,
    pub(crate) from: SocketAddr,
    pub(crate) transport: Transport,
}

/// A query and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    query: Query,
    way: Way,
    client: Client,
    /// Time of its arrival.
    at: Instant,
    fault: Option<FaultKind>,
}

/// Reaction of a server to a query.
#[derive(Debug)]
pub(crate) enum Handled {
    /// Sends these bytes, at once or later.
    Reply(Vec<u8>, Duration),
    /// Asks another server first.
    Ask(Box<(Case, Errand)>, IpAddr),
    Nothing,
}

impl State {
    /// Makes the servers those of this plan. Changes stay, unless the records of their name are
    /// declared in another way than before.
    pub(crate) fn follow(&mut self, plan: &DnsPlan, nodes: Vec<String>) {
        let before = std::mem::replace(&mut self.plan, Arc::new(plan.clone()));
        self.nodes = nodes;
        let declared = |plan: &DnsPlan, server: usize, name: &str| {
            let all = plan.servers.get(server).into_iter().flat_map(|one| &one.records);
            all.filter(|one| one.name == name).cloned().collect::<Vec<_>>()
        };
        let is_same = |(server, change): &(usize, Change)| {
            let name = change.name();
            declared(&before, *server, name) == declared(plan, *server, name)
        };
        self.changes.retain(is_same);
        for (at, server) in plan.servers.iter().enumerate() {
            let old = before.servers.get(at).map_or(&[][..], |one| &one.faults);
            if old != server.faults {
                self.faults.retain(|one| one.number.is_some() || one.server != Some(at));
                let new = server.faults.iter();
                let new: Vec<_> =
                    new.map(|one| Running::new(None, Some(at), one.clone())).collect();
                // Those that were set while the lab runs apply first, as the last ones.
                self.faults.splice(0..0, new);
            }
        }
        self.restock();
    }

    /// Changes records of servers.
    pub(crate) fn change(&mut self, servers: &[usize], change: &Change) {
        self.changes.extend(servers.iter().map(|server| (*server, change.clone())));
        self.restock();
    }

    /// Returns the records of a server with its changes, without those of nodes.
    pub(crate) fn records(&self, server: usize) -> Vec<RecordPlan> {
        let mut records = self.plan.servers[server].records.clone();
        self.of(server).iter().for_each(|change| change.apply(&mut records));
        records
    }

    fn of(&self, server: usize) -> Vec<Change> {
        let own = self.changes.iter().filter(|(of, _)| *of == server);
        own.map(|(_, change)| change.clone()).collect()
    }

    fn restock(&mut self) {
        let all = 0..self.plan.servers.len();
        self.stores = all.map(|at| Store::new(&self.plan, at, &self.of(at))).collect();
    }

    /// Adds a fault. Returns its number.
    pub(crate) fn add_fault(&mut self, server: Option<usize>, plan: FaultPlan) -> u64 {
        self.last_fault += 1;
        self.faults.push(Running::new(Some(self.last_fault), server, plan));
        self.last_fault
    }

    /// Answers a message.
    pub(crate) fn handle(&mut self, way: Way, bytes: &[u8], now: Instant) -> Handled {
        let client = self.client(way);
        let query = match parse(bytes) {
            Parsed::Query(query) => query,
            Parsed::Bad(bytes, code) => {
                let answer = shown_answer(&Answer::of(code));
                self.note((way, client, now), (String::new(), RecordType(0)), (answer, false));
                return Handled::Reply(bytes, Duration::ZERO);
            }
            Parsed::Nothing => return Handled::Nothing,
        };
        let (name, record_type) = (query.question.name.as_str(), query.question.record_type);
        let (server, transport) = (way.server, way.transport);
        let subject = Subject { server, name, record_type, transport, client };
        let fault = fault::next(&mut self.faults, &subject);
        let (answer, is_right) = self.found(&query, way.server, client, fault);
        let asks = is_right && query.wants_recursion && self.recurses(way.server);
        let case = Case { query, way, client, at: now, fault };
        match asks {
            true => self.step(case, recurse::begin(answer, record_type)),
            false => self.reply(&case, &answer),
        }
    }

    /// Goes on with the answer of another server, or after it has not answered.
    pub(crate) fn resume(&mut self, case: Case, errand: Errand, found: Option<Answer>) -> Handled {
        let store = self.stores.get(case.way.server);
        let next = match found.zip(store) {
            Some((found, store)) => errand.resume(found, (store, case.client)),
            None => errand.next(),
        };
        self.step(case, next)
    }

    fn step(&mut self, case: Case, next: Next) -> Handled {
        match next {
            Next::Ask(errand, server) => Handled::Ask(Box::new((case, errand)), server),
            Next::Done(answer) => self.reply(&case, &answer),
        }
    }

    fn recurses(&self, server: usize) -> bool {
        self.stores.get(server).is_some_and(|store| !store.is_authoritative)
    }

    /// Returns the answer to a query, and whether it is the right one.
    fn found(
        &self,
        query: &Query,
        server: usize,
        client: Client,
        fault: Option<FaultKind>,
    ) -> (Answer, bool) {
        if query.has_bad_version() {
            return (Answer::of(Code::BadVers), false);
        }
        let of_fault = match fault {
            Some(FaultKind::ServFail) => Some(Answer::of(Code::ServFail)),
            Some(FaultKind::Refused) => Some(Answer::of(Code::Refused)),
            Some(FaultKind::NxDomain) => Some(self.nxdomain(query, server, client)),
            Some(FaultKind::Lame) => Some(Answer::lame()),
            Some(FaultKind::NoAnswer | FaultKind::Truncated) => Some(Answer::default()),
            Some(FaultKind::Slow(_) | FaultKind::WrongId) | None => None,
        };
        match of_fault {
            Some(answer) => (answer, false),
            None => match self.stores.get(server) {
                Some(store) => (answer(store, &query.question, client), true),
                None => (Answer::of(Code::Refused), false),
            },
        }
    }

    /// Returns that a name does not exist, which may.
    fn nxdomain(&self, query: &Query, server: usize, client: Client) -> Answer {
        let mut none = query.question.clone();
        // No store has such a name, and that of the zone is the same.
        none.name = match none.name.as_str() {
            "" => "\\000".to_owned(),
            name => format!("\\000.{name}"),
        };
        let found = self.stores.get(server).map(|store| answer(store, &none, client));
        let authority = found.map(|one| one.authority).unwrap_or_default();
        Answer { authority, is_authoritative: true, ..Answer::of(Code::NxDomain) }
    }

    fn reply(&mut self, case: &Case, answer: &Answer) -> Handled {
        let Case { query, way, client, at, fault } = case;
        let recurses = self.recurses(way.server);
        let written = match fault {
            Some(FaultKind::Truncated) => query.write_truncated(recurses),
            _ => query.write(answer, recurses, query.room(way.transport)),
        };
        if let Some(name) = answer.outside.as_ref().filter(|_| fault.is_none()) {
            self.note_outside(client.node, name);
        }
        let shown = match fault.and_then(DnsAnswer::of_fault) {
            Some(shown) => shown,
            None if written.is_truncated => DnsAnswer::Truncated,
            None => shown_answer(answer),
        };
        let asked = (query.question.name.clone(), query.question.record_type);
        self.note((*way, *client, *at), asked, (shown, fault.is_some()));
        let mut bytes = written.bytes;
        match fault {
            Some(FaultKind::NoAnswer) => Handled::Nothing,
            Some(FaultKind::Slow(delay)) => Handled::Reply(bytes, *delay),
            Some(FaultKind::WrongId) => {
                bytes[..2].copy_from_slice(&query.id.wrapping_add(1).to_be_bytes());
                Handled::Reply(bytes, Duration::ZERO)
            }
            _ => Handled::Reply(bytes, Duration::ZERO),
        }
    }

    fn client(&self, way: Way) -> Client {
        let address = match way.from.ip() {
            IpAddr::V6(address) => address.to_canonical(),
            address => address,
        };
        let node = match self.plan.servers.get(way.server).map(|server| server.node) {
            Some(None) => Some(way.node),
            _ => self.plan.derived.asker(way.server, address),
        };
        Client { node, address }
    }

    fn note(
        &mut self,
        (way, client, at): (Way, Client, Instant),
        (name, record_type): (String, RecordType),
        (answer, is_fault): (DnsAnswer, bool),
    ) {
        let name_of = |at: usize| self.nodes.get(at).cloned().unwrap_or_default();
        let query = DnsQuery {
            server: name_of(way.node),
            node: client.node.map(name_of),
            from: way.from,
            name: shown(&name),
            record_type,
            transport: way.transport,
            at,
            answer,
            is_fault,
        };
        // Those that went well would hide other events.
        if is_fault || !matches!(query.answer, DnsAnswer::Records(_) | DnsAnswer::NoData) {
            log::note(|| {
                let event = Event::of(EventKind::Dns, query.node.as_deref().unwrap_or(""), &query);
                let event = event.with("name", &query.name).with("answer", &query.answer);
                event.with("fault", is_fault)
            });
        }
        if self.queries.len() == MOST_QUERIES {
            self.queries.pop_front();
        }
        self.queries.push_back(query);
    }

    fn note_outside(&mut self, node: Option<usize>, name: &str) {
        let is_known = self.outside.iter().any(|(of, one)| *of == node && one == name);
        if !is_known && self.outside.len() < MOST_OUTSIDE {
            self.outside.push((node, name.to_owned()));
        }
    }

    /// Returns the queries that match.
    pub(crate) fn queries(&self, server: Option<usize>) -> Vec<DnsQuery> {
        let name = server.and_then(|at| self.plan.servers[at].node).map(|node| &self.nodes[node]);
        let all = self.queries.iter();
        all.filter(|one| name.is_none_or(|name| one.server == *name)).cloned().collect()
    }

    /// Returns the names that no zone has, by the names of the nodes that have asked.
    pub(crate) fn outside(&self) -> Vec<(String, String)> {
        let name = |node: &Option<usize>| node.and_then(|at| self.nodes.get(at).cloned());
        let all = self.outside.iter();
        all.map(|(node, one)| (name(node).unwrap_or_default(), one.clone())).collect()
    }
}

fn shown_answer(answer: &Answer) -> DnsAnswer {
    match answer.code {
        Code::NxDomain => DnsAnswer::NxDomain,
        Code::ServFail => DnsAnswer::ServFail,
        Code::Refused => DnsAnswer::Refused,
        Code::FormErr | Code::NotImp | Code::BadVers => DnsAnswer::Malformed,
        Code::NoError if answer.referral.is_some() => DnsAnswer::Referral,
        Code::NoError if answer.answers.is_empty() => DnsAnswer::NoData,
        Code::NoError => {
            DnsAnswer::Records(answer.answers.iter().map(|line| data_text(&line.data)).collect())
        }
    }
}
