//! Draws: numbers that look random, and are the same in each run. Pure.
//!
//! A verdict on a packet does not take the next number of a random stream, which would depend on
//! all packets before. It hashes what the packet is. So a packet has the same fate whatever else is
//! on the link, however late it is, and however often the test is run.
//!
//! # Definition
//!
//! The definition below is a promise: a seed in a bug report has the same meaning in all later
//! versions. The tests hold it by golden vectors.
//!
//! `H(k0, k1; m)` is the 64-bit result of SipHash-1-3 (Aumasson and Bernstein, 2012; one round a
//! block, three at the end) of the message `m` with the 128-bit key whose halves are `k0` and `k1`.
//! A number in `m` is a word of 64 bits, and words are little-endian. An IP address in `m` has 16
//! bytes in network order, as in IPv6; an IPv4 address is mapped (`::ffff:192.0.2.1`, RFC 4291).
//! Text is UTF-8, without a length or an end.
//!
//! | value | definition |
//! | --- | --- |
//! | seed of a test | `H(0, 0; name of the test)`, or any number that the user chooses |
//! | key of a direction of a link | `H(seed, direction; name of the link)` |
//! | key of a flow | `H(link, 0; source, destination, protocol, service, role, ordinal)` |
//! | draw | `H(flow, purpose; class, number, attempt)` |
//!
//! - The direction is 0 from the first end of the link, and 1 from the second one.
//! - `lab::impair::flow` defines what a flow and the position of a packet in it are.
//! - A draw with the probability p hits if it is below p × 2⁶⁴. No floating point takes part.

use std::net::IpAddr;

use crate::lab::impair::passage::Direction;

/// Seed of all draws of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seed(pub(crate) u64);

/// Key of one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkKey(u64);

/// Key of a flow in one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey(u64);

/// Purposes of a draw. Draws for different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Loss of a packet.
    Loss = 0,
    /// Steps of the chain of Gilbert and Elliott.
    Chain = 1,
    /// Corruption of a packet.
    Corruption = 2,
    /// Bit that a corruption flips.
    Bit = 3,
    /// Duplication of a packet.
    Duplication = 4,
    /// Deviation from the delay.
    Jitter = 5,
    /// Reordering of a packet.
    Reordering = 6,
}

impl Seed {
    /// Returns the seed of the test with this name.
    pub(crate) fn of_test(name: &str) -> Self {
        Self(hash([0, 0], &[], name.as_bytes()))
    }
}

impl LinkKey {
    /// Returns the key of a direction of the link with this name.
    pub(crate) fn new(seed: Seed, direction: Direction, link: &str) -> Self {
        Self(hash([seed.0, direction.index() as u64], &[], link.as_bytes()))
    }

    /// Returns the key of the flow with these ends and these words (protocol, service, role,
    /// ordinal).
    pub(crate) fn flow(self, [source, destination]: [IpAddr; 2], words: [u64; 4]) -> FlowKey {
        let [[s0, s1], [d0, d1]] = [address(source), address(destination)];
        let [protocol, service, role, ordinal] = words;
        let message = [s0, s1, d0, d1, protocol, service, role, ordinal];
        FlowKey(hash([self.0, 0], &message, &[]))
    }
}

impl FlowKey {
    /// Returns the draw for a purpose at a position of the flow (class, number, attempt).
    pub(crate) fn draw(self, purpose: Purpose, position: [u64; 3]) -> u64 {
        hash([self.0, purpose as u64], &position, &[])
    }
}

/// Returns the two words of an address in a message.
fn address(address: IpAddr) -> [u64; 2] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let number = u128::from_le_bytes(address.octets());
    [number as u64, (number >> 64) as u64]
}

/// Returns the text of `/etc/machine-id` (machine-id(5)) of the node `name`: the same in each lab
/// and each run.
pub(crate) fn machine_id(name: &str) -> String {
    let half = |key: u64| hash([u64::from_le_bytes(*b"machine "), key], &[], name.as_bytes());
    format!("{:016x}{:016x}", half(0), half(1))
}

/// Returns SipHash-1-3 of a message that consists of words and a text.
fn hash([k0, k1]: [u64; 2], words: &[u64], text: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    words.iter().for_each(|&word| block(&mut state, word));
    let chunks = text.chunks_exact(8);
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    last[7] = (8 * words.len() + text.len()) as u8;
    for chunk in chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        block(&mut state, u64::from_le_bytes(bytes));
    }
    block(&mut state, u64::from_le_bytes(last));
    state[2] ^= 0xff;
    (0..3).for_each(|_| round(&mut state));
    state.iter().fold(0, |all, part| all ^ part)
}

fn block(state: &mut [u64; 4], block: u64) {
    state[3] ^= block;
    round(state);
    state[0] ^= block;
}

fn round(state: &mut [u64; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *state;
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    *state = [v0, v1, v2, v3];
}

#[cfg(test)]
pub(crate) mod tests;
