//! Files of the format pcapng (draft-ietf-opsawg-pcapng): the blocks that a capture needs. Pure.

use std::net::IpAddr;

use crate::addr::cidr::Cidr;
use crate::addr::mac::Mac;

/// A capture of one or several interfaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    /// Name and version of the program that has made it.
    pub(crate) application: String,
    pub(crate) comment: String,
    pub(crate) interfaces: Vec<Interface>,
    /// Names of addresses.
    pub(crate) names: Vec<(IpAddr, String)>,
    /// Packets, in the order of their times.
    pub(crate) packets: Vec<CapturedPacket>,
}

/// An interface of Ethernet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) addresses: Vec<Cidr>,
    pub(crate) mac: Option<Mac>,
    /// Packets that were seen, and those that the capture lacks.
    pub(crate) received: u64,
    pub(crate) lost: u64,
}

/// A packet at an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct CapturedPacket {
    /// Index of the interface.
    pub(crate) interface: u32,
    /// Nanoseconds since 1970.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_outbound: bool,
    pub(crate) comments: Vec<String>,
}

/// Block types.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

/// Options of all blocks, and of some.
const END: u16 = 0;
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_IPV4: u16 = 4;
const IF_IPV6: u16 = 5;
const IF_MAC: u16 = 6;
const IF_TSRESOL: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const IF_RECEIVED: u16 = 4;
const IF_DROPPED: u16 = 5;

/// Kinds of records of names.
const NAME_IPV4: u16 = 1;
const NAME_IPV6: u16 = 2;

/// Resolution of times: 10 to the minus 9 seconds.
const NANOSECONDS: u8 = 9;

impl Capture {
    /// Returns the bytes of a file, in the byte order little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        block(&mut out, SECTION, |body| {
            body.extend(BYTE_ORDER.to_le_bytes());
            // Version 1.0; the length of the section is not given.
            body.extend([1, 0, 0, 0]);
            body.extend(u64::MAX.to_le_bytes());
            option(body, COMMENT, self.comment.as_bytes());
            option(body, APPLICATION, self.application.as_bytes());
            option(body, END, &[]);
        });
        self.interfaces.iter().for_each(|one| one.describe(&mut out));
        self.write_names(&mut out);
        self.packets.iter().for_each(|one| one.write(&mut out));
        for (at, interface) in self.interfaces.iter().enumerate() {
            let last = self.packets.iter().rev().find(|one| one.interface as usize == at);
            interface.count(&mut out, at as u32, last.map_or(0, |one| one.at));
        }
        out
    }

    fn write_names(&self, out: &mut Vec<u8>) {
        if self.names.is_empty() {
            return;
        }
        block(out, NAMES, |body| {
            for (address, name) in &self.names {
                let (kind, mut value) = match address {
                    IpAddr::V4(address) => (NAME_IPV4, address.octets().to_vec()),
                    IpAddr::V6(address) => (NAME_IPV6, address.octets().to_vec()),
                };
                value.extend(name.bytes().filter(|byte| *byte != 0));
                value.push(0);
                option(body, kind, &value);
            }
            // The end of the records.
            option(body, END, &[]);
        });
    }
}

impl Interface {
    fn describe(&self, out: &mut Vec<u8>) {
        block(out, INTERFACE, |body| {
            body.extend(ETHERNET.to_le_bytes());
            // Reserved, and no limit of the length of packets.
            body.extend([0; 6]);
            option(body, IF_NAME, self.name.as_bytes());
            option(body, IF_DESCRIPTION, self.description.as_bytes());
            for cidr in &self.addresses {
                match cidr.address() {
                    IpAddr::V4(address) => {
                        let mask = u32::MAX.checked_shl(32 - u32::from(cidr.prefix()));
                        let mask = mask.unwrap_or_default().to_be_bytes();
                        option(body, IF_IPV4, &[address.octets(), mask].concat());
                    }
                    IpAddr::V6(address) => {
                        let value = [&address.octets()[..], &[cidr.prefix()]].concat();
                        option(body, IF_IPV6, &value);
                    }
                }
            }
            if let Some(mac) = self.mac {
                option(body, IF_MAC, &mac.octets());
            }
            option(body, IF_TSRESOL, &[NANOSECONDS]);
            option(body, END, &[]);
        });
    }

    fn count(&self, out: &mut Vec<u8>, index: u32, at: u64) {
        block(out, STATISTICS, |body| {
            body.extend(index.to_le_bytes());
            body.extend(time(at));
            option(body, IF_RECEIVED, &self.received.to_le_bytes());
            option(body, IF_DROPPED, &self.lost.to_le_bytes());
            option(body, END, &[]);
        });
    }
}

impl CapturedPacket {
    fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        block(out, PACKET, |body| {
            body.extend(self.interface.to_le_bytes());
            body.extend(time(self.at));
            // The captured length, and that of the packet.
            body.extend([length, length].concat());
            padded(body, &self.bytes);
            for comment in &self.comments {
                option(body, COMMENT, comment.as_bytes());
            }
            let flags: u32 = if self.is_outbound { 2 } else { 1 };
            option(body, PACKET_FLAGS, &flags.to_le_bytes());
            option(body, END, &[]);
        });
    }
}

/// Writes a block with the body that `write` appends, which is a multiple of 4 bytes long.
fn block(out: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    write(out);
    let length = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&length);
    out.extend(length);
}

/// Writes an option or a record of a name. A value that is too long is cut.
fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(kind.to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(body, &value[..usize::from(length)]);
}

fn padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend_from_slice(value);
    body.extend(std::iter::repeat_n(0, value.len().next_multiple_of(4) - value.len()));
}

/// Returns a time as its upper and its lower half.
fn time(at: u64) -> [u8; 8] {
    let [upper, lower] = [(at >> 32) as u32, at as u32].map(u32::to_le_bytes);
    let mut halves = [0; 8];
    halves[..4].copy_from_slice(&upper);
    halves[4..].copy_from_slice(&lower);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the types and bodies of the blocks. Each says its length twice.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !bytes.is_empty() {
            let length = number(&bytes[4..]) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(number(&bytes[length - 4..]) as usize, length);
            blocks.push((number(bytes), &bytes[8..length - 4]));
            bytes = &bytes[length..];
        }
        blocks
    }

    #[test]
    fn the_bytes_of_a_packet_are_those_of_the_draft() {
        let packet = CapturedPacket {
            interface: 1,
            at: 0x0102_0304_0506_0708,
            bytes: vec![0xaa; 5],
            is_outbound: true,
            comments: vec!["lost".to_owned()],
        };
        let capture = Capture { packets: vec![packet], ..Capture::default() };
        let bytes = capture.to_bytes();
        let (kind, body) = blocks(&bytes)[1];
        let expected = [
            &[1, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 5, 0, 0, 0, 5, 0, 0, 0][..],
            &[0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0, 0, 0],
            &[1, 0, 4, 0, b'l', b'o', b's', b't', 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!((kind, body.to_vec()), (PACKET, expected.concat()));
    }

    #[test]
    fn names_and_addresses_of_any_length_keep_the_alignment() {
        for length in 0..9 {
            let name = "x".repeat(length);
            let addresses = ["192.0.2.1/32", "10.0.0.1/0", "2001:db8::1/64"];
            let addresses = addresses.map(|one| one.parse().unwrap()).to_vec();
            let interface = Interface { name: name.clone(), addresses, ..Interface::default() };
            let names = vec![("192.0.2.1".parse().unwrap(), name.clone())];
            let interfaces = vec![interface];
            let bytes = Capture { comment: name, interfaces, names, ..Capture::default() };
            let bytes = bytes.to_bytes();
            let kinds: Vec<u32> = blocks(&bytes).iter().map(|one| one.0).collect();
            assert_eq!(kinds, [SECTION, INTERFACE, NAMES, STATISTICS]);
        }
    }
}
