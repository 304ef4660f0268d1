//! The table of a node: all rules of its NATs and its firewall, as one batch.

use crate::lab::nat::ipv6::prefix;
use crate::lab::nat::sets::{self, OneNat};
use crate::lab::nat::{filter, firewall, learn, translate, zones};
use crate::lab::plan::NodePlan;
use crate::netlink::nft::list::SetThere;
use crate::netlink::nft::{Batch, Hook, Rule, Set};
use crate::netlink::nft_drops;

pub(crate) use crate::netlink::nft_drops::TABLE;

/// Chain that drops what comes in, while mappings and flows are forgotten.
const HOLD: &str = "hold";

/// Before conntrack (-200), and the joining of fragments (-400).
const FIRST: i32 = -450;

/// Chains and sets that the table has already; empty if there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    pub(super) chains: Vec<String>,
    pub(super) sets: Vec<SetThere>,
}

/// Returns the changes that make the table that of the plan.
pub(super) fn batch(node: &NodePlan, there: &Existing) -> Batch {
    if !has_rules(node) {
        return removal();
    }
    let mut batch = Batch::new(TABLE);
    batch.add_table();
    let nats = OneNat::all(node);
    let is_kept = |nat: &OneNat<'_>| nat.dynamic_sets().iter().all(|set| there.has(set));
    let learned = nats.iter().filter(|nat| is_kept(nat)).flat_map(OneNat::dynamic_sets);
    let leased = nats.iter().flat_map(OneNat::lease_sets).filter(|set| there.has(set));
    let kept: Vec<Set> = learned.chain(leased).collect();
    empty(&mut batch, there, &kept);
    let all = nats.iter().flat_map(|nat| [nat.dynamic_sets(), nat.lease_sets()].concat());
    for set in all.filter(|set| !kept.contains(set)) {
        batch.set(&set);
    }
    nft_drops::sets().iter().for_each(|set| batch.set(set));
    if !nats.is_empty() {
        sets::add_common(&mut batch);
        nats.iter().for_each(|nat| nat.add_constants(&mut batch));
        zones::add(&mut batch, &nats);
        filter::add(&mut batch, &nats);
        translate::add(&mut batch, &nats);
        learn::add(&mut batch, &nats);
        prefix::add(&mut batch, &nats);
    }
    if let Some(plan) = &node.firewall {
        let leased: Vec<Rule> = nats.iter().filter_map(filter::leased).collect();
        firewall::add(&mut batch, &node.name, plan, &leased);
    }
    batch
}

/// Returns whether a node has a NAT or a firewall.
pub(super) fn has_rules(node: &NodePlan) -> bool {
    !node.nats.is_empty() || node.firewall.is_some()
}

/// Adds a chain to the table that drops what comes in by links.
pub(super) fn hold(batch: &mut Batch) {
    batch.base_chain(HOLD, "filter", Hook::Prerouting, FIRST);
    batch.rule(HOLD, &Rule::new("drop in: mappings are being forgotten").not_from("lo").drop());
}

/// Removes that chain.
pub(super) fn let_go(batch: &mut Batch) {
    batch.delete_rules_of(HOLD);
    batch.delete_chain(HOLD);
}

/// Returns the changes that delete the table, whether or not there is one.
pub(super) fn removal() -> Batch {
    let mut batch = Batch::new(TABLE);
    batch.add_table();
    batch.delete_table();
    batch
}

/// Deletes all but the sets with mappings that stay.
fn empty(batch: &mut Batch, there: &Existing, kept: &[Set]) {
    if there.chains.is_empty() && there.sets.is_empty() {
        return;
    }
    batch.delete_rules();
    there.chains.iter().for_each(|chain| batch.delete_chain(chain));
    let is_kept = |one: &&SetThere| kept.iter().any(|set| set.name == one.name);
    there.sets.iter().filter(|one| !is_kept(one)).for_each(|one| batch.delete_set(&one.name));
}

impl Existing {
    /// Returns whether the table has the sets of a NAT.
    pub(super) fn has_nat(&self) -> bool {
        self.sets.iter().any(|one| one.name == sets::MAPPED)
    }

    fn has(&self, set: &Set) -> bool {
        self.sets.iter().any(|one| one.name == set.name && one.shape == set.shape())
    }
}
