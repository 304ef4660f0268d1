//! Checks of declared name servers. Pure.

use crate::lab::plan::NodePlan;
use crate::lab::plan::dns::record;
use crate::lab::plan::dns::record::{Data, RecordPlan};
use crate::lab::plan::dns::servers::{DnsPlan, ServerPlan, has_zone_of};
use crate::lab::plan::errors::TopologyError;
use crate::lab::topology::dns::declared::{DeclaredDns, DnsPlace};
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::RecordData;
use crate::lab::topology::{NodeKind, Topology};

/// Name of a server that is on no node.
const HOST: &str = "ns.internal";

/// Most servers that resolvers ask (`MAXNS` of resolv.conf(5)).
const MOST_SERVERS: usize = 3;

/// Mistakes of one server.
struct Report<'a> {
    topology: &'a Topology,
    /// `name server of server`.
    server: String,
    errors: &'a mut Vec<TopologyError>,
}

impl Report<'_> {
    fn bad(&mut self, what: &str, why: impl Into<String>) {
        let place = format!("{what}{}", self.server);
        self.errors.push(TopologyError::BadDns { place, why: why.into() });
    }

    fn unknown(&mut self, what: &str) {
        let place = format!("{what}{}", self.server);
        self.errors.push(TopologyError::UnknownNode { place });
    }

    /// Returns the form of a name that is no pattern.
    fn name(&mut self, what: &str, text: &str) -> Option<String> {
        let plain = name::canonical(text).and_then(|name| match name.contains('*') {
            true => Err("it has a `*`; give one name"),
            false => Ok(name),
        });
        plain.map_err(|why| self.bad(&format!("{what} `{text}` of the "), why)).ok()
    }
}

/// Returns the declared servers. Mistakes are added to `errors`.
pub(crate) fn servers(
    topology: &Topology,
    nodes: &[NodePlan],
    errors: &mut Vec<TopologyError>,
) -> DnsPlan {
    let mut found = Vec::new();
    for declared in &topology.dns {
        let server = match declared.place {
            DnsPlace::Node(Some(node)) => format!("name server of `{}`", nodes[node].name),
            DnsPlace::Node(None) => "dns()".to_owned(),
            DnsPlace::Everywhere => "name server of all nodes".to_owned(),
        };
        let mut report = Report { topology, server, errors };
        found.extend(server_of(declared, nodes, &mut report));
    }
    // A server with a mistake is missing, and positions are no longer those of the declarations.
    let used = match found.len() == topology.dns.len() {
        true => used(topology, nodes, errors),
        false => vec![Vec::new(); nodes.len()],
    };
    DnsPlan { servers: found, used, ..DnsPlan::default() }
}

fn server_of(
    declared: &DeclaredDns,
    nodes: &[NodePlan],
    report: &mut Report<'_>,
) -> Option<ServerPlan> {
    let node = match declared.place {
        DnsPlace::Everywhere => None,
        DnsPlace::Node(Some(node)) => Some(node),
        DnsPlace::Node(None) => {
            report.unknown("");
            return None;
        }
    };
    if let Some(node) = node.map(|node| &nodes[node]) {
        if node.kind == NodeKind::Switch {
            let (switch, what) = (node.name.clone(), "name server".to_owned());
            report.errors.push(TopologyError::OnSwitch { switch, what });
        } else if node.interfaces.iter().all(|one| one.addresses.is_empty()) {
            report.bad("", "the node has no address; link it to another node");
        }
    }
    let mut zones: Vec<String> = Vec::new();
    for zone in &declared.zones {
        zones.extend(report.name("zone", zone).filter(|zone| !zones.contains(zone)));
    }
    if declared.is_authoritative && zones.is_empty() {
        report.bad("", "it is `authoritative_only` without a zone; declare one with `zone`");
    }
    let mut records = records(declared, report);
    check_records(declared, (&zones, &records), report);
    records.extend(delegations(declared, &zones, nodes, report));
    let mut faults = Vec::new();
    for (names, fault) in &declared.faults {
        match record::fault(names, fault, &report.topology.ids) {
            Ok(fault) => faults.push(fault),
            Err(why) => report.bad(&format!("fault of `{names}` at the "), why),
        }
    }
    let search = declared.search.iter().filter_map(|one| report.name("search domain", one));
    let search = search.filter(|one| !one.is_empty()).collect();
    let negative_ttl = record::seconds(declared.negative_ttl).unwrap_or_else(|why| {
        report.bad("negative_ttl of the ", why);
        0
    });
    let host = node.map_or(HOST.to_owned(), |node| nodes[node].name.to_ascii_lowercase());
    let is_authoritative = declared.is_authoritative;
    Some(ServerPlan { node, host, zones, records, faults, search, is_authoritative, negative_ttl })
}

fn records(declared: &DeclaredDns, report: &mut Report<'_>) -> Vec<RecordPlan> {
    let mut records = Vec::new();
    for (name, one) in &declared.records {
        let is_foreign = match &one.data {
            RecordData::Node(node) => node.node(&report.topology.ids).is_none(),
            _ => false,
        };
        if is_foreign {
            report.unknown(&format!("record of `{name}` at the "));
            continue;
        }
        match record::record(name, one, &report.topology.ids) {
            Ok(record) => records.push(record),
            Err(why) => report.bad(&format!("record of `{name}` at the "), why),
        }
    }
    records
}

/// Reports records that cannot be beside others, or that no client would get.
fn check_records(
    declared: &DeclaredDns,
    (zones, records): (&[String], &[RecordPlan]),
    report: &mut Report<'_>,
) {
    let mut seen: Vec<&str> = Vec::new();
    for RecordPlan { name, data, .. } in records {
        let what = format!("record of `{name}` at the ");
        if matches!(data, Data::Cname(_)) && zones.contains(name) {
            report.bad(&what, record::APEX_ALIAS);
        }
        if !has_zone_of((zones, declared.is_authoritative), name) {
            report.bad(&what, "no zone of the server has the name; declare one with `zone`");
        }
        if !seen.contains(&name.as_str()) {
            seen.push(name);
            let all: Vec<_> = records.iter().filter(|one| one.name == *name).cloned().collect();
            if let Some(why) = record::conflict(&all) {
                report.bad(&what, why);
            }
        }
    }
}

/// Returns the records of delegations: NS, and the addresses of the other servers.
fn delegations(
    declared: &DeclaredDns,
    zones: &[String],
    nodes: &[NodePlan],
    report: &mut Report<'_>,
) -> Vec<RecordPlan> {
    let mut records = Vec::new();
    for (zone, to) in &declared.delegations {
        let Some(name) = report.name("delegation of", zone) else { continue };
        let what = format!("delegation of `{zone}` by the ");
        let Some(to) = *to else {
            report.unknown(&what);
            continue;
        };
        if name.is_empty() {
            report.bad(&what, "the root cannot be delegated; give a zone below it");
        } else if zones.contains(&name) {
            report.bad(&what, "the server has this zone itself; remove one of both");
        } else if nodes[to].kind == NodeKind::Switch {
            let (switch, what) = (nodes[to].name.clone(), "name server".to_owned());
            report.errors.push(TopologyError::OnSwitch { switch, what });
        }
        let host = server_name(&nodes[to].name, &name);
        if let Err(why) = name::canonical(&host) {
            report.bad(&what, format!("its server would be `{host}`: {why}"));
        }
        records.push(RecordPlan::usual(&name, Data::Ns(host.clone())));
        records.push(RecordPlan::usual(&host, Data::Node(to)));
    }
    records
}

/// Returns the name by which a zone has the server on a node.
pub(crate) fn server_name(node: &str, zone: &str) -> String {
    match zone {
        "" => node.to_ascii_lowercase(),
        zone => format!("{}.{zone}", node.to_ascii_lowercase()),
    }
}

/// Returns the servers that each node uses: those that name it, or the first that names no one.
fn used(
    topology: &Topology,
    nodes: &[NodePlan],
    errors: &mut Vec<TopologyError>,
) -> Vec<Vec<usize>> {
    let mut used = vec![Vec::new(); nodes.len()];
    for (at, server) in topology.dns.iter().enumerate() {
        for client in server.clients.iter().flatten() {
            match client {
                Some(node) if used[*node].contains(&at) => {}
                Some(node) => used[*node].push(at),
                None => errors.push(TopologyError::UnknownNode { place: "used_by()".to_owned() }),
            }
        }
    }
    let common = topology.dns.iter().position(|server| server.clients.is_none());
    for (node, used) in nodes.iter().zip(&mut used) {
        if used.is_empty() {
            used.extend(common);
        }
        if used.len() > MOST_SERVERS {
            let place = format!("name servers of `{}`", node.name);
            let count = used.len();
            let why = format!("it uses {count}, and resolvers ask 3 at most; remove some");
            errors.push(TopologyError::BadDns { place, why });
        }
    }
    used
}
