//! The name servers of a running lab: their records, their faults, and who has asked.

use std::fmt;
use std::sync::Arc;

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::dns::model::DnsQuery;
use crate::lab::dns::serve::servers::Servers;
use crate::lab::dns::store::Change;
use crate::lab::fabric::state::Fabric;
use crate::lab::plan::dns::record;
use crate::lab::plan::dns::record::Data;
use crate::lab::run::lab::Lab;
use crate::lab::run::node::Node;
use crate::lab::topology::dns::name;
use crate::lab::topology::{DnsFault, Record, RecordType};

/// Name servers of a running lab ([`Lab::dns`](crate::Lab::dns)), or the one on a node
/// ([`Node::dns`](crate::Node::dns)).
///
/// Records that are set here stay when a node is powered off and on, and when the lab is extended,
/// unless the extended topology declares other records of the name than before.
///
/// ```no_run
/// # fn main() -> netns_test::Result<()> {
/// use netns_test::Topology;
/// use netns_test::lab::{DnsFault, Record};
///
/// let mut net = Topology::new();
/// let (client, web) = (net.host("client"), net.host("web"));
/// net.link(client, web);
/// net.dns_everywhere();
/// let lab = net.build()?;
/// lab.dns().set("api.example.com", Record::node(web))?;
/// let fault = lab.dns().fault("api.example.com", DnsFault::servfail().times(1))?;
/// // The first query gets SERVFAIL, and the next one the address.
/// assert_eq!(fault.hits(), 0);
/// println!("{}", lab.dns().queries()?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
#[must_use = "only the methods of this handle do anything"]
pub struct LabDns<'lab> {
    fabric: &'lab Arc<Fabric>,
    /// Position of the node whose server it is; none for all servers.
    node: Option<usize>,
}

/// Fault of name servers that was set while the lab runs. Dropping it ends the fault.
#[must_use = "the fault ends when this is dropped"]
pub struct DnsFaultGuard {
    servers: Arc<Servers>,
    /// Number of the fault; none if it stays.
    number: Option<u64>,
    text: String,
}

impl Lab {
    /// Returns the handle of all name servers of the lab: see [`LabDns`]. Its methods fail if the
    /// topology has none.
    pub fn dns(&self) -> LabDns<'_> {
        LabDns { fabric: self.fabric(), node: None }
    }
}

impl Node {
    /// Returns the handle of the name server on this node: see [`LabDns`]. Its methods fail if it
    /// has none of its own.
    pub fn dns(&self) -> LabDns<'_> {
        LabDns { fabric: self.fabric(), node: Some(self.position()) }
    }
}

impl LabDns<'_> {
    /// Sets a record of a name, in place of the records of that name and type, on each server that
    /// can have the name. It applies to the next query; clients may remember an earlier answer for
    /// its time to live.
    ///
    /// # Errors
    ///
    /// A record that [`plan`](crate::Topology::plan) would report; a topology without a name
    /// server.
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set(&self, name: &str, record: Record) -> Result<()> {
        located(self.change("set", name, &record, Change::Set))
    }

    /// Adds a record to those that a name has.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn add(&self, name: &str, record: Record) -> Result<()> {
        located(self.change("add", name, &record, Change::Add))
    }

    /// Removes all records of a name, also those of a node.
    ///
    /// # Errors
    ///
    /// A text that is no name; a topology without a name server.
    #[track_caller]
    pub fn remove(&self, name: &str) -> Result<()> {
        located(self.try_remove(name, None))
    }

    /// Removes the records of a name and type.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove).
    #[track_caller]
    pub fn remove_type(&self, name: &str, record_type: RecordType) -> Result<()> {
        located(self.try_remove(name, Some(record_type)))
    }

    /// Applies a fault to a name until the returned guard is dropped. `*.example.com` is all names
    /// below `example.com`, and `*` all names. If several faults match a query, the last one
    /// applies.
    ///
    /// # Errors
    ///
    /// A text that is no pattern; a topology without a name server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab) -> netns_test::Result<()> {
    /// use netns_test::lab::{DnsFault, Transport};
    ///
    /// let _lost = lab.dns().fault("*", DnsFault::no_answer().over(Transport::Udp).times(2))?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn fault(&self, names: &str, fault: DnsFault) -> Result<DnsFaultGuard> {
        located(self.try_fault(names, &fault))
    }

    /// Returns the queries that have come to the servers, in order, with the answers: the last
    /// 100 000 since the build.
    ///
    /// # Errors
    ///
    /// A topology without a name server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab) -> netns_test::Result<()> {
    /// let queries = lab.dns().queries()?;
    /// assert!(queries.iter().any(|query| query.name == "api.example.com"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn queries(&self) -> Result<Vec<DnsQuery>> {
        located(self.servers("list", "the queries").map_err(Into::into).map(|_| {
            let state = self.fabric.dns.state();
            state.queries(self.node.and_then(|node| state.plan.on(node)))
        }))
    }

    /// Returns the positions of the servers.
    fn servers(&self, step: &str, object: &str) -> Result<Vec<usize>, Failure> {
        let state = self.fabric.dns.state();
        let own = |at: &usize| self.node.is_none() || state.plan.servers[*at].node == self.node;
        let found: Vec<usize> = (0..state.plan.servers.len()).filter(own).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        Err(match self.node {
            None => Failure::new(step, object, "the topology has no name server")
                .advise("declare one with `Topology::dns` or `Topology::dns_everywhere`"),
            Some(node) => {
                let name = self.fabric.nodes[node].name();
                Failure::new(step, format!("{object} of {name}"), "it has no name server")
                    .advise("declare one with `Topology::dns`, or use `Lab::dns`")
            }
        })
    }

    fn change(
        &self,
        step: &str,
        name: &str,
        record: &Record,
        change: impl FnOnce(record::RecordPlan) -> Change,
    ) -> Result<()> {
        let object = format!("record of `{name}`");
        let servers = self.servers(step, &object)?;
        let failed = |why: String| Failure::new(step, object.as_str(), why);
        let planned = record::record(name, record, &self.fabric.topology.ids).map_err(failed)?;
        let (name, is_alias) = (planned.name.clone(), matches!(planned.data, Data::Cname(_)));
        let change = change(planned);
        let mut state = self.fabric.dns.state();
        let can_have = |at: &usize| state.plan.servers[*at].has_zone_of(&name);
        let servers: Vec<usize> = servers.into_iter().filter(can_have).collect();
        if servers.is_empty() {
            let why = "no zone of the servers has the name; declare one with `zone`";
            return Err(failed(why.to_owned()).into());
        }
        for at in &servers {
            let mut records = state.records(*at);
            change.apply(&mut records);
            records.retain(|one| one.name == name);
            let begins = is_alias && state.plan.servers[*at].zones.contains(&name);
            if let Some(why) = record::conflict(&records).or(begins.then_some(record::APEX_ALIAS)) {
                return Err(failed(why.to_owned()).into());
            }
        }
        state.change(&servers, &change);
        drop(state);
        log::note(|| Event::of(EventKind::Dns, "", format!("{step} {name}: {record}")));
        Ok(())
    }

    fn try_remove(&self, text: &str, record_type: Option<RecordType>) -> Result<()> {
        let object = format!("record of `{text}`");
        let servers = self.servers("remove", &object)?;
        let name = name::owner(text).map_err(|why| Failure::new("remove", object, why))?;
        let change = Change::Remove(name, record_type);
        self.fabric.dns.state().change(&servers, &change);
        log::note(|| Event::of(EventKind::Dns, "", format!("remove {text}")));
        Ok(())
    }

    fn try_fault(&self, names: &str, fault: &DnsFault) -> Result<DnsFaultGuard> {
        let object = format!("fault of `{names}`");
        let servers = self.servers("set", &object)?;
        let planned = record::fault(names, fault, &self.fabric.topology.ids);
        let planned = planned.map_err(|why| Failure::new("set", object, why))?;
        let server = self.node.and(servers.first().copied());
        let number = self.fabric.dns.state().add_fault(server, planned);
        let text = format!("fault of {names}: {fault}");
        log::note(|| Event::of(EventKind::Dns, "", &text));
        Ok(DnsFaultGuard { servers: Arc::clone(&self.fabric.dns), number: Some(number), text })
    }
}

impl DnsFaultGuard {
    /// Returns the number of queries that the fault has applied to.
    #[must_use]
    pub fn hits(&self) -> usize {
        let state = self.servers.state();
        let own = state.faults.iter().find(|one| one.number == self.number);
        own.map_or(0, |one| one.hits)
    }

    /// Lets the fault stay until the end of the lab.
    pub fn keep(mut self) {
        self.number = None;
    }
}

impl Drop for DnsFaultGuard {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        self.servers.state().faults.retain(|one| one.number != Some(number));
        log::note(|| Event::of(EventKind::Dns, "", format!("end of {}", self.text)));
    }
}

impl fmt::Debug for DnsFaultGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DnsFaultGuard").field(&self.text).finish()
    }
}

impl fmt::Debug for LabDns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.map(|node| self.fabric.nodes[node].name());
        f.debug_struct("LabDns").field("node", &node).finish()
    }
}
