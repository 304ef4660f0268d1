//! Frames of several hosts, without checksums: the model does not look at these.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::lab::impair::frame::{ICMP, ICMPV6, TCP, UDP};
use crate::lab::impair::offload::{Offload, PartialChecksum, Segmentation, SegmentationKind};
use crate::lab::impair::passage::{Arrival, Nanos};

/// A packet between two hosts, whose addresses end in a number.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) is_v4: bool,
    pub(super) hosts: [u8; 2],
    pub(super) ports: [u16; 2],
    pub(super) ecn: u8,
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Tcp { seq: u32, ack: u32, flags: u8 },
    Udp,
    Echo,
}

/// A frame with its offloads.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) bytes: Vec<u8>,
    pub(super) offload: Offload,
}

impl Sample {
    /// Returns a segment of the host 1 to the port 80 of the host 2.
    pub(super) fn tcp(flags: u8, seq: u32, payload: Vec<u8>) -> Self {
        let kind = Kind::Tcp { seq, ack: 0, flags };
        Self { is_v4: true, hosts: [1, 2], ports: [40_000, 80], ecn: 0, kind, payload }
    }

    pub(super) fn udp(ports: [u16; 2], payload: Vec<u8>) -> Self {
        Self { ports, kind: Kind::Udp, ..Self::tcp(0, 0, payload) }
    }

    /// Returns a packet of the other end.
    pub(super) fn answer(mut self, kind: Kind) -> Self {
        self.hosts.reverse();
        self.ports.reverse();
        Self { kind, ..self }
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let transport = self.transport();
        let mut frame = vec![2, 0, 0, 0, 0, self.hosts[1], 2, 0, 0, 0, 0, self.hosts[0]];
        let length = (transport.len() + self.payload.len()) as u16;
        if self.is_v4 {
            let [high, low] = (20 + length).to_be_bytes();
            frame.extend([8, 0, 0x45, self.ecn, high, low, 0, 7, 0x40, 0, 64, self.protocol()]);
            frame.extend([0, 0]);
            let octets = self.hosts.map(|host| Ipv4Addr::new(10, 0, 0, host).octets());
            frame.extend(octets.as_flattened());
        } else {
            let [high, low] = length.to_be_bytes();
            let class = [0x60, self.ecn << 4, 0, 0];
            frame.extend([0x86, 0xdd]);
            frame.extend(class);
            frame.extend([high, low, self.protocol(), 64]);
            let end = |host: u8| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()).octets();
            frame.extend(self.hosts.map(end).as_flattened());
        }
        frame.extend(transport);
        frame.extend(&self.payload);
        frame
    }

    pub(super) fn wire(&self) -> Wire {
        Wire { bytes: self.build(), offload: Offload::default() }
    }

    /// Returns a frame that stands for segments of `size` bytes, or for one.
    pub(super) fn gso(&self, size: usize) -> Wire {
        if self.payload.len() <= size {
            return self.wire();
        }
        let bytes = self.build();
        let headers = (bytes.len() - self.payload.len()) as u16;
        let start = headers - self.transport().len() as u16;
        let (kind, offset) = match (self.kind, self.is_v4) {
            (Kind::Tcp { .. }, true) => (SegmentationKind::TcpV4, 16),
            (Kind::Tcp { .. }, false) => (SegmentationKind::TcpV6, 16),
            _ => (SegmentationKind::Udp, 6),
        };
        let segmentation = Segmentation { kind, size: size as u16, headers, has_ecn: false };
        let checksum = Some(PartialChecksum { start, offset });
        let offload = Offload { checksum, segmentation: Some(segmentation), ..Offload::default() };
        Wire { bytes, offload }
    }

    fn transport(&self) -> Vec<u8> {
        let mut header: Vec<u8> = self.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        match self.kind {
            Kind::Tcp { seq, ack, flags } => {
                header.extend(seq.to_be_bytes());
                header.extend(ack.to_be_bytes());
                // A header of 32 bytes: with timestamps, here as options without an effect.
                header.extend([8 << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
                header.extend([1; 12]);
            }
            Kind::Udp => {
                header.extend((8 + self.payload.len() as u16).to_be_bytes());
                header.extend([0, 0]);
            }
            Kind::Echo => {
                header = vec![if self.is_v4 { 8 } else { 128 }, 0, 0, 0, 0xab, 0xcd, 0, 1];
            }
        }
        header
    }

    fn protocol(&self) -> u8 {
        match self.kind {
            Kind::Tcp { .. } => TCP,
            Kind::Udp => UDP,
            Kind::Echo if self.is_v4 => ICMP,
            Kind::Echo => ICMPV6,
        }
    }
}

impl Wire {
    pub(super) fn at(&self, at: Nanos) -> Arrival<'_> {
        Arrival { bytes: &self.bytes, offload: self.offload, at }
    }
}

/// Returns an ARP request of the host 1 for the host 2.
pub(super) fn arp() -> Wire {
    let mut bytes = vec![0xff; 6];
    bytes.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    bytes.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    Wire { bytes, offload: Offload::default() }
}
