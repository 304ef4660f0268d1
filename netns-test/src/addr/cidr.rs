//! Addresses with a prefix length, and subnets, which `std` does not have. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Address of an interface with its prefix length: `10.0.0.1/24`, `fd00::1/64`.
///
/// ```
/// use netns_test::lab::Cidr;
///
/// let address: Cidr = "10.0.0.1/24".parse()?;
/// assert_eq!(address.subnet().to_string(), "10.0.0.0/24");
/// assert!("10.0.0.1/33".parse::<Cidr>().is_err());
/// # Ok::<(), netns_test::lab::CidrError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Subnet: its lowest address, whose bits after the prefix are zero, with the prefix length.
///
/// ```
/// use netns_test::lab::Subnet;
///
/// let subnet: Subnet = "10.0.0.0/24".parse()?;
/// assert!(subnet.contains("10.0.0.200".parse().unwrap()));
/// assert!("10.0.0.1/24".parse::<Subnet>().is_err());
/// # Ok::<(), netns_test::lab::CidrError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    network: IpAddr,
    prefix: u8,
}

/// Error of a text or a pair that is not an address with a prefix length, or not a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrError {
    text: String,
    why: String,
}

impl Cidr {
    /// Creates an address with a prefix length: 0 to 32 bits for IPv4, 0 to 128 for IPv6.
    ///
    /// # Errors
    ///
    /// Returns an error if the prefix is longer than the address.
    pub fn new(address: impl Into<IpAddr>, prefix: u8) -> Result<Self, CidrError> {
        let address = address.into();
        let width = width(address);
        if prefix > width {
            let why = format!("a prefix of {} has at most {width} bits", family(address));
            return Err(CidrError::new(format!("{address}/{prefix}"), why));
        }
        Ok(Self { address, prefix })
    }

    /// Returns the address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Returns the length of the prefix in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the subnet of the address.
    #[must_use]
    pub fn subnet(self) -> Subnet {
        let network = bits(self.address) & mask(width(self.address), self.prefix);
        Subnet { network: with_bits(self.address, network), prefix: self.prefix }
    }

    /// Returns whether `other` is in the same subnet.
    pub(crate) fn is_near(self, other: IpAddr) -> bool {
        let differing = bits(self.address) ^ bits(other);
        self.address.is_ipv4() == other.is_ipv4()
            && differing & mask(width(other), self.prefix) == 0
    }

    /// Returns whether the prefix is the whole address, so that the subnet has one address.
    pub(crate) fn is_whole(self) -> bool {
        self.prefix == width(self.address)
    }
}

impl Subnet {
    /// Creates a subnet of its lowest address and its prefix length in bits.
    ///
    /// # Errors
    ///
    /// Returns an error if the prefix is longer than the address, or if a bit after the prefix is
    /// set.
    pub fn new(network: impl Into<IpAddr>, prefix: u8) -> Result<Self, CidrError> {
        let given = Cidr::new(network, prefix)?;
        let subnet = given.subnet();
        if subnet.network != given.address {
            let why = format!("bits after the prefix are set; the subnet is {subnet}");
            return Err(CidrError::new(given.to_string(), why));
        }
        Ok(subnet)
    }

    /// Creates a subnet in a constant. Parts that are not a subnet do not compile there.
    pub(crate) const fn constant(network: IpAddr, prefix: u8) -> Self {
        let (bits, width) = match network {
            IpAddr::V4(address) => (address.to_bits() as u128, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        assert!(prefix <= width && bits.trailing_zeros() >= (width - prefix) as u32);
        Self { network, prefix }
    }

    /// Subnet of all IPv4 addresses: `0.0.0.0/0`.
    pub const EVERY_IPV4: Self = Self { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 };

    /// Subnet of all IPv6 addresses: `::/0`.
    pub const EVERY_IPV6: Self = Self { network: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 };

    /// Returns the lowest address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// Returns the length of the prefix in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns whether this is a subnet of IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.network.is_ipv4()
    }

    /// Returns whether `address` is in the subnet; an address of the other family is not.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4()
            && bits(address) & mask(width(address), self.prefix) == bits(self.network)
    }

    /// Returns whether all addresses of `other` are in the subnet.
    #[must_use]
    pub fn contains_subnet(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network)
    }

    /// Returns whether the two subnets have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains_subnet(other) || other.contains_subnet(self)
    }

    /// Returns the number of bits after the prefix.
    pub(crate) fn host_bits(self) -> u8 {
        width(self.network) - self.prefix
    }

    /// Returns the offset of the highest address.
    pub(crate) fn highest(self) -> u128 {
        !mask(128, 128 - self.host_bits())
    }

    /// Returns the address at `offset`, which is at most [`Self::highest`], with the prefix.
    pub(crate) fn at(self, offset: u128) -> Cidr {
        debug_assert!(offset <= self.highest());
        Cidr { address: with_bits(self.network, bits(self.network) | offset), prefix: self.prefix }
    }

    /// Returns the offset of `address`, which is in the subnet, from the lowest address.
    pub(crate) fn offset(self, address: IpAddr) -> u128 {
        bits(address) & self.highest()
    }

    /// Returns the first and the last address as numbers.
    pub(crate) fn range(self) -> (u128, u128) {
        let first = bits(self.network);
        (first, first | self.highest())
    }

    /// Returns the subnet of `prefix` bits, in the same family, that contains the number `first`.
    pub(crate) fn part(self, first: u128, prefix: u8) -> Self {
        let network = first & mask(width(self.network), prefix);
        Self { network: with_bits(self.network, network), prefix }
    }
}

impl CidrError {
    fn new(text: impl Into<String>, why: impl Into<String>) -> Self {
        Self { text: text.into(), why: why.into() }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.why)
    }
}

impl std::error::Error for CidrError {}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let Some((address, prefix)) = text.split_once('/') else {
            let why = match text {
                "default" => "write the default route as 0.0.0.0/0 or ::/0",
                _ => "no prefix length, as in 10.0.0.1/24",
            };
            return Err(CidrError::new(text, why));
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(CidrError::new(text, "no IPv4 or IPv6 address before the `/`"));
        };
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        match prefix.parse() {
            Ok(prefix) if is_number => Self::new(address, prefix),
            _ => Err(CidrError::new(text, "no number of bits after the `/`")),
        }
    }
}

impl FromStr for Subnet {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let given: Cidr = text.parse()?;
        Self::new(given.address, given.prefix)
    }
}

/// Returns `IPv4` or `IPv6`.
pub(crate) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the address as a number.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the address of these bits in the family of `like`.
fn with_bits(like: IpAddr, bits: u128) -> IpAddr {
    if like.is_ipv4() {
        let [.., a, b, c, d] = bits.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

/// Returns `width` bits of which the upper `prefix` are ones.
fn mask(width: u8, prefix: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(width));
    let zeros = u32::from(width - prefix);
    all & u128::MAX.checked_shl(zeros).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn texts_are_parsed_and_displayed() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "255.255.255.255/32", "fd00::1/64", "::/0"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        assert_eq!("fd00:0::1/128".parse::<Cidr>().unwrap().to_string(), "fd00::1/128");
        let refused = [
            ("10.0.0.1", "no prefix length"),
            ("10.0.0/24", "no IPv4 or IPv6 address"),
            ("10.0.0.1/", "no number of bits"),
            ("10.0.0.1/+4", "no number of bits"),
            ("10.0.0.1/33", "a prefix of IPv4 has at most 32 bits"),
            ("fd00::/129", "a prefix of IPv6 has at most 128 bits"),
            ("fd00::/999", "no number of bits"),
        ];
        for (text, why) in refused {
            let message = text.parse::<Cidr>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{text}`: {why}")), "{message}");
        }
        assert_eq!(
            "10.0.1.0/23".parse::<Subnet>().unwrap_err().to_string(),
            "`10.0.1.0/23`: bits after the prefix are set; the subnet is 10.0.0.0/23"
        );
    }

    #[test]
    fn subnets_contain_and_overlap() {
        let inside: IpAddr = "10.0.1.255".parse().unwrap();
        assert!(subnet("10.0.0.0/23").contains(inside));
        assert!(!subnet("10.0.0.0/24").contains(inside));
        assert!(Subnet::EVERY_IPV4.contains(inside));
        assert!(!Subnet::EVERY_IPV6.contains(inside));
        assert!(Subnet::EVERY_IPV6.contains("ff::1".parse().unwrap()));
        assert!(subnet("10.0.1.255/32").contains(inside));
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.9.0.0/16")));
        assert!(subnet("10.9.0.0/16").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("10.0.0.0/24").overlaps(subnet("10.0.1.0/24")));
        assert!(subnet("10.0.0.0/8").contains_subnet(subnet("10.9.0.0/16")));
        assert!(!subnet("10.9.0.0/16").contains_subnet(subnet("10.0.0.0/8")));
    }

    #[test]
    fn addresses_are_counted_from_the_network() {
        assert_eq!(subnet("10.0.0.0/23").at(257).to_string(), "10.0.1.1/23");
        assert_eq!(subnet("10.0.0.0/23").highest(), 511);
        assert_eq!(subnet("10.0.0.7/32").highest(), 0);
        assert_eq!(Subnet::EVERY_IPV6.highest(), u128::MAX);
        assert_eq!(subnet("fd00::/64").at(16).to_string(), "fd00::10/64");
        assert_eq!(subnet("10.0.0.0/23").offset("10.0.1.1".parse().unwrap()), 257);
        let (first, last) = subnet("0.0.1.0/24").range();
        assert_eq!((first, last), (256, 511));
        assert_eq!(subnet("10.0.0.0/8").part(first, 24).to_string(), "0.0.1.0/24");
    }
}
