//! Rules of packet filters in the network that the calling thread is in.

use std::os::fd::OwnedFd;

#[cfg(feature = "lab")]
use crate::evidence::facts::link::Packet;
#[cfg(feature = "lab")]
use crate::evidence::facts::network::Protocol;
use crate::evidence::facts::network::{Filter, Network};
use crate::examine::gaps::{FILE, gap};
use crate::examine::networks::tables;
use crate::netlink::nft::rules;
#[cfg(feature = "lab")]
use crate::netlink::nft_drops;
use crate::sys::fds::limited;

/// Most rules of a network.
const MOST: usize = 200;

/// Files of the tables of iptables-legacy.
const LEGACY: [&str; 2] = ["ip_tables_names", "ip6_tables_names"];

/// The kinds of packet filters that the kernel has now.
#[derive(Debug)]
pub(super) struct Filters<'a> {
    proc: &'a OwnedFd,
    has_nf_tables: bool,
    has_legacy: bool,
}

impl<'a> Filters<'a> {
    pub(super) fn new(proc: &'a OwnedFd) -> Self {
        let text = |file: &str| limited::read_text_in(proc, file, FILE);
        let (netlink, modules) = (text("thread-self/net/netlink"), text("modules"));
        Self {
            proc,
            has_nf_tables: tables::has_nf_tables(
                &netlink.unwrap_or_default(),
                &modules.unwrap_or_default(),
            ),
            has_legacy: LEGACY.iter().any(|file| text(&format!("thread-self/net/{file}")).is_ok()),
        }
    }

    /// Reads rules that have dropped or rejected packets.
    pub(super) fn read(&self, network: &mut Network) {
        if self.has_nf_tables {
            match rules::dropping() {
                Ok(found) => {
                    network.filters.extend(found.into_iter().take(MOST).map(filter));
                    #[cfg(feature = "lab")]
                    read_dropped(network);
                }
                Err(error) => network.gaps.push(gap("the rules of nftables", &error)),
            }
        }
        for file in LEGACY.into_iter().filter(|_| self.has_legacy) {
            let names = limited::read_text_in(self.proc, &format!("thread-self/net/{file}"), FILE);
            if let Some(first) = names.unwrap_or_default().lines().next() {
                network.gaps.push(format!(
                    "/proc/net/{file} has {first}: rules of iptables-legacy are not read"
                ));
            }
        }
    }
}

/// Reads the flows whose packets rules of the lab have dropped, if they have dropped any.
#[cfg(feature = "lab")]
fn read_dropped(network: &mut Network) {
    let table = format!("inet {}", nft_drops::TABLE);
    if network.filters.iter().all(|filter| filter.table != table) {
        return;
    }
    let packet = |one: nft_drops::Dropped| Packet {
        protocol: match one.protocol {
            6 => Protocol::Tcp.word().to_owned(),
            17 => Protocol::Udp.word().to_owned(),
            _ => Protocol::Other.word().to_owned(),
        },
        from: Some(one.from),
        to: Some(one.to),
    };
    match nft_drops::read() {
        Ok(found) => network.dropped.extend(found.into_iter().take(MOST).map(packet)),
        Err(failure) => network.gaps.push(failure.to_string()),
    }
}

fn filter(one: rules::Dropping) -> Filter {
    Filter {
        table: one.table,
        chain: one.chain,
        text: one.text,
        verdict: one.verdict.to_owned(),
        packets: one.packets,
    }
}
