//! Addresses with all their attributes, as ip-address(8) shows them.

use std::net::IpAddr;

use crate::addr::cidr::Cidr;
use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{ADDRESS, IPV4, address, attributes, number, unnamed};
use crate::netlink::route::list::name_of_scope;

/// `RTM_GETADDR` of `linux/rtnetlink.h`.
const GET: u16 = 22;

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The index of the interface.
    pub(crate) index: u32,
    pub(crate) cidr: Cidr,
    /// The peer of a point-to-point address.
    pub(crate) peer: Option<IpAddr>,
    /// All other attributes, in the words of ip-address(8).
    pub(crate) more: Vec<String>,
}

impl Netlink {
    /// All addresses, IPv4 first, in the kernel's order.
    pub(crate) fn shown_addresses(&self) -> Result<Vec<Shown>, Failure> {
        let all = self.dump_both(GET, ADDRESS, "addresses")?;
        Ok(all.iter().filter_map(|body| shown(body)).collect())
    }
}

fn shown(body: &[u8]) -> Option<Shown> {
    let (head, rest) = body.split_at_checked(ADDRESS)?;
    let (mut local, mut any, mut more) = (None, None, Vec::new());
    let mut flags = u32::from(head[2]);
    for one in attributes(rest) {
        let text = || address(one.value).map(|address| address.to_string());
        let word = || String::from_utf8_lossy(one.value).trim_end_matches('\0').to_owned();
        match one.kind {
            1 => any = address(one.value),
            2 => local = address(one.value),
            3 => more.push(format!("label {}", word())),
            4 => more.push(format!("brd {}", text()?)),
            5 => more.push(format!("any {}", text()?)),
            6 => more.extend(lifetimes(one.value)),
            8 => flags = number(one.value)?,
            9 => more.push(format!("metric {}", number(one.value)?)),
            11 => more.push(format!("proto {}", protocol(*one.value.first()?))),
            _ => more.push(unnamed(one)),
        }
    }
    more.push(format!("scope {}", name_of_scope(head[3])));
    more.extend(words_of(flags, head[0] == IPV4));
    let address = local.or(any)?;
    let peer = any.filter(|any| *any != address);
    let cidr = Cidr::new(address, head[1]).ok()?;
    Some(Shown { index: number(&head[4..])?, cidr, peer, more })
}

/// By `IFA_F_*` of `linux/if_addr.h`.
fn words_of(flags: u32, is_ipv4: bool) -> Vec<String> {
    const WORDS: [&str; 12] = [
        "temporary",
        "nodad",
        "optimistic",
        "dadfailed",
        "home",
        "deprecated",
        "tentative",
        "",
        "mngtmpaddr",
        "noprefixroute",
        "autojoin",
        "stable-privacy",
    ];
    let set = (0..u32::BITS).filter(|bit| flags & 1 << bit != 0);
    let word = |bit: u32| match WORDS.get(bit as usize) {
        Some(&"temporary") if is_ipv4 => "secondary".to_owned(),
        Some(word) => (*word).to_owned(),
        None => format!("flag {bit}"),
    };
    // All that have no end are `permanent`.
    set.map(word).filter(|word| !word.is_empty()).collect()
}

/// `valid_lft 30sec`, for one that has an end.
fn lifetimes(value: &[u8]) -> Vec<String> {
    let of = |name: &str, at: usize| {
        let seconds = number(value.get(at..at + 4)?).filter(|seconds| *seconds != u32::MAX)?;
        Some(format!("{name} {seconds}sec"))
    };
    of("valid_lft", 4).into_iter().chain(of("preferred_lft", 0)).collect()
}

fn protocol(number: u8) -> String {
    match number {
        1 => "kernel_lo".to_owned(),
        2 => "kernel_ra".to_owned(),
        3 => "kernel_ll".to_owned(),
        other => other.to_string(),
    }
}
