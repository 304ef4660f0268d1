//! The records of a server, as a client sees them. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::lab::plan::dns::check::server_name;
use crate::lab::plan::dns::record::{ClientPlan, Data, RecordPlan};
use crate::lab::plan::dns::servers::EVERYWHERE;
use crate::lab::plan::dns::servers::{DnsPlan, ServerPlan};
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::{RecordType, TTL, reverse, sort_key};

/// Client that has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its node, if the address is that of one.
    pub(crate) node: Option<usize>,
    pub(crate) address: IpAddr,
}

/// A record without its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) ttl: u32,
    pub(crate) record_type: RecordType,
    /// Not [`Data::Node`].
    pub(crate) data: Data,
}

/// Records of a server by their names. Keys are those of [`sort_key`].
#[derive(Debug)]
pub(crate) struct Store {
    /// Names of zones; the root is one, unless the server is authoritative only.
    zones: Vec<String>,
    records: BTreeMap<String, Vec<RecordPlan>>,
    /// Names and addresses of nodes, of each group of clients.
    nodes: Vec<BTreeMap<String, Vec<Data>>>,
    /// Names, and types of them, that nodes do not have any more.
    hidden: Vec<(String, Option<RecordType>)>,
    plan: Arc<DnsPlan>,
    pub(crate) is_authoritative: bool,
    pub(crate) negative_ttl: u32,
}

/// Change of the records of a running server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Replaces the records of this name, type and clients.
    Set(RecordPlan),
    Add(RecordPlan),
    /// Removes all records of a name, or those of one type.
    Remove(String, Option<RecordType>),
}

impl Change {
    /// Returns the name that it is about.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Set(record) | Self::Add(record) => &record.name,
            Self::Remove(name, _) => name,
        }
    }

    /// Changes the records that are not those of nodes.
    pub(crate) fn apply(&self, records: &mut Vec<RecordPlan>) {
        match self {
            Self::Add(record) => records.push(record.clone()),
            Self::Set(new) => {
                let is_replaced = |one: &RecordPlan| {
                    let is_alike = one.name == new.name && one.clients == new.clients;
                    is_alike && types(&one.data).iter().any(|of| types(&new.data).contains(of))
                };
                records.retain(|one| !is_replaced(one));
                records.push(new.clone());
            }
            Self::Remove(name, None) => records.retain(|one| one.name != *name),
            Self::Remove(name, Some(of)) => {
                records.retain(|one| one.name != *name || !types(&one.data).contains(of));
            }
        }
    }
}

/// Returns the types of the records that data stand for.
fn types(data: &Data) -> Vec<RecordType> {
    data.record_type().map_or_else(|| vec![RecordType::A, RecordType::AAAA], |of| vec![of])
}

impl Store {
    /// Makes the records of a server with these changes.
    pub(crate) fn new(plan: &Arc<DnsPlan>, at: usize, changes: &[Change]) -> Self {
        let server = &plan.servers[at];
        let mut records = server.records.clone();
        changes.iter().for_each(|change| change.apply(&mut records));
        let mut zones = server.zones.clone();
        if !server.is_authoritative && !zones.iter().any(String::is_empty) {
            zones.push(String::new());
        }
        let serial = u32::try_from(changes.len()).unwrap_or(u32::MAX).saturating_add(1);
        for zone in &zones {
            apex(server, zone, serial, &mut records);
        }
        let mut by_name: BTreeMap<String, Vec<RecordPlan>> = BTreeMap::new();
        for record in records {
            by_name.entry(sort_key(&record.name)).or_default().push(record);
        }
        let hidden = changes.iter().filter_map(|change| match change {
            Change::Remove(name, of) => Some((sort_key(name), *of)),
            Change::Set(_) | Change::Add(_) => None,
        });
        let nodes = if server.is_authoritative { Vec::new() } else { names(plan) };
        Self {
            zones,
            records: by_name,
            nodes,
            hidden: hidden.collect(),
            plan: Arc::clone(plan),
            is_authoritative: server.is_authoritative,
            negative_ttl: server.negative_ttl,
        }
    }

    /// Returns the innermost zone of a name.
    pub(crate) fn zone_of(&self, name: &str) -> Option<&str> {
        let of_name = self.zones.iter().filter(|zone| name::is_in(name, zone));
        of_name.max_by_key(|zone| zone.len()).map(String::as_str)
    }

    /// Returns the records of a name that a client sees.
    pub(crate) fn at(&self, name: &str, client: Client) -> Vec<Found> {
        self.at_key(&sort_key(name), client)
    }

    /// Returns whether a name has records, or another one below it has.
    pub(crate) fn exists(&self, name: &str, client: Client) -> bool {
        if name.is_empty() {
            return true;
        }
        let key = sort_key(name);
        let below = |other: &&String| other.starts_with(&key);
        let mut own = self.records.range(key.clone()..).map(|(key, _)| key).take_while(below);
        if own.any(|key| !self.at_key(key, client).is_empty()) {
            return true;
        }
        let Some(nodes) = self.nodes_of(client) else { return false };
        let mut own = nodes.range(key.clone()..).map(|(key, _)| key).take_while(below);
        own.any(|key| !self.at_key(key, client).is_empty())
    }

    fn nodes_of(&self, client: Client) -> Option<&BTreeMap<String, Vec<Data>>> {
        self.nodes.get(self.plan.derived.group(client.node))
    }

    fn at_key(&self, key: &str, client: Client) -> Vec<Found> {
        let is_hidden = |of: RecordType| {
            let mut all = self.hidden.iter();
            all.any(|(name, hidden)| name == key && hidden.is_none_or(|hidden| hidden == of))
        };
        let nodes = self.nodes_of(client).and_then(|all| all.get(key)).into_iter().flatten();
        let nodes = nodes.flat_map(|data| self.found(TTL, data, client));
        let mut seen: Vec<Found> = nodes.filter(|one| !is_hidden(one.record_type)).collect();
        let Some(records) = self.records.get(key) else { return seen };
        for is_view in [false, true] {
            let layer = records
                .iter()
                .filter(|one| one.clients.is_empty() != is_view && is_of(&one.clients, client));
            let layer = layer.flat_map(|one| self.found(one.ttl, &one.data, client));
            let layer: Vec<Found> = layer.collect();
            seen = over(seen, layer);
        }
        seen
    }

    /// Returns a record as a client sees it, or those of the addresses of a node.
    fn found(&self, ttl: u32, data: &Data, client: Client) -> Vec<Found> {
        let one = |data: Data| {
            let record_type = data.record_type().unwrap_or(RecordType::A);
            Found { ttl, record_type, data }
        };
        match data {
            Data::Node(node) => {
                let group = self.plan.derived.groups.get(self.plan.derived.group(client.node));
                let addresses = group.and_then(|group| group.get(*node)).into_iter().flatten();
                addresses.map(|address| one(Data::Address(*address))).collect()
            }
            data => vec![one(data.clone())],
        }
    }
}

/// Returns whether a client is one of these, or there are none, for all.
pub(crate) fn is_of(clients: &[ClientPlan], client: Client) -> bool {
    clients.is_empty()
        || clients.iter().any(|one| match one {
            ClientPlan::Node(node) => client.node == Some(*node),
            ClientPlan::Network(subnet) => subnet.contains(client.address),
        })
}

/// Returns the records of a name with those that replace others of their type. An alias replaces
/// all, and is replaced by any.
fn over(lower: Vec<Found>, upper: Vec<Found>) -> Vec<Found> {
    if upper.is_empty() {
        return lower;
    }
    let has = |of: RecordType| upper.iter().any(|one| one.record_type == of);
    let mut kept = lower;
    kept.retain(|one| {
        !has(RecordType::CNAME) && one.record_type != RecordType::CNAME && !has(one.record_type)
    });
    kept.extend(upper);
    kept
}

/// Adds the records of the top of a zone: SOA, and NS with an address if there are none.
fn apex(server: &ServerPlan, zone: &str, serial: u32, records: &mut Vec<RecordPlan>) {
    let host = match server.node {
        Some(_) => server_name(&server.host, zone),
        None => server.host.clone(),
    };
    let soa = Data::Soa { host: host.clone(), serial, minimum: server.negative_ttl };
    records.push(RecordPlan::usual(zone, soa));
    let is_ns = |one: &RecordPlan| one.name == zone && matches!(one.data, Data::Ns(_));
    if records.iter().any(is_ns) {
        return;
    }
    let is_known = records.iter().any(|one| one.name == host);
    records.push(RecordPlan::usual(zone, Data::Ns(host.clone())));
    if !is_known {
        let data = server.node.map_or(Data::Address(EVERYWHERE.into()), Data::Node);
        records.push(RecordPlan::usual(&host, data));
    }
}

/// Returns the names and addresses of nodes, forward and reverse, of each group of clients.
fn names(plan: &DnsPlan) -> Vec<BTreeMap<String, Vec<Data>>> {
    let of_group = |group: &Vec<Vec<IpAddr>>| {
        let mut found: BTreeMap<String, Vec<Data>> = BTreeMap::new();
        let mut add = |name: &str, data| found.entry(sort_key(name)).or_default().push(data);
        for (node, (name, addresses)) in plan.derived.names.iter().zip(group).enumerate() {
            if !addresses.is_empty() {
                add(name, Data::Node(node));
            }
            addresses.iter().for_each(|one| add(&reverse(*one), Data::Ptr(name.clone())));
        }
        for address in [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)] {
            add("localhost", Data::Address(address));
            add(&reverse(address), Data::Ptr("localhost".to_owned()));
        }
        found
    };
    plan.derived.groups.iter().map(of_group).collect()
}
