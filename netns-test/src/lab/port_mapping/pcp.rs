//! Messages of the Port Control Protocol (RFC 6887). Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Version.
pub(super) const VERSION: u8 = 2;

/// Bit of the opcode of a response.
const RESPONSE: u8 = 0x80;

/// Lengths of the common header and of the data of MAP, and the longest message (section 7).
const HEADER: usize = 24;
const MAP: usize = 36;
const LONGEST: usize = 1100;

/// Opcodes (section 19.2), and the option `PREFER_FAILURE` (section 13.2).
const ANNOUNCE: u8 = 0;
const OPCODE_MAP: u8 = 1;
const PREFER_FAILURE: u8 = 2;

/// Result codes (section 7.4).
pub(super) const UNSUPP_VERSION: u8 = 1;
pub(super) const NOT_AUTHORIZED: u8 = 2;
pub(super) const MALFORMED_REQUEST: u8 = 3;
pub(super) const UNSUPP_OPCODE: u8 = 4;
pub(super) const UNSUPP_OPTION: u8 = 5;
pub(super) const MALFORMED_OPTION: u8 = 6;
pub(super) const NETWORK_FAILURE: u8 = 7;
pub(super) const NO_RESOURCES: u8 = 8;
pub(super) const UNSUPP_PROTOCOL: u8 = 9;
pub(super) const CANNOT_PROVIDE_EXTERNAL: u8 = 11;
pub(super) const ADDRESS_MISMATCH: u8 = 12;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Announce,
    Map(Map),
}

/// Request for a mapping, or with the lifetime 0 for its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// In seconds.
    pub(super) lifetime: u32,
    pub(super) nonce: [u8; 12],
    /// Number of the IP protocol; 0 for all.
    pub(super) protocol: u8,
    pub(super) inside_port: u16,
    /// 0 for any.
    pub(super) external_port: u16,
    pub(super) external_address: Ipv6Addr,
    /// Option `PREFER_FAILURE`: another external endpoint is of no use.
    pub(super) prefers_failure: bool,
}

impl Request {
    /// Parses a message from an address. Returns none for what is not to be answered.
    ///
    /// # Errors
    ///
    /// The result code of the response.
    pub(super) fn parse(bytes: &[u8], from: Ipv4Addr) -> Option<Result<Self, u8>> {
        let [version, opcode, ..] = *bytes else { return None };
        if opcode & RESPONSE != 0 {
            return None;
        }
        if version != VERSION {
            return Some(Err(UNSUPP_VERSION));
        }
        let is_whole = (HEADER..=LONGEST).contains(&bytes.len()) && bytes.len() % 4 == 0;
        Some(if is_whole { parse(bytes, opcode, from) } else { Err(MALFORMED_REQUEST) })
    }
}

fn parse(bytes: &[u8], opcode: u8, from: Ipv4Addr) -> Result<Request, u8> {
    let (header, rest) = bytes.split_at(HEADER);
    if ![ANNOUNCE, OPCODE_MAP].contains(&opcode) {
        return Err(UNSUPP_OPCODE);
    }
    if address(&header[8..]) != from.to_ipv6_mapped() {
        return Err(ADDRESS_MISMATCH);
    }
    if opcode == ANNOUNCE {
        options(rest, false)?;
        return Ok(Request::Announce);
    }
    let (map, rest) = rest.split_at_checked(MAP).ok_or(MALFORMED_REQUEST)?;
    let prefers_failure = options(rest, true)?;
    let nonce = map[..12].try_into().map_err(|_| MALFORMED_REQUEST)?;
    let port = |at: usize| u16::from_be_bytes([map[at], map[at + 1]]);
    let lifetime = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let (protocol, inside_port, external_port) = (map[12], port(16), port(18));
    if protocol == 0 && inside_port != 0 {
        return Err(MALFORMED_REQUEST);
    }
    if prefers_failure && external_port == 0 {
        return Err(MALFORMED_OPTION);
    }
    let external_address = address(&map[20..]);
    Ok(Request::Map(Map {
        lifetime,
        nonce,
        protocol,
        inside_port,
        external_port,
        external_address,
        prefers_failure,
    }))
}

/// Parses options. Returns whether `PREFER_FAILURE` is one of them. Those from 128 on may be
/// skipped (section 7.3).
fn options(mut bytes: &[u8], is_map: bool) -> Result<bool, u8> {
    let mut prefers_failure = false;
    while let [code, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let padded = length.next_multiple_of(4);
        let next = rest.get(padded..).ok_or(MALFORMED_OPTION)?;
        match *code {
            PREFER_FAILURE if is_map && length == 0 && !prefers_failure => prefers_failure = true,
            PREFER_FAILURE if is_map => return Err(MALFORMED_OPTION),
            0x80.. => {}
            _ => return Err(UNSUPP_OPTION),
        }
        bytes = next;
    }
    Ok(prefers_failure)
}

/// Returns a response with an error: the request, with another header (section 7.2).
pub(super) fn refused(request: &[u8], code: u8, epoch: u32) -> Vec<u8> {
    let mut bytes = request[..request.len().min(LONGEST)].to_vec();
    bytes.resize(bytes.len().max(HEADER).next_multiple_of(4), 0);
    let opcode = bytes[1];
    bytes[..HEADER].copy_from_slice(&header(opcode, code, error_lifetime(code), epoch));
    bytes
}

/// Returns the response to an ANNOUNCE request, which is also the announcement of a restart
/// (section 14.1).
pub(super) fn announcement(epoch: u32) -> Vec<u8> {
    header(ANNOUNCE, 0, 0, epoch).to_vec()
}

impl Map {
    /// Returns the response to a request that is granted.
    pub(super) fn granted(
        &self,
        (external_address, external_port): (Ipv4Addr, u16),
        lifetime: u32,
        epoch: u32,
    ) -> Vec<u8> {
        let mut bytes = header(OPCODE_MAP, 0, lifetime, epoch).to_vec();
        bytes.extend(self.nonce);
        bytes.extend([self.protocol, 0, 0, 0]);
        bytes.extend([self.inside_port.to_be_bytes(), external_port.to_be_bytes()].concat());
        bytes.extend(external_address.to_ipv6_mapped().octets());
        if self.prefers_failure {
            bytes.extend([PREFER_FAILURE, 0, 0, 0]);
        }
        bytes
    }
}

fn header(opcode: u8, code: u8, lifetime: u32, epoch: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    (bytes[0], bytes[1], bytes[3]) = (VERSION, opcode | RESPONSE, code);
    bytes[4..8].copy_from_slice(&lifetime.to_be_bytes());
    bytes[8..12].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

/// Returns the seconds for which a client need not ask again: half an hour, or half a minute for
/// what may soon be otherwise (section 7.4).
fn error_lifetime(code: u8) -> u32 {
    match code {
        NETWORK_FAILURE | NO_RESOURCES | CANNOT_PROVIDE_EXTERNAL => 30,
        _ => 1800,
    }
}

fn address(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[..16]);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
    const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 1];

    /// A MAP request of section 11.1, written out.
    fn request() -> Vec<u8> {
        let mut bytes = vec![2, 1, 0, 0, 0, 0, 0x0e, 0x10];
        bytes.extend(MAPPED);
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        bytes.extend([6, 0, 0, 0, 0, 80, 0x1f, 0x90]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        bytes
    }

    fn map() -> Map {
        Map {
            lifetime: 3600,
            nonce: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            protocol: 6,
            inside_port: 80,
            external_port: 8080,
            external_address: "::ffff:0.0.0.0".parse().unwrap(),
            prefers_failure: false,
        }
    }

    fn parsed(bytes: &[u8]) -> Option<Result<Request, u8>> {
        Request::parse(bytes, FROM)
    }

    #[test]
    fn bytes_of_the_rfc() {
        assert_eq!(parsed(&request()), Some(Ok(Request::Map(map()))));
        let mut granted = vec![2, 0x81, 0, 0, 0, 0, 0, 60, 0, 0, 0, 9];
        granted.extend([0; 12]);
        granted.extend([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        granted.extend([6, 0, 0, 0, 0, 80, 0x1f, 0x91]);
        granted.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 1]);
        assert_eq!(map().granted((Ipv4Addr::new(203, 0, 113, 1), 8081), 60, 9), granted);
        let refusal = refused(&request(), NOT_AUTHORIZED, 9);
        assert_eq!(refusal[..12], [2, 0x81, 0, 2, 0, 0, 0x07, 0x08, 0, 0, 0, 9]);
        assert_eq!((&refusal[12..24], &refusal[24..]), (&[0; 12][..], &request()[24..]));
        assert_eq!(announcement(9)[..12], [2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn options_of_a_request() {
        let with = |option: &[u8]| parsed(&[&request()[..], option].concat());
        let strict = Map { prefers_failure: true, ..map() };
        assert_eq!(with(&[2, 0, 0, 0]), Some(Ok(Request::Map(strict.clone()))));
        assert!(strict.granted((FROM, 1), 1, 1).ends_with(&[2, 0, 0, 0]));
        // THIRD_PARTY, FILTER.
        assert_eq!(with(&[[1, 0, 0, 16].as_slice(), &MAPPED].concat()), Some(Err(UNSUPP_OPTION)));
        assert_eq!(with(&[3, 0, 0, 0]), Some(Err(UNSUPP_OPTION)));
        assert_eq!(with(&[200, 0, 0, 1, 9, 0, 0, 0]), Some(Ok(Request::Map(map()))));
        assert_eq!(with(&[200, 0, 0, 5, 9, 0, 0, 0]), Some(Err(MALFORMED_OPTION)));
        assert_eq!(with(&[2, 0, 0, 0, 2, 0, 0, 0]), Some(Err(MALFORMED_OPTION)));
    }

    #[test]
    fn mistakes_of_a_request() {
        let changed = |at: usize, value: u8| {
            let mut bytes = request();
            bytes[at] = value;
            parsed(&bytes)
        };
        assert_eq!(changed(0, 1), Some(Err(UNSUPP_VERSION)));
        assert_eq!(changed(1, 2), Some(Err(UNSUPP_OPCODE)));
        assert_eq!(changed(1, 0x81), None);
        assert_eq!(changed(23, 9), Some(Err(ADDRESS_MISMATCH)));
        assert_eq!(changed(36, 0), Some(Err(MALFORMED_REQUEST)));
        assert_eq!(parsed(&[2]), None);
        for bytes in [&request()[..20], &request()[..40], &request()[..58], &[0; 2000]] {
            let bytes = [&[2, 1], &bytes[2..]].concat();
            assert_eq!(parsed(&bytes), Some(Err(MALFORMED_REQUEST)));
            let answer = refused(&bytes, MALFORMED_REQUEST, 0);
            assert!(answer.len() % 4 == 0 && (HEADER..=LONGEST).contains(&answer.len()));
        }
        // NAT-PMP: the code is in the same place there.
        assert_eq!(parsed(&[0, 0]), Some(Err(UNSUPP_VERSION)));
        assert_eq!(refused(&[0, 0], UNSUPP_VERSION, 0)[..4], [2, 0x80, 0, 1]);
    }
}
