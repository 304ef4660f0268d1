//! Declarations of name servers that another topology lacks. Pure.

use crate::error::Failure;
use crate::lab::topology::Topology;
use crate::lab::topology::dns::declared::{DeclaredDns, DnsPlace};

/// Checks that `new` has all name servers. What they know can change: it is applied.
///
/// # Errors
///
/// A server that is missing.
pub(crate) fn check(old: &[DeclaredDns], new: &Topology) -> Result<(), Failure> {
    let both = old.iter().enumerate().map(|(at, one)| (one, new.dns.get(at)));
    for (before, after) in both {
        let what = || match before.place {
            DnsPlace::Node(Some(node)) => format!("name server of {}", new.nodes[node].name),
            DnsPlace::Node(None) | DnsPlace::Everywhere => "name server of all nodes".to_owned(),
        };
        if after.is_none_or(|after| after.place != before.place) {
            let why = "the topology lacks it: extend() only adds; build another lab";
            return Err(Failure::new("extend", what(), why));
        }
    }
    Ok(())
}
