//! The table of a node: all rules of its NATs and its firewall, as one batch.

use crate::lab::nat::ipv6::prefix;
use crate::lab::nat::sets::{self, OneNat};
use crate::lab::nat::{filter, firewall, learn, translate, zones};
use crate::lab::plan::NodePlan;
use crate::netlink::nft::list::SetThere;
use crate::netlink::nft::{Batch, Set};
use crate::netlink::nft_drops;

pub(crate) use crate::netlink::nft_drops::TABLE;

/// Chains and sets that the table has already; empty if there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Existing {
    pub(super) chains: Vec<String>,
    pub(super) sets: Vec<SetThere>,
}

/// Returns the changes that make the table that of the plan.
pub(super) fn batch(node: &NodePlan, there: &Existing) -> Batch {
    if node.nats.is_empty() && node.firewall.is_none() {
        return removal();
    }
    let mut batch = Batch::new(TABLE);
    batch.add_table();
    let nats = OneNat::all(node);
    let is_kept = |nat: &OneNat<'_>| nat.dynamic_sets().iter().all(|set| there.has(set));
    let kept: Vec<Set> =
        nats.iter().filter(|nat| is_kept(nat)).flat_map(OneNat::dynamic_sets).collect();
    empty(&mut batch, there, &kept);
    for set in nats.iter().flat_map(OneNat::dynamic_sets).filter(|set| !kept.contains(set)) {
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
        firewall::add(&mut batch, &node.name, plan);
    }
    batch
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
    fn has(&self, set: &Set) -> bool {
        self.sets.iter().any(|one| one.name == set.name && one.shape == set.shape())
    }
}
