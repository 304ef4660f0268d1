//! Expressions of rules: the steps that a packet goes through. Values are in registers of 32 bits;
//! a longer value takes several.

use crate::netlink::message::attribute;
use crate::netlink::nft::fields::{nested, text, word};

/// Number of a register of 32 bits, 0 to 15.
pub(crate) type Register = u32;

/// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`: a port at random. With one port to choose from, the kernel
/// takes that one, but looks whether a flow has it, and forgets one that has expired. Without this
/// flag it does not look: then it would drop the packets of a new flow until its next collection of
/// expired ones, which may be a minute later.
const AT_RANDOM: u32 = 0x10;

/// Comparison (`enum nft_cmp_ops`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compare {
    Equal = 0,
    NotEqual = 1,
    AtMost = 3,
    Above = 4,
    AtLeast = 5,
}

/// Property of a packet that is not in its bytes (`enum nft_meta_keys`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meta {
    InName = 6,
    OutName = 7,
    Family = 15,
    Protocol = 16,
}

/// Property of the packet's flow (`enum nft_ct_keys`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    State = 0,
    Direction = 1,
    Status = 2,
    Mark = 3,
    /// Milliseconds until the flow expires.
    Expiration = 5,
    SourcePort = 11,
    DestinationPort = 12,
    Zone = 17,
    SourceIpv4 = 19,
    DestinationIpv4 = 20,
}

/// Header that an offset begins at (`enum nft_payload_bases`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    Network = 1,
    Transport = 2,
}

/// An expression: its name, and its attributes.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) name: &'static str,
    fields: Vec<u8>,
}

impl Expression {
    fn new(name: &'static str, fields: &[Vec<u8>]) -> Self {
        Self { name, fields: fields.concat() }
    }

    /// Returns the attributes of an element of a list of expressions.
    pub(super) fn attributes(&self) -> Vec<u8> {
        nested(1, &[text(1, self.name), nested(2, &self.fields)].concat())
    }

    /// Returns the module that has it, if that is not `nf_tables`.
    pub(super) fn module(&self) -> Option<&'static str> {
        match self.name {
            "ct" => Some("nft_ct"),
            "fib" => Some("nft_fib_inet"),
            "masq" => Some("nft_masq"),
            "nat" => Some("nft_nat"),
            "numgen" => Some("nft_numgen"),
            "reject" => Some("nft_reject_inet"),
            _ => None,
        }
    }
}

pub(super) fn meta(key: Meta, to: Register) -> Expression {
    Expression::new("meta", &[register(1, to), word(2, key as u32)])
}

pub(super) fn payload(header: Header, offset: u32, length: u32, to: Register) -> Expression {
    let place = [word(2, header as u32), word(3, offset), word(4, length)];
    Expression::new("payload", &[register(1, to), place.concat()])
}

/// Writes bytes of the packet, without a correction of checksums.
pub(super) fn write(header: Header, offset: u32, length: u32, from: Register) -> Expression {
    let place = [word(2, header as u32), word(3, offset), word(4, length)];
    Expression::new("payload", &[place.concat(), register(5, from), word(6, 0), word(7, 0)])
}

/// `direction` is 0 for the tuple of the first packet, 1 for that of the answers.
pub(super) fn flow(key: Flow, direction: Option<u8>, to: Register) -> Expression {
    let direction = direction.map_or(Vec::new(), |direction| attribute(3, &[direction]));
    Expression::new("ct", &[register(1, to), word(2, key as u32), direction])
}

pub(super) fn set_flow(key: Flow, from: Register) -> Expression {
    Expression::new("ct", &[word(2, key as u32), register(4, from)])
}

pub(super) fn compare(from: Register, how: Compare, value: &[u8]) -> Expression {
    let data = nested(3, &attribute(1, value));
    Expression::new("cmp", &[register(1, from), word(2, how as u32), data])
}

pub(super) fn mask(at: Register, mask: &[u8]) -> Expression {
    let registers = [register(1, at), register(2, at), word(3, mask.len() as u32)].concat();
    let zeros = vec![0; mask.len()];
    let [mask, xor] =
        [(4, mask), (5, &zeros)].map(|(kind, value)| nested(kind, &attribute(1, value)));
    Expression::new("bitwise", &[registers, mask, xor])
}

pub(super) fn constant(value: &[u8], to: Register) -> Expression {
    Expression::new("immediate", &[register(1, to), nested(2, &attribute(1, value))])
}

/// A verdict (`NF_DROP`, `NF_ACCEPT`, `enum nft_verdicts`), with the chain of a jump.
pub(super) fn verdict(code: i32, chain: Option<&str>) -> Expression {
    let chain = chain.map_or(Vec::new(), |chain| text(2, chain));
    let verdict = [attribute(1, &code.to_be_bytes()), chain].concat();
    Expression::new("immediate", &[word(1, 0), nested(2, &nested(2, &verdict))])
}

pub(super) fn lookup(set: &str, key: Register, data: Option<Register>) -> Expression {
    let data = data.map_or(Vec::new(), |data| register(3, data));
    Expression::new("lookup", &[text(1, set), register(2, key), data])
}

pub(super) fn lookup_none(set: &str, key: Register) -> Expression {
    /// `NFT_LOOKUP_F_INV`
    const INVERTED: u32 = 1;
    Expression::new("lookup", &[text(1, set), register(2, key), word(5, INVERTED)])
}

/// Adds an element, or starts its time-out anew, which is in milliseconds. The data of an element
/// that is there stays.
pub(super) fn update(set: &str, key: Register, data: Option<Register>, timeout: u64) -> Expression {
    let data = data.map_or(Vec::new(), |data| register(5, data));
    let timeout = attribute(6, &timeout.to_be_bytes());
    Expression::new("dynset", &[text(1, set), word(3, 1), register(4, key), data, timeout])
}

/// A number from `offset` on, below `offset + modulus`: the next one, or a random one.
pub(super) fn number(is_random: bool, modulus: u32, offset: u32, to: Register) -> Expression {
    let range = [word(2, modulus), word(3, u32::from(is_random)), word(4, offset)];
    Expression::new("numgen", &[register(1, to), range.concat()])
}

/// Converts a number in host byte order, of 4 bytes or the first 2 ones.
pub(super) fn to_network(at: Register, bytes: u32) -> Expression {
    let place = [register(1, at), register(2, at)].concat();
    Expression::new("byteorder", &[place, word(3, 1), word(4, bytes), word(5, bytes)])
}

/// Shifts a number left.
pub(super) fn shift_left(at: Register, bits: u32) -> Expression {
    let place = [register(1, at), register(2, at), word(3, 4)].concat();
    let by = nested(7, &attribute(1, &bits.to_ne_bytes()));
    Expression::new("bitwise", &[place, word(6, 1), by])
}

/// Looks up the type of an address of the packet (`NFTA_FIB_F_*`).
pub(super) fn address_type(flags: u32, to: Register) -> Expression {
    /// `NFT_FIB_RESULT_ADDRTYPE`
    const TYPE: u32 = 3;
    Expression::new("fib", &[register(1, to), word(2, TYPE), word(3, flags)])
}

/// Translates the source (0) or the destination (1) to an IPv4 address, and a port.
pub(super) fn translate(side: u32, address: Register, port: Option<Register>) -> Expression {
    /// `NFPROTO_IPV4`
    const IPV4: u32 = 2;
    let port = port.map_or(Vec::new(), |port| {
        [register(5, port), register(6, port), word(7, AT_RANDOM)].concat()
    });
    let address = [register(3, address), register(4, address)].concat();
    Expression::new("nat", &[word(1, side), word(2, IPV4), address, port])
}

/// Translates the source to the address of the outgoing interface, and to a port, or to a random
/// one.
pub(super) fn masquerade(port: Option<Register>, is_random: bool) -> Expression {
    /// `NF_NAT_RANGE_PROTO_SPECIFIED`
    const SPECIFIED: u32 = 0x2;
    match port {
        Some(port) => {
            let port = [register(2, port), register(3, port)].concat();
            Expression::new("masq", &[word(1, SPECIFIED | AT_RANDOM), port])
        }
        None if is_random => Expression::new("masq", &[word(1, AT_RANDOM)]),
        None => Expression::new("masq", &[]),
    }
}

pub(super) fn counter() -> Expression {
    Expression::new("counter", &[attribute(1, &[0; 8]), attribute(2, &[0; 8])])
}

/// Answers by RST, or by ICMP or ICMPv6 "administratively prohibited".
pub(super) fn reject(by_reset: bool) -> Expression {
    /// `NFT_REJECT_TCP_RST`, `NFT_REJECT_ICMPX_UNREACH`, `NFT_REJECT_ICMPX_ADMIN_PROHIBITED`
    const RESET: u32 = 1;
    const ICMP: u32 = 2;
    const PROHIBITED: u8 = 3;
    if by_reset {
        return Expression::new("reject", &[word(1, RESET)]);
    }
    Expression::new("reject", &[word(1, ICMP), attribute(2, &[PROHIBITED])])
}

fn register(kind: u16, number: Register) -> Vec<u8> {
    /// `NFT_REG32_00`
    const FIRST: u32 = 8;
    assert!(number < 16, "there are 16 registers");
    word(kind, FIRST + number)
}
