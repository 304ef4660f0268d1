//! A rule, built from expressions in the words of nft(8): each call adds a step, and a packet that
//! does not match leaves the rule.

use std::time::Duration;

use crate::netlink::message::attribute;
use crate::netlink::nft::comment::comment;
use crate::netlink::nft::expression::{
    self as step, Compare, Expression, Flow, Header, Meta, Register,
};
use crate::netlink::nft::fields::nested;

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    text: String,
    number: Option<u32>,
    expressions: Vec<Expression>,
}

/// Set of ports or addresses that a packet's value is looked up in, and where its data goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) set: &'a str,
    pub(crate) key: Register,
    pub(crate) data: Register,
}

/// Address that `fib` looks up, by the flags of the kernel (`NFTA_FIB_F_*`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Local {
    /// Destination, an address of any interface.
    Destination = 0x2,
    /// Destination, an address of the interface that the packet came in by.
    DestinationOfIn = 0x2 | 0x8,
    /// Source, an address of the interface that the packet goes out by.
    SourceOfOut = 0x1 | 0x10,
}

/// Bits of the state of a flow (`NF_CT_STATE_*`).
pub(crate) const INVALID: u32 = 1;
pub(crate) const ESTABLISHED: u32 = 2;
pub(crate) const RELATED: u32 = 4;
pub(crate) const NEW: u32 = 8;

/// Bits of the status of a flow (`enum ip_conntrack_status`).
pub(crate) const SOURCE_NAT: u32 = 0x10;
pub(crate) const DESTINATION_NAT: u32 = 0x20;

/// Register for values that are compared at once.
const HERE: Register = 15;

impl Rule {
    /// Creates a rule without conditions. The text is its comment, and its name in errors.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None, expressions: Vec::new() }
    }

    /// Adds a number, by which counters of rules with one text are distinguished.
    pub(crate) fn numbered(self, number: u32) -> Self {
        Self { number: Some(number), ..self }
    }

    /// Restricts the rule to IPv4 (4) or IPv6 (6).
    pub(crate) fn family(self, version: u8) -> Self {
        /// `NFPROTO_IPV4`, `NFPROTO_IPV6`
        const NUMBERS: [u8; 2] = [2, 10];
        let number = NUMBERS[usize::from(version == 6)];
        self.meta(Meta::Family, HERE).test(HERE, Compare::Equal, &[number])
    }

    /// Restricts the rule to packets that came in by an interface, or not by it.
    pub(crate) fn from(self, interface: &str) -> Self {
        self.name(Meta::InName, Compare::Equal, interface)
    }

    pub(crate) fn not_from(self, interface: &str) -> Self {
        self.name(Meta::InName, Compare::NotEqual, interface)
    }

    /// Restricts the rule to forwarded packets, where also the node's own ones pass.
    pub(crate) fn forwarded(self) -> Self {
        self.name(Meta::InName, Compare::NotEqual, "")
    }

    /// Restricts the rule to packets that go out by an interface, or not by it.
    pub(crate) fn to(self, interface: &str) -> Self {
        self.name(Meta::OutName, Compare::Equal, interface)
    }

    pub(crate) fn not_to(self, interface: &str) -> Self {
        self.name(Meta::OutName, Compare::NotEqual, interface)
    }

    /// Restricts the rule to an IP protocol.
    pub(crate) fn protocol(self, number: u8) -> Self {
        self.meta(Meta::Protocol, HERE).test(HERE, Compare::Equal, &[number])
    }

    /// Restricts the rule to IP protocols in a set, or not in it.
    pub(crate) fn protocol_in(self, set: &str) -> Self {
        self.meta(Meta::Protocol, HERE).in_set(set, HERE)
    }

    pub(crate) fn protocol_not_in(self, set: &str) -> Self {
        self.meta(Meta::Protocol, HERE).not_in_set(set, HERE)
    }

    /// Restricts the rule to flows in one of the states.
    pub(crate) fn state(self, states: u32) -> Self {
        self.bits(Flow::State, states).test(HERE, Compare::NotEqual, &[0; 4])
    }

    /// Restricts the rule to flows that have all bits of the status.
    pub(crate) fn status(self, bits: u32) -> Self {
        self.bits(Flow::Status, bits).test(HERE, Compare::Equal, &bits.to_ne_bytes())
    }

    /// Restricts the rule to flows that have no bit of the status.
    pub(crate) fn status_without(self, bits: u32) -> Self {
        self.bits(Flow::Status, bits).test(HERE, Compare::Equal, &[0; 4])
    }

    /// Restricts the rule to packets in the direction of the first packet (0), or of answers (1).
    pub(crate) fn direction(self, direction: u8) -> Self {
        self.flow(Flow::Direction, None, HERE).test(HERE, Compare::Equal, &[direction])
    }

    /// Restricts the rule to flows with a mark.
    pub(crate) fn mark(self, mark: u32) -> Self {
        self.flow(Flow::Mark, None, HERE).test(HERE, Compare::Equal, &mark.to_ne_bytes())
    }

    /// Restricts the rule to flows in a zone.
    pub(crate) fn zone(self, zone: u16) -> Self {
        self.flow(Flow::Zone, None, HERE).test(HERE, Compare::Equal, &zone.to_ne_bytes())
    }

    /// Restricts the rule to flows that expire in more than, or in at most, so many milliseconds.
    pub(crate) fn expires_in(self, how: Compare, milliseconds: u32) -> Self {
        let rule = self.flow(Flow::Expiration, None, HERE);
        rule.then(step::to_network(HERE, 4)).test(HERE, how, &milliseconds.to_be_bytes())
    }

    /// Restricts the rule to packets with a local address, or without.
    pub(crate) fn local(self, address: Local) -> Self {
        self.address_type(address, Compare::Equal)
    }

    pub(crate) fn not_local(self, address: Local) -> Self {
        self.address_type(address, Compare::NotEqual)
    }

    /// Restricts the rule to packets whose bytes at an offset are these, or in a set.
    pub(crate) fn bytes(self, header: Header, offset: u32, bytes: &[u8]) -> Self {
        let rule = self.payload(header, offset, bytes.len() as u32, HERE);
        rule.test(HERE, Compare::Equal, bytes)
    }

    pub(crate) fn bytes_in(self, header: Header, offset: u32, length: u32, set: &str) -> Self {
        // An IPv6 address takes four registers.
        self.payload(header, offset, length, 0).in_set(set, 0)
    }

    /// Restricts the rule to packets with a prefix of so many bits at an offset.
    pub(crate) fn prefix(self, header: Header, offset: u32, prefix: &[u8], bits: u8) -> Self {
        let whole = usize::from(bits / 8);
        let mut mask = vec![0xff; whole];
        mask.extend((bits % 8 > 0).then(|| 0xff_u8 << (8 - bits % 8)));
        let rule = self.payload(header, offset, mask.len() as u32, 0);
        let rule = if bits % 8 > 0 { rule.then(step::mask(0, &mask)) } else { rule };
        rule.test(0, Compare::Equal, &prefix[..mask.len()])
    }

    /// Restricts the rule to packets whose value in a register compares so.
    pub(crate) fn test(self, register: Register, how: Compare, value: &[u8]) -> Self {
        self.then(step::compare(register, how, value))
    }

    /// Restricts the rule to packets whose value is in a set, or not in it.
    pub(crate) fn in_set(self, set: &str, key: Register) -> Self {
        self.then(step::lookup(set, key, None))
    }

    pub(crate) fn not_in_set(self, set: &str, key: Register) -> Self {
        self.then(step::lookup_none(set, key))
    }

    /// Restricts the rule to packets whose value is in a map, and loads its data.
    pub(crate) fn find(self, found: Found<'_>) -> Self {
        self.then(step::lookup(found.set, found.key, Some(found.data)))
    }

    /// Loads a property of the packet.
    pub(crate) fn meta(self, key: Meta, to: Register) -> Self {
        self.then(step::meta(key, to))
    }

    /// Loads bytes of the packet.
    pub(crate) fn payload(self, header: Header, offset: u32, length: u32, to: Register) -> Self {
        self.then(step::payload(header, offset, length, to))
    }

    /// Writes bytes of the packet, without a correction of checksums.
    pub(crate) fn write(self, header: Header, offset: u32, length: u32, from: Register) -> Self {
        self.then(step::write(header, offset, length, from))
    }

    /// Loads a property of the flow, for tuples that of the first packet (0) or of answers (1).
    pub(crate) fn flow(self, key: Flow, direction: Option<u8>, to: Register) -> Self {
        self.then(step::flow(key, direction, to))
    }

    /// Loads a constant.
    pub(crate) fn constant(self, value: &[u8], to: Register) -> Self {
        self.then(step::constant(value, to))
    }

    /// Loads a random port from a range of `count` ports.
    pub(crate) fn random_port(self, first: u16, count: u32, to: Register) -> Self {
        let rule = self.then(step::number(true, count, u32::from(first), to));
        if cfg!(target_endian = "big") {
            return rule.then(step::shift_left(to, 16));
        }
        rule.then(step::to_network(to, 2))
    }

    /// Loads the next number below `count`, in host byte order.
    pub(crate) fn next_number(self, count: u32, to: Register) -> Self {
        self.then(step::number(false, count, 0, to))
    }

    /// Adds an element to a set or map, or starts its time-out anew. The data of an element that is
    /// there stays.
    pub(crate) fn update(
        self,
        set: &str,
        key: Register,
        data: Option<Register>,
        timeout: Duration,
    ) -> Self {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.then(step::update(set, key, data, timeout))
    }

    /// Puts the packet's flow into a zone, before the kernel looks the flow up.
    pub(crate) fn set_zone(self, zone: u16) -> Self {
        self.constant(&zone.to_ne_bytes(), HERE).then(step::set_flow(Flow::Zone, HERE))
    }

    /// Marks the packet's flow.
    pub(crate) fn set_mark(self, mark: u32) -> Self {
        self.constant(&mark.to_ne_bytes(), HERE).then(step::set_flow(Flow::Mark, HERE))
    }

    /// Translates the source to the address in a register, and the port in another one.
    pub(crate) fn source(self, address: Register, port: Option<Register>) -> Self {
        self.then(step::translate(0, address, port))
    }

    /// Translates the destination, as [`source`](Self::source).
    pub(crate) fn destination(self, address: Register, port: Option<Register>) -> Self {
        self.then(step::translate(1, address, port))
    }

    /// Translates the source to the address of the outgoing interface.
    pub(crate) fn masquerade(self, port: Option<Register>) -> Self {
        self.then(step::masquerade(port, false))
    }

    /// Translates the source to the address of the outgoing interface, and a random port.
    pub(crate) fn masquerade_random(self) -> Self {
        self.then(step::masquerade(None, true))
    }

    /// Counts packets that get here.
    pub(crate) fn counted(self) -> Self {
        self.then(step::counter())
    }

    /// Drops the packet.
    pub(crate) fn drop(self) -> Self {
        self.then(step::verdict(0, None))
    }

    /// Ends the walk through the chain and those that jumped to it.
    pub(crate) fn accept(self) -> Self {
        self.then(step::verdict(1, None))
    }

    /// Goes on behind the rule that jumped to the chain.
    pub(crate) fn back(self) -> Self {
        /// `NFT_RETURN`
        const RETURN: i32 = -5;
        self.then(step::verdict(RETURN, None))
    }

    /// Goes through another chain, and then on here.
    pub(crate) fn jump(self, chain: &str) -> Self {
        /// `NFT_JUMP`
        const JUMP: i32 = -3;
        self.then(step::verdict(JUMP, Some(chain)))
    }

    /// Drops the packet and answers by RST, or by ICMP.
    pub(crate) fn reject(self, by_reset: bool) -> Self {
        self.then(step::reject(by_reset))
    }

    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the modules that its expressions need.
    pub(super) fn modules(&self) -> Vec<&'static str> {
        let mut modules: Vec<_> = self.expressions.iter().filter_map(Expression::module).collect();
        modules.sort_unstable();
        modules.dedup();
        modules
    }

    /// Returns the attributes of a message after table and chain.
    pub(super) fn attributes(&self) -> Vec<u8> {
        let list: Vec<u8> = self.expressions.iter().flat_map(Expression::attributes).collect();
        [nested(4, &list), attribute(7, &comment(&self.text, self.number))].concat()
    }

    fn then(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    /// Compares the name of an interface, which has 16 bytes.
    fn name(self, key: Meta, how: Compare, name: &str) -> Self {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        self.meta(key, 0).test(0, how, &bytes)
    }

    fn bits(self, key: Flow, bits: u32) -> Self {
        self.flow(key, None, HERE).then(step::mask(HERE, &bits.to_ne_bytes()))
    }

    fn address_type(self, address: Local, how: Compare) -> Self {
        /// `RTN_LOCAL`
        const LOCAL: u32 = 2;
        let rule = self.then(step::address_type(address as u32, HERE));
        rule.test(HERE, how, &LOCAL.to_ne_bytes())
    }
}
