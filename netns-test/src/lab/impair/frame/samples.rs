//! Frames for tests: golden ones, with a line of hexadecimal digits for each header, and a builder
//! with its own checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lab::impair::frame::{Frame, TCP, UDP};

/// ARP request for 10.0.0.2, padded to 60 bytes.
pub(crate) const ARP: &str = "
    ffffffffffff0200000000010806
    0001080006040001
    020000000001
    0a000001
    000000000000
    0a000002
    000000000000000000000000000000000000";

/// TCP SYN with an MSS over IPv4.
pub(crate) const SYN: &str = "
    0200000000020200000000010800
    4500002c1234400040061496
    0a0000010a000002
    9c400050000003e8000000006002faf0e8ba0000
    020405b4";

/// TCP SYN-ACK over IPv6.
pub(crate) const SYN_ACK_V6: &str = "
    02000000000202000000000186dd
    6000000000140640
    fd000000000000000000000000000002
    fd000000000000000000000000000001
    00509c4000001b58000003e95012faf0ff0b0000";

/// TCP data over IPv4 with a VLAN tag.
pub(crate) const TAGGED: &str = "
    020000000002020000000001
    81002005
    0800
    4500002d12344000400614950a0000010a000002
    9c400050000003e900001b595018faf0a12f0000
    68656c6c6f";

/// UDP over IPv6, ECT(0), with two VLAN tags.
pub(crate) const DOUBLE_TAGGED: &str = "
    020000000002020000000001
    88a8000a
    81000014
    86dd
    60200000000b1140
    fd000000000000000000000000000001
    fd000000000000000000000000000002
    14e90035000b2c53
    616263";

/// UDP over IPv4 with the option "router alert".
pub(crate) const OPTIONS: &str = "
    0200000000020200000000010800
    46000025123400004011bf8d0a0000010a000002
    94040000
    13880035000d882c
    7175657279";

/// ICMP echo request, padded to 60 bytes.
pub(crate) const ECHO: &str = "
    0200000000020200000000010800
    4500002012344000400114a70a0000010a000002
    08006d60abcd0001
    70696e67
    0000000000000000000000000000";

/// First fragment of a UDP datagram over IPv4.
pub(crate) const FIRST_FRAGMENT: &str = "
    0200000000020200000000010800
    4500002c123420004011348b0a0000010a000002
    138817700028cfa2
    000102030405060708090a0b0c0d0e0f";

/// Last fragment of it.
pub(crate) const LAST_FRAGMENT: &str = "
    0200000000020200000000010800
    4500002412340003401154900a0000010a000002
    101112131415161718191a1b1c1d1e1f";

/// First fragment of a UDP datagram over IPv6, behind hop-by-hop options.
pub(crate) const FIRST_FRAGMENT_V6: &str = "
    02000000000202000000000186dd
    6000000000280040
    fd000000000000000000000000000001
    fd000000000000000000000000000002
    2c00050200000100
    11000001deadbeef
    138817700028e9a0
    000102030405060708090a0b0c0d0e0f";

/// Last fragment of it.
pub(crate) const LAST_FRAGMENT_V6: &str = "
    02000000000202000000000186dd
    6000000000200040
    fd000000000000000000000000000001
    fd000000000000000000000000000002
    2c00050200000100
    11000018deadbeef
    101112131415161718191a1b1c1d1e1f";

/// Neighbour solicitation for `fd00::2`.
pub(crate) const SOLICITATION: &str = "
    3333ff00000202000000000186dd
    6000000000203aff
    fd000000000000000000000000000001
    ff0200000000000000000001ff000002
    87007d9700000000
    fd000000000000000000000000000002
    0101020000000001";

/// ICMPv6 echo request.
pub(crate) const ECHO_V6: &str = "
    02000000000202000000000186dd
    60000000000c3a40
    fd000000000000000000000000000001
    fd000000000000000000000000000002
    8000fb14abcd0001
    70696e67";

/// All golden frames.
pub(crate) const ALL: [&str; 13] = [
    ARP,
    SYN,
    SYN_ACK_V6,
    TAGGED,
    DOUBLE_TAGGED,
    OPTIONS,
    ECHO,
    FIRST_FRAGMENT,
    LAST_FRAGMENT,
    FIRST_FRAGMENT_V6,
    LAST_FRAGMENT_V6,
    SOLICITATION,
    ECHO_V6,
];

/// Returns the bytes of a golden frame.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Pseudo-random numbers: Marsaglia's xorshift of 64 bits.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// A frame to build. The sender has the lower address.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) is_v4: bool,
    pub(crate) tags: usize,
    pub(crate) is_tcp: bool,
    pub(crate) ports: [u16; 2],
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) id: u16,
    pub(crate) payload: Vec<u8>,
}

impl Sample {
    pub(crate) fn tcp(flags: u8, payload: &[u8]) -> Self {
        Self {
            is_v4: true,
            tags: 0,
            is_tcp: true,
            ports: [40_000, 80],
            seq: 1001,
            ack: 7001,
            flags,
            id: 77,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn udp(payload: &[u8]) -> Self {
        Self { is_tcp: false, ports: [5000, 53], ..Self::tcp(0, payload) }
    }

    pub(crate) fn v6(self) -> Self {
        Self { is_v4: false, ..self }
    }

    /// Returns the frame with complete checksums.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut segment: Vec<u8> = self.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        if self.is_tcp {
            segment.extend(self.seq.to_be_bytes());
            segment.extend(self.ack.to_be_bytes());
            // A timestamp option, as Linux sends it.
            segment.extend([8 << 4, self.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
            segment.extend([1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4]);
        } else {
            segment.extend((8 + self.payload.len() as u16).to_be_bytes());
            segment.extend([0, 0]);
        }
        segment.extend(&self.payload);
        let sum = self.pseudo_sum(segment.len()) + sum(&segment);
        let field = if self.is_tcp { 16 } else { 6 };
        segment[field..field + 2].copy_from_slice(&(!fold(sum)).to_be_bytes());
        let mut frame = self.headers(segment.len());
        frame.extend(segment);
        frame
    }

    /// Returns the frame with the sum of the pseudo header in the checksum's field.
    pub(crate) fn build_partial(&self) -> Vec<u8> {
        let mut frame = self.build();
        let start = Frame::parse(&frame).ip.unwrap().transport;
        let field = start + if self.is_tcp { 16 } else { 6 };
        let sum = fold(self.pseudo_sum(frame.len() - start));
        frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    /// Returns source and destination.
    pub(crate) fn ends(&self) -> [IpAddr; 2] {
        [1, 2].map(|host| {
            if self.is_v4 {
                Ipv4Addr::new(10, 0, 0, host).into()
            } else {
                Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)).into()
            }
        })
    }

    fn headers(&self, length: usize) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        let tags = [[0x88, 0xa8, 0, 10], [0x81, 0, 0x20, 5]];
        frame.extend(tags[2 - self.tags..].iter().flatten());
        if self.is_v4 {
            let [high, low] = (20 + length as u16).to_be_bytes();
            let [id, id_low] = self.id.to_be_bytes();
            let start = frame.len() + 2;
            frame.extend([8, 0, 0x45, 0, high, low, id, id_low, 0x40, 0, 64, self.protocol()]);
            frame.extend([0, 0]);
            self.ends().iter().for_each(|end| frame.extend(octets(end)));
            let sum = !fold(sum(&frame[start..]));
            frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        } else {
            let [high, low] = (length as u16).to_be_bytes();
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, self.protocol(), 64]);
            self.ends().iter().for_each(|end| frame.extend(octets(end)));
        }
        frame
    }

    fn protocol(&self) -> u8 {
        if self.is_tcp { TCP } else { UDP }
    }

    fn pseudo_sum(&self, length: usize) -> u32 {
        let ends: u32 = self.ends().iter().map(|end| sum(&octets(end))).sum();
        ends + u32::from(self.protocol()) + length as u32
    }
}

/// Checks lengths and all checksums of a frame on the wire, word by word. Returns what it has.
pub(crate) fn verified(bytes: &[u8]) -> Frame<'_> {
    let frame = Frame::parse(bytes);
    let ip = frame.ip.unwrap_or_else(|| panic!("no IP packet: {frame:x?}"));
    assert_eq!(ip.end, bytes.len(), "length: {frame:x?}");
    if ip.source.is_ipv4() {
        assert_eq!(fold(sum(&bytes[frame.network..ip.transport])), 0xffff, "{frame:x?}");
    }
    let segment = &bytes[ip.transport..ip.end];
    if ip.protocol == UDP {
        let length = u16::from_be_bytes([segment[4], segment[5]]);
        assert_eq!(usize::from(length), segment.len(), "length of UDP: {frame:x?}");
        if segment[6..8] == [0, 0] {
            return frame;
        }
    }
    let pseudo = sum(&octets(&ip.source)) + sum(&octets(&ip.destination));
    let pseudo = pseudo + u32::from(ip.protocol) + segment.len() as u32;
    let pseudo = if ip.protocol == 1 { 0 } else { pseudo };
    assert_eq!(fold(pseudo + sum(segment)), 0xffff, "checksum: {frame:x?}");
    frame
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The sum of RFC 1071, word by word, on purpose other than that of the library.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum()
}

pub(crate) fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
