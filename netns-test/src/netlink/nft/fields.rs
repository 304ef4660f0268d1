//! Attributes of messages about tables.

use crate::netlink::message::attribute;

pub(crate) fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, format!("{text}\0").as_bytes())
}

/// A number of 32 bits in network byte order.
#[cfg(feature = "lab")]
pub(crate) fn word(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

#[cfg(feature = "lab")]
pub(crate) fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    /// `NLA_F_NESTED`
    const NESTED: u16 = 0x8000;
    attribute(kind | NESTED, attributes)
}
