//! The checksum of the internet protocols (RFC 1071). Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::field::{be16, put16};

/// A ones' complement sum of 16-bit words.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Returns the sum of the pseudo header of TCP, UDP or ICMPv6 (RFC 9293, RFC 8200) over
    /// `length` bytes of transport header and payload.
    pub(crate) fn pseudo_header(ends: [IpAddr; 2], protocol: u8, length: usize) -> Self {
        let sum = ends.iter().fold(Self::default(), |sum, end| match end {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        });
        Self(sum.0 + u64::from(protocol) + length as u64)
    }

    /// Adds bytes. An odd number of them is padded by a zero, so only the last ones may be odd.
    #[must_use]
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        // A 32-bit word is the sum of its halves, modulo 2^16 - 1. The sum of a frame is far below
        // 2^64.
        let words = bytes.chunks_exact(4);
        let rest = words.remainder();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let word = |word: [u8; 4]| u64::from(u32::from_be_bytes(word));
        let sum = words.map(|chunk| word([chunk[0], chunk[1], chunk[2], chunk[3]])).sum::<u64>();
        Self(self.0 + sum + word(last))
    }

    /// Returns the sum in 16 bits, as it is stored in a checksum that is still to be completed.
    pub(crate) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// Returns the checksum: the complement.
    pub(crate) fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// Completes a checksum over `bytes`, whose field at `offset` holds the sum of the pseudo header.
///
/// A checksum of 0 is stored as 0xffff, its equal: 0 means "none" in UDP.
pub(crate) fn complete(bytes: &mut [u8], offset: usize) {
    if be16(bytes, offset).is_some() {
        let sum = Sum::default().add(bytes).checksum();
        put16(bytes, offset, if sum == 0 { 0xffff } else { sum });
    }
}

/// Computes the checksum of an IPv4 header anew.
pub(crate) fn complete_ipv4_header(header: &mut [u8]) {
    const FIELD: usize = 10;
    put16(header, FIELD, 0);
    let sum = Sum::default().add(header).checksum();
    put16(header, FIELD, sum);
}

/// Returns the checksum after the 16-bit word `before` has become `after` (RFC 1624, equation 3).
pub(crate) fn updated(checksum: u16, before: u16, after: u16) -> u16 {
    let sum = u64::from(!checksum) + u64::from(!before) + u64::from(after);
    Sum(sum).checksum()
}
