//! Messages of the NAT Port Mapping Protocol (RFC 6886). Pure.

use std::net::Ipv4Addr;

use crate::lab::topology::Transport;

/// Version.
pub(super) const VERSION: u8 = 0;

/// Bit of the opcode of an answer.
const ANSWER: u8 = 0x80;

/// Result codes (section 3.5).
pub(super) const UNSUPPORTED_VERSION: u16 = 1;
pub(super) const NOT_AUTHORIZED: u16 = 2;
pub(super) const NETWORK_FAILURE: u16 = 3;
pub(super) const OUT_OF_RESOURCES: u16 = 4;
pub(super) const UNSUPPORTED_OPCODE: u16 = 5;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    ExternalAddress,
    Map(Map),
    /// An opcode that there is not.
    Unknown(u8),
}

/// Request for a mapping, or with the lifetime 0 for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) transport: Transport,
    pub(super) inside_port: u16,
    /// 0 for any.
    pub(super) external_port: u16,
    /// In seconds.
    pub(super) lifetime: u32,
}

impl Request {
    /// Parses a request of version 0. Returns none for what is not to be answered.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let opcode = *bytes.get(1)?;
        let transport = match opcode {
            _ if opcode & ANSWER != 0 => return None,
            0 => return Some(Self::ExternalAddress),
            1 => Transport::Udp,
            2 => Transport::Tcp,
            _ => return Some(Self::Unknown(opcode)),
        };
        let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let lifetime = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        let (inside_port, external_port) = (port(4)?, port(6)?);
        Some(Self::Map(Map { transport, inside_port, external_port, lifetime }))
    }

    fn opcode(self) -> u8 {
        match self {
            Self::ExternalAddress => 0,
            Self::Map(Map { transport: Transport::Udp, .. }) => 1,
            Self::Map(Map { transport: Transport::Tcp, .. }) => 2,
            Self::Unknown(opcode) => opcode,
        }
    }

    /// Returns a refusal.
    pub(super) fn refused(self, code: u16, epoch: u32) -> Vec<u8> {
        let head = head(self.opcode(), code, epoch);
        match self {
            Self::ExternalAddress => [&head[..], &[0; 4]].concat(),
            Self::Map(map) => [&head[..], &map.inside_port.to_be_bytes(), &[0; 6]].concat(),
            Self::Unknown(_) => head.to_vec(),
        }
    }
}

impl Map {
    /// Returns the answer to a request that is granted.
    pub(super) fn granted(self, external_port: u16, lifetime: u32, epoch: u32) -> Vec<u8> {
        let head = head(Request::Map(self).opcode(), 0, epoch);
        let ports = [self.inside_port.to_be_bytes(), external_port.to_be_bytes()].concat();
        [&head[..], &ports, &lifetime.to_be_bytes()].concat()
    }
}

/// Returns the external address, as an answer or an announcement (section 3.2.1).
pub(super) fn external_address(address: Ipv4Addr, epoch: u32) -> Vec<u8> {
    [&head(0, 0, epoch)[..], &address.octets()].concat()
}

/// Returns the answer to a request of another version.
pub(super) fn unsupported_version(opcode: u8, epoch: u32) -> Vec<u8> {
    head(opcode, UNSUPPORTED_VERSION, epoch).to_vec()
}

fn head(opcode: u8, code: u16, epoch: u32) -> [u8; 8] {
    let [high, low] = code.to_be_bytes();
    let [a, b, c, d] = epoch.to_be_bytes();
    [VERSION, opcode | ANSWER, high, low, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layouts of sections 3.2 to 3.4, written out.
    #[test]
    fn bytes_of_the_rfc() {
        assert_eq!(Request::parse(&[0, 0]), Some(Request::ExternalAddress));
        let address = external_address(Ipv4Addr::new(203, 0, 113, 7), 0x0102_0304);
        assert_eq!(address, [0, 128, 0, 0, 1, 2, 3, 4, 203, 0, 113, 7]);
        let bytes = [0, 2, 0, 0, 0x1f, 0x90, 0, 80, 0, 0, 0x1c, 0x20];
        let map =
            Map { transport: Transport::Tcp, inside_port: 8080, external_port: 80, lifetime: 7200 };
        assert_eq!(Request::parse(&bytes), Some(Request::Map(map)));
        let granted = [0, 130, 0, 0, 0, 0, 0, 9, 0x1f, 0x90, 0x1f, 0x91, 0, 0, 0x0e, 0x10];
        assert_eq!(map.granted(8081, 3600, 9), granted);
        let refused = [0, 130, 0, 2, 0, 0, 0, 9, 0x1f, 0x90, 0, 0, 0, 0, 0, 0];
        assert_eq!(Request::Map(map).refused(NOT_AUTHORIZED, 9), refused);
        assert_eq!(unsupported_version(1, 9), [0, 129, 0, 1, 0, 0, 0, 9]);
        assert_eq!(
            Request::parse(&[0, 9]).map(|one| one.refused(UNSUPPORTED_OPCODE, 9)),
            Some(vec![0, 137, 0, 5, 0, 0, 0, 9])
        );
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        for bytes in [&[][..], &[0], &[0, 128], &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0]] {
            assert_eq!(Request::parse(bytes), None, "{bytes:?}");
        }
    }
}
