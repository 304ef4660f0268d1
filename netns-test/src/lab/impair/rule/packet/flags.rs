//! Flags of a TCP segment. Pure.

use std::fmt;
use std::ops::BitOr;

use crate::lab::impair::frame::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};

/// A set of flags of a TCP segment (RFC 9293, section 3.1).
///
/// ```
/// use netns_test::lab::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::FIN));
/// assert_eq!(flags.to_string(), "SYN|ACK");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// End of the data of the sender.
    pub const FIN: Self = Self(FIN);
    /// Start of a connection: the sequence number is the initial one.
    pub const SYN: Self = Self(SYN);
    /// Reset of the connection.
    pub const RST: Self = Self(RST);
    /// Push function.
    pub const PSH: Self = Self(PSH);
    /// The acknowledgment number is valid: each segment but the first SYN has it.
    pub const ACK: Self = Self(ACK);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(URG);
    /// ECN-Echo (RFC 3168).
    pub const ECE: Self = Self(ECE);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(CWR);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::FIN, "FIN"),
        (Self::SYN, "SYN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// Creates a set from the bits of the header, in which FIN is 0x01 and CWR is 0x80.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the bits of the header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether a flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Writes the names of the flags, as in `SYN|ACK`, or `none`.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        let names: Vec<&str> = set.map(|(_, name)| *name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join("|"))
    }
}
