//! Questions that a server passes on to the servers of a delegated zone. Pure.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::lab::dns::answer::{Answer, Code, Line, Question, answer};
use crate::lab::dns::store::{Client, Store};
use crate::lab::plan::dns::record::Data;
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::RecordType;

/// Most referrals and aliases that are followed for one question.
const MOST_HOPS: usize = 16;

/// Attempts for each server of a zone.
const ATTEMPTS: usize = 2;

/// A question that others are asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Errand {
    /// The question to them.
    pub(crate) question: Question,
    /// Servers that are still to be asked, the next one first.
    servers: VecDeque<IpAddr>,
    /// Zone that they serve.
    zone: String,
    /// Records that are found already: aliases.
    lines: Vec<Line>,
    hops: usize,
}

/// Next step of an errand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Asks the server at this address.
    Ask(Errand, IpAddr),
    /// Answers the client.
    Done(Answer),
}

/// Begins an errand, if an answer is a referral.
pub(crate) fn begin(answer: Answer, record_type: RecordType) -> Next {
    go(answer, record_type, 0)
}

fn go(answer: Answer, record_type: RecordType, hops: usize) -> Next {
    let Some(referral) = &answer.referral else { return Next::Done(answer) };
    let question = Question { name: referral.name.clone(), record_type };
    let servers = (0..ATTEMPTS).flat_map(|_| referral.servers.iter().copied()).collect();
    let zone = referral.zone.clone();
    Errand { question, servers, zone, lines: answer.answers, hops }.next()
}

impl Errand {
    /// Goes on after a server has not answered, or has answered that it cannot.
    pub(crate) fn next(mut self) -> Next {
        match self.servers.pop_front() {
            Some(server) => Next::Ask(self, server),
            None => Next::Done(Answer { answers: self.lines, ..Answer::of(Code::ServFail) }),
        }
    }

    /// Goes on with the answer of a server.
    pub(crate) fn resume(mut self, found: Answer, (store, client): (&Store, Client)) -> Next {
        if ![Code::NoError, Code::NxDomain].contains(&found.code) {
            return self.next();
        }
        if self.hops == MOST_HOPS {
            return Next::Done(Answer::of(Code::ServFail));
        }
        let is_negative = found.code == Code::NxDomain
            || found.authority.iter().any(|line| matches!(line.data, Data::Soa { .. }));
        if found.answers.is_empty() && !is_negative {
            return self.refer(&found, (store, client));
        }
        let record_type = self.question.record_type;
        let open = open_alias(&found.answers, &self.question);
        self.lines.extend(found.answers.iter().cloned());
        match open.filter(|_| !is_negative) {
            // The rest is for this server, or for others that it knows.
            Some(target) => {
                let rest = Question { name: target, record_type };
                let mut rest = answer(store, &rest, client);
                rest.answers.splice(0..0, self.lines);
                rest.is_authoritative = false;
                go(rest, record_type, self.hops + 1)
            }
            None => Next::Done(Answer {
                code: found.code,
                answers: self.lines,
                authority: found.authority,
                additional: found.additional,
                ..Answer::default()
            }),
        }
    }

    /// Goes on with a referral to servers of a zone further below. Any other one is lame.
    fn refer(mut self, found: &Answer, (store, client): (&Store, Client)) -> Next {
        let is_below = |line: &&Line| {
            line.name != self.zone
                && name::is_in(&line.name, &self.zone)
                && name::is_in(&self.question.name, &line.name)
        };
        let mut servers = VecDeque::new();
        let mut zone = None;
        for line in found.authority.iter().filter(is_below) {
            let Data::Ns(host) = &line.data else { continue };
            zone = Some(line.name.clone());
            let glue = found.additional.iter().filter(|one| one.name == *host);
            let glue = glue.map(|one| one.data.clone());
            let known = store.at(host, client).into_iter().map(|one| one.data);
            servers.extend(glue.chain(known).filter_map(|data| match data {
                Data::Address(address) => Some(address),
                _ => None,
            }));
        }
        let Some(zone) = zone else { return self.next() };
        (self.servers, self.zone, self.hops) = (servers, zone, self.hops + 1);
        self.next()
    }
}

/// Returns the target of the last alias of an answer, if the answer does not have its records.
fn open_alias(lines: &[Line], question: &Question) -> Option<String> {
    if [RecordType::CNAME, RecordType::ANY].contains(&question.record_type) {
        return None;
    }
    let mut name = question.name.clone();
    for _ in 0..=lines.len() {
        let is_own = |line: &&Line| line.name == name;
        let alias = lines.iter().filter(is_own).find_map(|line| match &line.data {
            Data::Cname(target) => Some(target.clone()),
            _ => None,
        });
        match alias {
            Some(target) => name = target,
            None => break,
        }
    }
    let is_there = name == question.name || lines.iter().any(|line| line.name == name);
    (!is_there).then_some(name)
}
