//! Messages of STUN (RFC 8489): Binding requests with the attributes of RFC 5780, and answers.
//! Pure.

use std::net::{IpAddr, SocketAddr};

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const MAPPED_ADDRESS: u16 = 0x0001;
const CHANGE_REQUEST: u16 = 0x0003;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PADDING: u16 = 0x0026;
const RESPONSE_PORT: u16 = 0x0027;
const RESPONSE_ORIGIN: u16 = 0x802b;
const OTHER_ADDRESS: u16 = 0x802c;

/// Attributes that need no answer here: USERNAME, MESSAGE-INTEGRITY, REALM, NONCE, PRIORITY and
/// USE-CANDIDATE of clients that authenticate themselves or use ICE (RFC 8445).
const PASSED_OVER: [u16; 6] = [0x0006, 0x0008, 0x0014, 0x0015, 0x0024, 0x0025];

/// Attributes from here on may be passed over.
const OPTIONAL: u16 = 0x8000;

const HEADER: usize = 20;

/// Binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Magic cookie and transaction id.
    transaction: [u8; 16],
    /// CHANGE-REQUEST: answer from another address, from another port.
    pub(crate) change: Change,
    /// RESPONSE-PORT: port to which the answer goes, in place of the source.
    pub(crate) response_port: Option<u16>,
    /// Attributes that must be understood, and are not.
    pub(crate) unknown: Vec<u16>,
}

/// Requested source of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) address: bool,
    pub(crate) port: bool,
}

/// Endpoints that an answer contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// Source of the request.
    pub(crate) seen: SocketAddr,
    /// Source of the answer.
    pub(crate) origin: SocketAddr,
    /// Source of an answer from another address and port.
    pub(crate) other: Option<SocketAddr>,
}

impl Request {
    /// Reads a datagram. Returns `None` for one that is no Binding request.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_at_checked(HEADER)?;
        let is_whole = usize::from(number(header, 2)?) == rest.len() && rest.len() % 4 == 0;
        if number(header, 0)? != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE || !is_whole {
            return None;
        }
        let transaction = header[4..].try_into().ok()?;
        let (change, response_port, unknown) = (Change::default(), None, Vec::new());
        let mut request = Self { transaction, change, response_port, unknown };
        while !rest.is_empty() {
            let (kind, length) = (number(rest, 0)?, usize::from(number(rest, 2)?));
            request.take(kind, rest.get(4..4 + length)?)?;
            rest = rest.get(4 + length.next_multiple_of(4)..)?;
        }
        Some(request)
    }

    fn take(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        match kind {
            CHANGE_REQUEST => {
                let flags = value.get(3)?;
                self.change = Change { address: flags & 4 != 0, port: flags & 2 != 0 };
            }
            RESPONSE_PORT => self.response_port = Some(number(value, 0)?),
            PADDING | OPTIONAL.. => {}
            _ if PASSED_OVER.contains(&kind) => {}
            _ => self.unknown.push(kind),
        }
        Some(())
    }

    /// Returns the success response.
    pub(crate) fn success(&self, endpoints: &Endpoints) -> Vec<u8> {
        let mut body = attribute(MAPPED_ADDRESS, &address(endpoints.seen));
        let mut hidden = address(endpoints.seen);
        // Family and a zero byte come first; the port has the first half of the cookie as its mask.
        let mask = self.transaction[..2].iter().chain(&self.transaction);
        hidden[2..].iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        body.extend(attribute(XOR_MAPPED_ADDRESS, &hidden));
        body.extend(attribute(RESPONSE_ORIGIN, &address(endpoints.origin)));
        body.extend(endpoints.other.iter().flat_map(|&at| attribute(OTHER_ADDRESS, &address(at))));
        self.response(BINDING_SUCCESS, &body)
    }

    /// Returns the error response 420, for attributes that are not understood.
    pub(crate) fn unknown_attributes(&self, unknown: &[u16]) -> Vec<u8> {
        let text = [&[0, 0, 4, 20], &b"Unknown Attribute"[..]].concat();
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        let body = [attribute(ERROR_CODE, &text), attribute(UNKNOWN_ATTRIBUTES, &list)].concat();
        self.response(BINDING_ERROR, &body)
    }

    /// Returns the error response to a request for another address, of a server that has none.
    pub(crate) fn no_other_address(&self) -> Vec<u8> {
        self.unknown_attributes(&[CHANGE_REQUEST])
    }

    fn response(&self, kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        [&kind.to_be_bytes(), &length.to_be_bytes(), &self.transaction[..], body].concat()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut bytes = [&kind.to_be_bytes(), &length.to_be_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn address(at: SocketAddr) -> Vec<u8> {
    let (family, octets) = match at.ip() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    [&[0, family], &at.port().to_be_bytes(), &octets[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Request of RFC 5769, section 2.1, without its attributes.
    const TRANSACTION: [u8; 16] = [
        0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf,
        0xae,
    ];

    fn request(attributes: &[u8]) -> Vec<u8> {
        [&[0, 1, 0, u8::try_from(attributes.len()).unwrap()], &TRANSACTION[..], attributes].concat()
    }

    fn parsed(attributes: &[u8]) -> Request {
        Request::parse(&request(attributes)).unwrap()
    }

    #[test]
    fn requests_are_read() {
        let plain = parsed(&[]);
        assert_eq!((plain.change, plain.response_port), (Change::default(), None));
        let changed = parsed(&[0, 3, 0, 4, 0, 0, 0, 6, 0, 0x27, 0, 2, 0x12, 0x34, 0, 0]);
        assert_eq!(changed.change, Change { address: true, port: true });
        assert_eq!(changed.response_port, Some(0x1234));
        let software = [0x80, 0x22, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0];
        assert_eq!(parsed(&software), plain);
        assert_eq!(parsed(&[0, 0x24, 0, 4, 1, 2, 3, 4]), plain);
        assert_eq!(parsed(&[0, 0x7f, 0, 0]).unknown, [0x7f]);
    }

    #[test]
    fn other_datagrams_are_no_requests() {
        let whole = request(&[0, 3, 0, 4, 0, 0, 0, 6]);
        assert!(Request::parse(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Request::parse(&whole[..length]), None, "{length}");
        }
        assert_eq!(Request::parse(&request(&[0, 3, 0, 8, 0, 0, 0, 6])), None);
        assert_eq!(Request::parse(&request(&[0, 3, 0, 0])), None);
        let other_kind = [&[0, 2], &whole[2..]].concat();
        assert_eq!(Request::parse(&other_kind), None);
        let no_cookie = [&whole[..4], &[0; 4], &whole[8..]].concat();
        assert_eq!(Request::parse(&no_cookie), None);
    }

    #[test]
    fn an_answer_has_the_endpoints() {
        // XOR-MAPPED-ADDRESS of RFC 5769, section 2.2.
        let seen = "192.0.2.1:32853".parse().unwrap();
        let origin = "198.51.100.1:3478".parse().unwrap();
        let other = Some("198.51.100.2:3479".parse().unwrap());
        let answer = parsed(&[]).success(&Endpoints { seen, origin, other });
        let expected = [
            &[1, 1, 0, 48],
            &TRANSACTION[..],
            &[0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1],
            &[0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
            &[0x80, 0x2b, 0, 8, 0, 1, 0x0d, 0x96, 198, 51, 100, 1],
            &[0x80, 0x2c, 0, 8, 0, 1, 0x0d, 0x97, 198, 51, 100, 2],
        ];
        assert_eq!(answer, expected.concat());
    }

    #[test]
    fn an_answer_over_ipv6_has_the_transaction_as_mask() {
        // RFC 5769, section 2.3.
        let seen = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let answer = parsed(&[]).success(&Endpoints { seen, origin: seen, other: None });
        let hidden = [
            0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc,
            0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(answer[44..68], hidden);
    }

    #[test]
    fn refusals_name_the_attributes() {
        let refusal = parsed(&[0, 0x7f, 0, 0]).unknown_attributes(&[0x7f]);
        assert_eq!(refusal[..2], [1, 0x11]);
        let code = [0, 9, 0, 21, 0, 0, 4, 20];
        assert_eq!(refusal[20..28], code);
        assert_eq!(refusal[48..], [0, 10, 0, 2, 0, 0x7f, 0, 0]);
        assert_eq!(parsed(&[]).no_other_address()[48..], [0, 10, 0, 2, 0, 3, 0, 0]);
    }
}
