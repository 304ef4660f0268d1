//! Ethernet addresses. Pure.

use std::fmt;
use std::str::FromStr;

/// Unicast Ethernet address of an interface: `02:00:00:00:00:01`.
///
/// ```
/// use netns_test::lab::Mac;
///
/// let mac: Mac = "02:00:00:00:00:0a".parse()?;
/// assert_eq!(mac.octets(), [2, 0, 0, 0, 0, 10]);
/// assert!("01:00:00:00:00:01".parse::<Mac>().is_err()); // multicast
/// # Ok::<(), netns_test::lab::MacError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// Error of a text or of octets that are not a unicast Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacError {
    text: String,
    why: &'static str,
}

impl Mac {
    /// Creates an address of six octets.
    ///
    /// # Errors
    ///
    /// Returns an error if all octets are zero, or if the address is multicast (bit 0 of the first
    /// octet is set).
    pub fn new(octets: [u8; 6]) -> Result<Self, MacError> {
        let mac = Self(octets);
        let why = if octets == [0; 6] {
            "all octets are zero"
        } else if octets[0] & 1 == 1 {
            "a multicast address: clear bit 0 of the first octet"
        } else {
            return Ok(mac);
        };
        Err(MacError { text: mac.to_string(), why })
    }

    /// Returns the six octets.
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Returns the locally administered address of an interface of a node. Addresses with the same
    /// `attempt` (0 to 15) differ from each other.
    pub(crate) fn assigned(node: usize, interface: usize, attempt: u8) -> Self {
        let [.., a, b, c] = node.to_be_bytes();
        let [.., d, e] = interface.to_be_bytes();
        Self([0x02 | attempt << 4, a, b, c, d, e])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.why)
    }
}

impl std::error::Error for MacError {}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error =
            || MacError { text: text.to_owned(), why: "not six octets as in 02:00:00:00:00:01" };
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(error)?;
            if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(error());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Self::new(octets) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_parsed_and_displayed() {
        assert_eq!("02:AB:00:00:00:01".parse::<Mac>().unwrap().to_string(), "02:ab:00:00:00:01");
        let refused =
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02:00:00:00:00:+1"];
        for text in refused {
            let message = text.parse::<Mac>().unwrap_err().to_string();
            assert_eq!(message, format!("`{text}`: not six octets as in 02:00:00:00:00:01"));
        }
        assert!("00:00:00:00:00:00".parse::<Mac>().is_err());
        assert!("ff:ff:ff:ff:ff:ff".parse::<Mac>().is_err());
    }

    #[test]
    fn assigned_addresses_are_locally_administered_and_differ() {
        assert_eq!(Mac::assigned(1, 2, 0).to_string(), "02:00:00:01:00:02");
        for attempt in 0..16 {
            let octets = Mac::assigned(70_000, 300, attempt).octets();
            assert_eq!(octets[0] & 3, 2);
            assert_eq!(octets[1..], [1, 0x11, 0x70, 1, 0x2c]);
        }
        assert_ne!(Mac::assigned(1, 2, 0), Mac::assigned(1, 2, 1));
    }
}
