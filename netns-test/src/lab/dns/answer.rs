//! Answers of a server to questions (RFC 1034, section 4.3.2). Pure.

use std::net::IpAddr;

use crate::lab::dns::store::{Client, Found, Store};
use crate::lab::plan::dns::record::Data;
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::RecordType;

/// Most aliases that are followed.
const MOST_ALIASES: usize = 16;

/// A question about a canonical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) record_type: RecordType,
}

/// Response code (RFC 1035, section 4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    #[default]
    NoError,
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
    BadVers,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// Content of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) is_authoritative: bool,
    pub(crate) answers: Vec<Line>,
    pub(crate) authority: Vec<Line>,
    pub(crate) additional: Vec<Line>,
    /// Servers of the zone that the answer refers to, for the rest of the question.
    pub(crate) referral: Option<Referral>,
    /// Name that no zone has, if that is the reason of NXDOMAIN.
    pub(crate) outside: Option<String>,
}

/// Other servers that know more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Referral {
    /// The name to ask for: that of the question, or of the last alias.
    pub(crate) name: String,
    /// Zone that the servers have.
    pub(crate) zone: String,
    pub(crate) servers: Vec<IpAddr>,
}

impl Answer {
    /// Returns an answer without records.
    pub(crate) fn of(code: Code) -> Self {
        Self { code, ..Self::default() }
    }

    /// Returns the referral to the root by which a server says that it does not have the zone.
    pub(crate) fn lame() -> Self {
        let root = Line { name: String::new(), ttl: 3_600, data: Data::Ns("ns.internal".into()) };
        Self { authority: vec![root], ..Self::default() }
    }
}

/// Answers a question of a client.
pub(crate) fn answer(store: &Store, question: &Question, client: Client) -> Answer {
    let of = question.record_type;
    if [252, 251].contains(&of.0) {
        return Answer::of(Code::Refused);
    }
    let mut answer = Answer::default();
    let (mut name, mut seen) = (question.name.clone(), Vec::new());
    for _ in 0..MOST_ALIASES {
        let Some(zone) = store.zone_of(&name).map(str::to_owned) else {
            if answer.answers.is_empty() {
                answer.code = Code::Refused;
            }
            return answer;
        };
        answer.is_authoritative = true;
        if let Some(delegated) = delegation(store, (&name, &zone), client) {
            refer(store, &mut answer, (delegated, name), client);
            return answer;
        }
        let Some(records) = records_of(store, (&name, &zone), client) else {
            negative(store, &mut answer, &zone, client);
            answer.code = Code::NxDomain;
            answer.outside = zone.is_empty().then_some(name);
            return answer;
        };
        let is_meant = |one: &&Found| of == RecordType::ANY || one.record_type == of;
        let line = |one: &Found| Line { name: name.clone(), ttl: one.ttl, data: one.data.clone() };
        let found: Vec<Line> = records.iter().filter(is_meant).map(line).collect();
        if !found.is_empty() {
            add_targets(store, &mut answer, &found, client);
            answer.answers.extend(found);
            return answer;
        }
        let alias = records.iter().find_map(|one| match &one.data {
            Data::Cname(target) => Some((line(one), target.clone())),
            _ => None,
        });
        let Some((line, target)) = alias else {
            negative(store, &mut answer, &zone, client);
            return answer;
        };
        answer.answers.push(line);
        seen.push(std::mem::replace(&mut name, target));
        if seen.contains(&name) {
            return answer;
        }
    }
    answer
}

/// Returns the outermost delegated zone between a zone and a name in it, with its servers.
fn delegation(
    store: &Store,
    (name, zone): (&str, &str),
    client: Client,
) -> Option<(String, Vec<Found>)> {
    let mut found = None;
    let mut at = Some(name);
    while let Some(one) = at.filter(|one| *one != zone && name::is_in(one, zone)) {
        let mut servers = store.at(one, client);
        servers.retain(|one| one.record_type == RecordType::NS);
        if !servers.is_empty() {
            found = Some((one.to_owned(), servers));
        }
        at = name::parent(one);
    }
    found
}

/// Makes an answer refer to other servers.
fn refer(
    store: &Store,
    answer: &mut Answer,
    ((zone, servers), name): ((String, Vec<Found>), String),
    client: Client,
) {
    answer.is_authoritative = !answer.answers.is_empty();
    let lines = servers.into_iter();
    let lines = lines.map(|one| Line { name: zone.clone(), ttl: one.ttl, data: one.data });
    answer.authority = lines.collect();
    let lines = answer.authority.clone();
    add_targets(store, answer, &lines, client);
    let addresses = answer.additional.iter().filter_map(|line| match line.data {
        Data::Address(address) => Some(address),
        _ => None,
    });
    answer.referral = Some(Referral { name, zone, servers: addresses.collect() });
}

/// Returns the records of a name, by a wildcard if it does not exist. None if neither exists.
fn records_of(store: &Store, (name, zone): (&str, &str), client: Client) -> Option<Vec<Found>> {
    let own = store.at(name, client);
    if !own.is_empty() || store.exists(name, client) {
        return Some(own);
    }
    let mut at = name::parent(name);
    while let Some(encloser) = at {
        if encloser == zone || store.exists(encloser, client) {
            let wildcard = match encloser {
                "" => "*".to_owned(),
                encloser => format!("*.{encloser}"),
            };
            let own = store.at(&wildcard, client);
            return (!own.is_empty()).then_some(own);
        }
        at = name::parent(encloser);
    }
    None
}

/// Adds the SOA by which a client knows how long it may remember a negative answer (RFC 2308).
fn negative(store: &Store, answer: &mut Answer, zone: &str, client: Client) {
    let soa = store.at(zone, client).into_iter().find(|one| one.record_type == RecordType::SOA);
    let line = soa.map(|one| Line {
        name: zone.to_owned(),
        ttl: one.ttl.min(store.negative_ttl),
        data: one.data,
    });
    answer.authority.extend(line);
}

/// Adds the addresses of the hosts that records refer to.
fn add_targets(store: &Store, answer: &mut Answer, lines: &[Line], client: Client) {
    for line in lines {
        let (Data::Ns(target) | Data::Mx(_, target) | Data::Srv { target, .. }) = &line.data else {
            continue;
        };
        if answer.additional.iter().any(|one| one.name == *target) {
            continue;
        }
        let addresses = store.at(target, client).into_iter();
        let addresses = addresses.filter(|one| matches!(one.data, Data::Address(_)));
        let of = |one: Found| Line { name: target.clone(), ttl: one.ttl, data: one.data };
        answer.additional.extend(addresses.map(of));
    }
}
