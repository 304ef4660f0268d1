//! Addresses by the algorithm of RFC 6296: another prefix, and a word that keeps the sum of all
//! words, so that no checksum changes. Pure.

use std::net::{IpAddr, Ipv6Addr};

use crate::addr::cidr::Subnet;

/// Word that follows a prefix of 48 bits.
pub(crate) const WORD_OF_SUBNET: usize = 3;

/// A prefix inside and that by which outside nodes know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    inside: Subnet,
    outside: Subnet,
}

impl Pair {
    /// Creates a pair.
    ///
    /// # Errors
    ///
    /// The reason, with advice.
    pub(crate) fn new(inside: Subnet, outside: Subnet) -> Result<Self, String> {
        for prefix in [inside, outside] {
            if prefix.is_ipv4() {
                return Err(format!("{prefix} is no prefix of IPv6; give one for `nptv6`"));
            }
            if prefix.prefix() > 64 || prefix.prefix() == 0 {
                return Err(format!("{prefix} is no prefix of 1 to 64 bits; give such ones"));
            }
        }
        if inside.prefix() != outside.prefix() {
            return Err(format!(
                "{inside} and {outside} have different lengths; give prefixes of one length"
            ));
        }
        if inside.overlaps(outside) {
            return Err(format!("{inside} and {outside} overlap; give different prefixes"));
        }
        Ok(Self { inside, outside })
    }

    /// Returns the word that keeps the sum, if it is the same for all addresses: section 3.4. For
    /// longer prefixes it is the first word of the interface identifier that has not all bits set:
    /// section 3.5.
    pub(crate) fn word(&self) -> Option<usize> {
        (self.inside.prefix() <= 48).then_some(WORD_OF_SUBNET)
    }

    /// Translates a subnet of the inside, or a whole address.
    ///
    /// # Errors
    ///
    /// The reason, with advice.
    pub(crate) fn external(&self, own: Subnet) -> Result<Subnet, String> {
        let (inside, outside) = (self.inside, self.outside);
        if !inside.contains_subnet(own) {
            return Err(format!(
                "{own} is inside, but not in {inside}, so that it has no external address; give \
                 the link a subnet of that, or give another prefix"
            ));
        }
        if self.word().is_some() && own.prefix() > 64 {
            let advice = "give the link a subnet of at most 64 bits";
            return Err(format!("{own} is a part of a subnet of 64 bits; {advice}"));
        }
        if self.word().is_some() && own.prefix() < 64 {
            let advice = "give the link a subnet of 64 bits";
            return Err(format!("{own} is more than one subnet of 64 bits; {advice}"));
        }
        let (IpAddr::V6(from), IpAddr::V6(prefix)) = (own.network(), outside.network()) else {
            return Err(format!("{own} is no subnet of IPv6"));
        };
        let host = (1_u128 << (128 - u32::from(outside.prefix()))) - 1;
        let moved = Ipv6Addr::from_bits(prefix.to_bits() | from.to_bits() & host);
        let mut words = moved.segments();
        let free = (4..8).find(|at| words[*at] != 0xffff);
        let word = self.word().or(free).filter(|at| words[*at] != 0xffff);
        let Some(word) = word else {
            return Err(format!("{own} has no word that can keep its checksum; give another"));
        };
        let difference = subtract(sum(&from.segments()), sum(&words));
        words[word] = match add(words[word], difference) {
            0xffff => 0,
            other => other,
        };
        let external = Ipv6Addr::from(words);
        Subnet::new(external, own.prefix()).map_err(|error| error.to_string())
    }
}

/// Adds in ones' complement (RFC 1071).
fn add(one: u16, two: u16) -> u16 {
    let (sum, carries) = one.overflowing_add(two);
    sum + u16::from(carries)
}

fn subtract(one: u16, two: u16) -> u16 {
    add(one, !two)
}

fn sum(words: &[u16; 8]) -> u16 {
    words.iter().fold(0, |sum, word| add(sum, *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(inside: &str, outside: &str, own: &str) -> Result<String, String> {
        let pair = Pair::new(inside.parse().unwrap(), outside.parse().unwrap())?;
        pair.external(own.parse().unwrap()).map(|one| one.to_string())
    }

    #[test]
    fn prefixes_of_the_rfc() {
        // RFC 6296, section 2.1 and 3.4.
        assert_eq!(
            external("fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::/64").unwrap(),
            "2001:db8:1:d550::/64"
        );
        // The word is one of the interface identifier.
        assert_eq!(
            external("fd01:203:405:1::/64", "2001:db8:1:2::/64", "fd01:203:405:1::1234/128")
                .unwrap(),
            "2001:db8:1:2:d54e::1234/128"
        );
    }

    #[test]
    fn sums_stay() {
        let mut number = 1_u128;
        for length in [32, 40, 48, 49, 52, 56, 60, 64] {
            for _ in 0..200 {
                number =
                    number.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).rotate_left(31);
                let cut = |bits: u128, prefix: u32| bits >> (128 - prefix) << (128 - prefix);
                let inside = Ipv6Addr::from_bits(cut(0xfd_u128 << 120 | number >> 8, length));
                let outside = Ipv6Addr::from_bits(cut(0x2_u128 << 124 | number >> 4, length));
                let own = inside.to_bits() | (number & ((1 << (128 - length)) - 1));
                let (own, width) = if length <= 48 { (cut(own, 64), 64) } else { (own, 128) };
                let own = Subnet::new(Ipv6Addr::from_bits(own), width).unwrap();
                let prefix = |network| Subnet::new(network, length as u8).unwrap();
                let pair = Pair::new(prefix(inside), prefix(outside)).unwrap();
                let Ok(found) = pair.external(own) else { continue };
                assert!(prefix(outside).contains_subnet(found), "{found}");
                let words = |one: Subnet| match one.network() {
                    IpAddr::V6(one) => sum(&one.segments()),
                    IpAddr::V4(_) => unreachable!(),
                };
                assert_eq!(words(own) % 0xffff, words(found) % 0xffff, "{own} {found}");
                let back = Pair::new(prefix(outside), prefix(inside)).unwrap();
                assert_eq!(back.external(found).unwrap(), own);
            }
        }
    }

    #[test]
    fn mistakes() {
        let [inside, outside] = ["fd00::/48", "2001:db8::/48"];
        for (found, expected) in [
            (external("10.0.0.0/8", outside, inside), "no prefix of IPv6"),
            (external("fd00::/80", outside, inside), "no prefix of 1 to 64 bits"),
            (external("fd00::/40", outside, inside), "different lengths"),
            (external(outside, outside, inside), "overlap"),
            (external(inside, outside, "fd01::/64"), "is inside, but not in fd00::/48"),
            (external(inside, outside, "fd00::/56"), "more than one subnet"),
            (external(inside, outside, "fd00::/80"), "a part of a subnet"),
            (external(inside, outside, "fd00:0:0:ffff::/64"), "no word that can keep"),
        ] {
            let found = found.unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
