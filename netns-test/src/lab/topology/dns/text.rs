//! Texts of declared name servers. Pure.

use crate::lab::topology::Topology;
use crate::lab::topology::dns::declared::{DeclaredDns, DnsPlace};

impl Topology {
    /// Returns the lines of the name servers, each as kind, object and value.
    pub(crate) fn dns_rows(&self) -> Vec<Vec<String>> {
        let name = |node: Option<usize>| node.map_or("?", |node| self.nodes[node].name.as_str());
        let of = |server: &DeclaredDns| {
            let place = match server.place {
                DnsPlace::Node(node) => name(node),
                DnsPlace::Everywhere => "everywhere",
            };
            let DeclaredDns { zones, records, delegations, faults, clients, search, .. } = server;
            let mut words: Vec<String> = zones.iter().map(|zone| format!("zone {zone}")).collect();
            words.extend(server.is_authoritative.then(|| "authoritative only".to_owned()));
            words.extend(search.iter().map(|domain| format!("search {domain}")));
            if let Some(clients) = clients {
                let all: Vec<&str> = clients.iter().map(|client| name(*client)).collect();
                words.push(format!("used by {}", all.join(" and ")));
            }
            let row =
                |what: &str, object: String, text: String| vec![what.to_owned(), object, text];
            let mut rows = vec![row("dns", place.to_owned(), words.join(", "))];
            let at = |name: &str| format!("{name} at {place}");
            rows.extend(records.iter().map(|(name, one)| row("record", at(name), one.to_string())));
            let to = |to: &Option<usize>| format!("to {}", name(*to));
            rows.extend(delegations.iter().map(|(zone, one)| row("delegate", at(zone), to(one))));
            rows.extend(faults.iter().map(|(name, one)| row("fault", at(name), one.to_string())));
            rows
        };
        self.dns.iter().flat_map(of).collect()
    }
}
