//! Rules of packet filters in the network that the calling thread is in.

use std::os::fd::OwnedFd;

use crate::evidence::facts::network::{Filter, Network};
use crate::examine::gap;
use crate::examine::networks::{FILE, tables};
use crate::netlink::nft_rules;
use crate::sys::fds::limited;

/// Most rules of a network.
const MOST: usize = 200;

/// Reads rules that have dropped or rejected packets. `modules` is `/proc/modules`.
pub(super) fn read(proc: &OwnedFd, modules: &str, network: &mut Network) {
    let netlink = limited::read_text_in(proc, "self/net/netlink", FILE).unwrap_or_default();
    if tables::has_nf_tables(&netlink, modules) {
        match nft_rules::dropping() {
            Ok(found) => network.filters.extend(found.into_iter().take(MOST).map(filter)),
            Err(error) => network.gaps.push(gap("the rules of nf_tables", &error)),
        }
    }
    for file in ["ip_tables_names", "ip6_tables_names"] {
        let names = limited::read_text_in(proc, &format!("self/net/{file}"), FILE);
        if let Some(first) = names.unwrap_or_default().lines().next() {
            network.gaps.push(format!(
                "/proc/net/{file} has {first}: rules of iptables-legacy are not read"
            ));
        }
    }
}

fn filter(one: nft_rules::Dropping) -> Filter {
    Filter {
        table: one.table,
        chain: one.chain,
        text: one.text,
        verdict: one.verdict.to_owned(),
        packets: one.packets,
    }
}
