//! Quantities of impairments: probabilities and rates. Pure.

/// A probability from 0 to 1, in steps of 2⁻⁶⁴.
///
/// A draw is a uniform 64-bit number. It hits if it is below the probability times 2⁶⁴, so that no
/// floating point takes part in a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u64);

impl Probability {
    /// Probability 0: no draw hits.
    pub const NEVER: Self = Self(0);
    /// Probability 1: each draw hits.
    pub const ALWAYS: Self = Self(u64::MAX);

    /// Creates a probability of its steps of 2⁻⁶⁴; `u64::MAX` is 1.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the steps of 2⁻⁶⁴; `u64::MAX` is 1.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether a draw hits.
    pub(crate) const fn is_hit(self, draw: u64) -> bool {
        draw < self.0 || self.0 == u64::MAX
    }
}
