//! Lists what a table holds.

use std::io;
use std::time::Duration;

use crate::error::Failure;
use crate::netlink::attr::{Attribute, attributes};
use crate::netlink::nft::comment::{comment_in, number_in};
use crate::netlink::nft::fields::text;
use crate::netlink::nft::socket::HEAD;
use crate::netlink::nft::{INET, NFTABLES, Nft};
use crate::sys::errno;

/// A set in the kernel: its name, its flags, and the lengths of key and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetThere {
    pub(crate) name: String,
    pub(crate) shape: (u32, u32, u32),
}

/// An element in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ElementThere {
    pub(crate) key: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// Time until it expires; `None` for a constant.
    pub(crate) expires: Option<Duration>,
}

/// A rule in the kernel that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) chain: String,
    pub(crate) text: String,
    pub(crate) number: Option<u32>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Nft {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::connect().map_err(|error| errno::failure("open", "a netfilter socket", &error))
    }

    /// Lists the chains of a table `inet`; none if there is no table.
    pub(crate) fn chains(&mut self, table: &str) -> Result<Vec<String>, Failure> {
        let found = self.list(4, table, "chains", &[])?;
        Ok(found.iter().filter_map(|body| name(body, table, 3)).collect())
    }

    /// Lists the sets of a table `inet`.
    pub(crate) fn sets(&mut self, table: &str) -> Result<Vec<SetThere>, Failure> {
        let found = self.list(10, table, "sets", &[])?;
        let set = |body: &Vec<u8>| {
            let number = |kind| field(body, kind).and_then(word).unwrap_or(0);
            let shape = (number(3), number(5), number(7));
            Some(SetThere { name: name(body, table, 2)?, shape })
        };
        Ok(found.iter().filter_map(set).collect())
    }

    /// Lists the elements of a set; none if there is no such set.
    pub(crate) fn elements(
        &mut self,
        table: &str,
        set: &str,
    ) -> Result<Vec<ElementThere>, Failure> {
        let found = self.list(13, table, &format!("elements of set {set}"), &text(2, set))?;
        let lists = found.iter().filter_map(|body| field(body, 3));
        Ok(lists.flat_map(|list| attributes(list).into_iter().filter_map(element)).collect())
    }

    /// Lists the rules of a table `inet` that count, in the order of the kernel.
    pub(crate) fn counted(&mut self, table: &str) -> Result<Vec<Counted>, Failure> {
        let found = self.list(7, table, "rules", &[])?;
        Ok(found.iter().filter_map(|body| counted(body, table)).collect())
    }

    fn list(
        &mut self,
        kind: u16,
        table: &str,
        object: &str,
        fields: &[u8],
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let body = [&[INET, 0, 0, 0], &text(1, table)[..], fields].concat();
        match self.dump(NFTABLES | kind, &body) {
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) => Ok(Vec::new()),
            other => other.map_err(|error: io::Error| {
                let object = format!("{object} of nftables table inet {table}");
                errno::failure("list", object, &error)
            }),
        }
    }
}

/// Parses an element of a list.
fn element(item: Attribute<'_>) -> Option<ElementThere> {
    let fields = attributes(item.value);
    let value = |kind| fields.iter().find(|one| one.kind == kind).map(|one| one.value);
    let inner = |kind| {
        let parts = attributes(value(kind)?);
        parts.into_iter().find(|one| one.kind == 1).map(|one| one.value.to_vec())
    };
    let expires = value(5).and_then(long).map(Duration::from_millis);
    Some(ElementThere { key: inner(1)?, data: inner(2).unwrap_or_default(), expires })
}

/// Parses a rule.
fn counted(body: &[u8], table: &str) -> Option<Counted> {
    let chain = name(body, table, 2)?;
    let (text, number) = (field(body, 7).and_then(comment_in)?, field(body, 7).and_then(number_in));
    let expressions = attributes(field(body, 4)?);
    let (packets, bytes) = expressions.iter().find_map(|one| counter(one.value))?;
    Some(Counted { chain, text, number, packets, bytes })
}

/// Parses an expression; returns packets and bytes of a counter.
fn counter(expression: &[u8]) -> Option<(u64, u64)> {
    let fields = attributes(expression);
    let value = |kind| fields.iter().find(|one| one.kind == kind).map(|one| one.value);
    let data = (value(1)? == b"counter\0").then(|| value(2)).flatten()?;
    let data = attributes(data);
    let number = |kind| data.iter().find(|one| one.kind == kind).and_then(|one| long(one.value));
    Some((number(2)?, number(1)?))
}

/// Returns the name in an attribute, if the object is of the table.
fn name(body: &[u8], table: &str, kind: u16) -> Option<String> {
    let of_table = field(body, 1).map(string)? == table && body.first() == Some(&INET);
    of_table.then(|| field(body, kind).map(string)).flatten()
}

fn field(body: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(body.get(HEAD..)?).iter().find(|one| one.kind == kind).map(|one| one.value)
}

fn string(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn long(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}
