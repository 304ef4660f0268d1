//! Rules of ip-rule(8), which say which table a packet's route is looked up in.

use std::fmt;
use std::net::IpAddr;

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{
    Attribute, IPV4, ROUTE, address, attributes, hex, number, unnamed, unspecified,
};
use crate::netlink::route::list::{LOCAL, MAIN, name_of_protocol};

/// `RTM_GETRULE` of `linux/rtnetlink.h`.
const GET: u16 = 34;

/// `FIB_RULE_INVERT` of `linux/fib_rules.h`.
const INVERT: u32 = 2;

/// `RT_TABLE_DEFAULT`.
const DEFAULT: u32 = 253;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) is_ipv4: bool,
    pub(crate) priority: u32,
    /// The selector of packets, in the words of ip-rule(8): `from 10.0.0.1 fwmark 0x1`.
    pub(crate) selector: String,
    pub(crate) action: Action,
    /// The attributes after the action: `suppress_prefixlength 0`.
    pub(crate) more: Vec<String>,
    /// The longest prefix length of routes that the rule ignores.
    pub(crate) suppressed: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Table(u32),
    /// The table of the VRF that a packet is in.
    Vrf,
    Goto(u32),
    Nop,
    /// `blackhole`, `unreachable`, `prohibit`.
    Refuse(&'static str),
    Other(u8),
}

impl Netlink {
    /// Lists all rules, IPv4 first, in the order in which the kernel tries them.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>, Failure> {
        let all = self.dump_both(GET, ROUTE, "rules")?;
        if all.is_empty() {
            // A kernel without rules looks up these two tables.
            let tables = [(0, LOCAL), (32766, MAIN)];
            let both = [true, false].into_iter();
            return Ok(both
                .flat_map(|is_ipv4| tables.map(|own| Rule::fixed(is_ipv4, own)))
                .collect());
        }
        Ok(all.iter().filter_map(|body| rule(body)).collect())
    }
}

impl Rule {
    fn fixed(is_ipv4: bool, (priority, table): (u32, u32)) -> Self {
        let (selector, action) = ("from all".to_owned(), Action::Table(table));
        Self { is_ipv4, priority, selector, action, more: Vec::new(), suppressed: None }
    }

    /// Returns whether it is one of the rules of a new namespace, unchanged.
    pub(crate) fn is_default(&self) -> bool {
        let own = [(0, LOCAL), (32766, MAIN), (32767, DEFAULT)];
        let is_own = |table: u32| own.contains(&(self.priority, table));
        matches!(self.action, Action::Table(table) if is_own(table))
            && self.matches_all()
            && self.more.is_empty()
    }

    /// Returns whether it matches every packet.
    pub(crate) fn matches_all(&self) -> bool {
        self.selector == "from all"
    }
}

/// `32766: from all lookup main`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.priority, self.selector, self.action)?;
        self.more.iter().try_for_each(|words| write!(f, " {words}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "lookup {}", name_of_table(*table)),
            Self::Vrf => f.write_str("lookup [l3mdev-table]"),
            Self::Goto(target) => write!(f, "goto {target}"),
            Self::Nop => f.write_str("nop"),
            Self::Refuse(word) => f.write_str(word),
            Self::Other(number) => write!(f, "action {number}"),
        }
    }
}

/// `main`, `7`.
pub(crate) fn name_of_table(table: u32) -> String {
    match table {
        LOCAL => "local".to_owned(),
        MAIN => "main".to_owned(),
        DEFAULT => "default".to_owned(),
        other => other.to_string(),
    }
}

/// Returns whether some packet of the family is looked up in a table, for a route of that prefix
/// length.
///
/// A rule that refuses all packets ends the search. `vrfs` are the tables of VRFs.
pub(crate) fn leads_to(
    rules: &[Rule],
    vrfs: &[u32],
    is_ipv4: bool,
    (table, prefix): (u32, u8),
) -> bool {
    let mut from = 0;
    for rule in rules.iter().filter(|rule| rule.is_ipv4 == is_ipv4) {
        if rule.priority < from {
            continue;
        }
        match &rule.action {
            Action::Table(other) => {
                let is_left_out = rule.suppressed.is_some_and(|most| prefix <= most);
                if *other == table && !is_left_out {
                    return true;
                }
            }
            Action::Vrf if vrfs.contains(&table) => return true,
            Action::Goto(target) if rule.matches_all() => from = *target,
            Action::Refuse(_) if rule.matches_all() => return false,
            _ => {}
        }
    }
    false
}

fn rule(body: &[u8]) -> Option<Rule> {
    let (head, rest) = body.split_at_checked(ROUTE)?;
    let [family, to_length, from_length, tos, table, _, _, action] = head[..8] else { return None };
    let is_inverted = number(&head[8..])? & INVERT != 0;
    let mut said = Said { table: table.into(), ..Said::default() };
    for one in attributes(rest) {
        said.take(one, (from_length, to_length))?;
    }
    let default = |length| (length > 0).then(|| format!("{}/{length}", unspecified(family)));
    let from = said.from.or_else(|| default(from_length)).unwrap_or_else(|| "all".to_owned());
    let to = said.to.or_else(|| default(to_length));
    let mut words: Vec<String> = is_inverted.then(|| "not".to_owned()).into_iter().collect();
    words.push(format!("from {from}"));
    words.extend(to.map(|to| format!("to {to}")));
    if tos != 0 {
        words.push(format!("tos {tos:#04x}"));
    }
    words.extend(said.mark.map(|mark| match said.mask {
        Some(mask) if mask != u32::MAX => format!("fwmark {mark:#x}/{mask:#x}"),
        _ => format!("fwmark {mark:#x}"),
    }));
    said.selector.sort();
    words.extend(said.selector.into_iter().map(|(_, words)| words));
    let action = match action {
        1 if said.is_vrf => Action::Vrf,
        1 => Action::Table(said.table),
        2 => Action::Goto(said.target),
        3 => Action::Nop,
        6 => Action::Refuse("blackhole"),
        7 => Action::Refuse("unreachable"),
        8 => Action::Refuse("prohibit"),
        other => Action::Other(other),
    };
    Some(Rule {
        is_ipv4: family == IPV4,
        priority: said.priority,
        selector: words.join(" "),
        action,
        more: said.more,
        suppressed: said.suppressed,
    })
}

/// The attributes of a rule.
#[derive(Default)]
struct Said {
    priority: u32,
    table: u32,
    target: u32,
    is_vrf: bool,
    from: Option<String>,
    to: Option<String>,
    mark: Option<u32>,
    mask: Option<u32>,
    /// With places, which are those of ip-rule(8).
    selector: Vec<(u8, String)>,
    more: Vec<String>,
    suppressed: Option<u8>,
}

impl Said {
    fn say(&mut self, place: u8, words: String) {
        self.selector.push((place, words));
    }

    /// By `FRA_*` of `linux/fib_rules.h`.
    fn take(&mut self, one: Attribute<'_>, (from, to): (u8, u8)) -> Option<()> {
        let word = || String::from_utf8_lossy(one.value).trim_end_matches('\0').to_owned();
        match one.kind {
            1 => self.to = Some(subnet(address(one.value)?, to)),
            2 => self.from = Some(subnet(address(one.value)?, from)),
            3 => self.say(0, format!("iif {}", word())),
            4 => self.target = number(one.value)?,
            6 => self.priority = number(one.value)?,
            10 => self.mark = Some(number(one.value)?),
            11 => self.more.push(realms(number(one.value)?)),
            12 => self.say(6, format!("tun_id {}", hex(one.value))),
            13 => match number(one.value)? {
                u32::MAX => {}
                group => self.more.push(format!("suppress_ifgroup {group}")),
            },
            14 => match number(one.value)? {
                u32::MAX => {}
                most => {
                    self.suppressed = Some(u8::try_from(most).unwrap_or(u8::MAX));
                    self.more.push(format!("suppress_prefixlength {most}"));
                }
            },
            15 => self.table = number(one.value)?,
            16 => self.mask = Some(number(one.value)?),
            17 => self.say(1, format!("oif {}", word())),
            // Padding.
            18 => {}
            19 => self.is_vrf = one.value.first().is_some_and(|set| *set != 0),
            20 => {
                let (first, last) = one.value.split_at_checked(4)?;
                let (first, last) = (number(first)?, number(last)?);
                self.say(2, format!("uidrange {first}-{last}"));
            }
            21 => match one.value.first()? {
                0 | 2 => {}
                protocol => self.more.push(format!("proto {}", name_of_protocol(*protocol))),
            },
            22 => self.say(3, format!("ipproto {}", ip_protocol(*one.value.first()?))),
            23 => self.say(4, format!("sport {}", ports(one.value)?)),
            24 => self.say(5, format!("dport {}", ports(one.value)?)),
            _ => self.say(u8::MAX, unnamed(one)),
        }
        Some(())
    }
}

fn ip_protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "ipv6-icmp".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}

fn ports(value: &[u8]) -> Option<String> {
    let [a, b, c, d] = *value else { return None };
    let (first, last) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
    Some(if first == last { first.to_string() } else { format!("{first}-{last}") })
}

fn realms(both: u32) -> String {
    match both >> 16 {
        0 => format!("realms {}", both & 0xffff),
        from => format!("realms {from}/{}", both & 0xffff),
    }
}

/// `10.0.0.1`, `10.0.0.0/24`.
fn subnet(address: IpAddr, length: u8) -> String {
    let is_one = length == if address.is_ipv4() { 32 } else { 128 };
    if is_one { address.to_string() } else { format!("{address}/{length}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(priority: u32, selector: &str, action: Action) -> Rule {
        let selector = selector.to_owned();
        Rule { is_ipv4: true, priority, selector, action, more: Vec::new(), suppressed: None }
    }

    #[test]
    fn tables_that_no_rule_leads_to_are_not_looked_up() {
        let all = "from all";
        let mut rules = vec![
            rule(0, all, Action::Table(LOCAL)),
            rule(10, "from 10.0.0.1", Action::Table(7)),
            rule(32766, all, Action::Table(MAIN)),
        ];
        let leads = |rules: &[Rule], table| leads_to(rules, &[9], true, (table, 24));
        assert!(leads(&rules, MAIN) && leads(&rules, 7) && !leads(&rules, 8));
        assert!(!leads_to(&rules, &[], false, (MAIN, 24)));
        rules.insert(2, rule(20, "from 10.0.0.9", Action::Refuse("blackhole")));
        assert!(leads(&rules, MAIN));
        rules[2].selector = all.to_owned();
        assert!(leads(&rules, 7) && !leads(&rules, MAIN));
        rules.insert(0, rule(0, all, Action::Goto(30)));
        assert!(!leads(&rules, 7) && leads(&rules, MAIN));
        assert!(!leads(&rules, 9));
        rules.push(rule(1000, all, Action::Vrf));
        assert!(leads(&rules, 9));
        rules.pop();
        rules.last_mut().unwrap().suppressed = Some(0);
        assert!(leads(&rules, MAIN) && !leads_to(&rules, &[], true, (MAIN, 0)));
    }
}
