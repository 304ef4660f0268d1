//! Sets and maps of a table, and their elements.

use std::time::Duration;

use crate::netlink::message::attribute;
use crate::netlink::nft::fields::{nested, text, word};

/// A set, or a map if it has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: String,
    /// Parts of the key.
    pub(crate) key: Vec<Kind>,
    /// Parts of the data; empty for a set.
    pub(crate) data: Vec<Kind>,
    /// True if rules write elements, with a time-out each.
    pub(crate) is_dynamic: bool,
    /// True if elements may have a time-out each, also without rules that write them.
    pub(crate) has_timeouts: bool,
    /// True if elements are ranges.
    pub(crate) has_ranges: bool,
}

/// Kind of a value in a set, by the numbers of nft(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer = 4,
    Ipv4 = 7,
    Ipv6 = 8,
    Protocol = 12,
    Port = 13,
}

/// An element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    /// Empty in a set.
    pub(crate) data: Vec<u8>,
    /// True if the key is the first value behind a range.
    pub(crate) is_end: bool,
    /// Time after which the kernel removes it; none for a constant.
    pub(crate) timeout: Option<Duration>,
}

/// `NFT_SET_*`
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
const EVAL: u32 = 0x20;

/// Most elements of a set that rules write.
const MOST: u32 = 1 << 18;

impl Set {
    /// Creates the description of a set of constants.
    pub(crate) fn of(name: impl Into<String>, key: &[Kind]) -> Self {
        let (key, data) = (key.to_vec(), Vec::new());
        let name = name.into();
        Self { name, key, data, is_dynamic: false, has_timeouts: false, has_ranges: false }
    }

    /// Makes it a map.
    pub(crate) fn to(self, data: &[Kind]) -> Self {
        Self { data: data.to_vec(), ..self }
    }

    /// Makes it a set that rules write.
    pub(crate) fn dynamic(self) -> Self {
        Self { is_dynamic: true, ..self }
    }

    /// Makes it a set whose elements may have time-outs.
    pub(crate) fn timed(self) -> Self {
        Self { has_timeouts: true, ..self }
    }

    /// Makes it a set of ranges.
    pub(crate) fn ranges(self) -> Self {
        Self { has_ranges: true, ..self }
    }

    /// Returns the flags, and the lengths of key and data, by which sets in the kernel differ.
    pub(crate) fn shape(&self) -> (u32, u32, u32) {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let dynamic = flag(self.is_dynamic, TIMEOUT | EVAL) | flag(self.has_timeouts, TIMEOUT);
        let flags = dynamic | flag(self.has_ranges, INTERVAL) | flag(!self.data.is_empty(), MAP);
        (flags, length(&self.key), length(&self.data))
    }

    /// Returns the attributes of a message after the table. `id` distinguishes new sets.
    pub(super) fn attributes(&self, id: u32) -> Vec<u8> {
        let (flags, key, data) = self.shape();
        let mut fields = [text(2, &self.name), word(3, flags)].concat();
        fields.extend([word(4, kind(&self.key)), word(5, key)].concat());
        if data > 0 {
            fields.extend([word(6, kind(&self.data)), word(7, data)].concat());
        }
        if self.is_dynamic {
            fields.extend(nested(9, &word(1, MOST)));
        }
        fields.extend(word(10, id));
        fields
    }
}

impl Kind {
    /// Returns the number of bytes of a value.
    fn bytes(self) -> u32 {
        match self {
            Self::Integer | Self::Ipv4 => 4,
            Self::Ipv6 => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

impl Element {
    /// Creates an element of a set.
    pub(crate) fn key(parts: &[&[u8]]) -> Self {
        Self { key: concatenated(parts), ..Self::default() }
    }

    /// Adds the data of an element of a map.
    pub(crate) fn to(self, parts: &[&[u8]]) -> Self {
        Self { data: concatenated(parts), ..self }
    }

    /// Limits the time for which the element exists, in milliseconds from now on.
    pub(crate) fn expires(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Creates the elements of ranges of ports, which may overlap.
    pub(crate) fn ranges_of_ports(ranges: &[std::ops::RangeInclusive<u16>]) -> Vec<Self> {
        let mut sorted: Vec<(u32, u32)> = ranges
            .iter()
            .filter(|range| !range.is_empty())
            .map(|range| (u32::from(*range.start()), u32::from(*range.end()) + 1))
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (start, end) in sorted {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        let port = |number: u32| u16::try_from(number).ok().map(u16::to_be_bytes);
        let start = |number| port(number).map(|key| Self::key(&[&key]));
        let end = |number| port(number).map(|key| Self { is_end: true, ..Self::key(&[&key]) });
        merged.into_iter().flat_map(|(from, to)| [start(from), end(to)]).flatten().collect()
    }

    /// Returns the attributes of the element.
    pub(super) fn attributes(&self) -> Vec<u8> {
        /// `NFT_SET_ELEM_INTERVAL_END`
        const END: u32 = 1;
        let mut fields = nested(1, &attribute(1, &self.key));
        if !self.data.is_empty() {
            fields.extend(nested(2, &attribute(1, &self.data)));
        }
        if self.is_end {
            fields.extend(word(3, END));
        }
        if let Some(timeout) = self.timeout {
            let time = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
            fields.extend(attribute(4, &time.to_be_bytes()));
        }
        fields
    }
}

/// Joins values, each padded to a register if there are several.
pub(crate) fn concatenated(parts: &[&[u8]]) -> Vec<u8> {
    let [one] = parts else {
        let padded = |part: &&[u8]| {
            let mut bytes = part.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        return parts.iter().flat_map(padded).collect();
    };
    one.to_vec()
}

fn length(kinds: &[Kind]) -> u32 {
    let [one] = kinds else {
        return kinds.iter().map(|kind| kind.bytes().next_multiple_of(4)).sum();
    };
    one.bytes()
}

/// Returns the number by which nft(8) knows a kind or a concatenation.
fn kind(kinds: &[Kind]) -> u32 {
    kinds.iter().fold(0, |number, kind| number << 6 | *kind as u32)
}
