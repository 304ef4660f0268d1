//! The headers of a frame that is divided, and of one segment of it. Pure.

use std::net::IpAddr;
use std::ops::Range;

use crate::lab::impair::checksum::{Sum, complete, complete_ipv4_header};
use crate::lab::impair::frame::field::{be16, be32, byte, length16, put, put16, put32};
use crate::lab::impair::frame::{CWR, FIN, Frame, PSH, TCP, Transport, UDP};
use crate::lab::impair::offload::{Offload, PartialChecksum, SegmentationKind};

/// Bytes between the headers of a VXLAN packet (RFC 7348) and the frame in it; the same for GENEVE
/// without options (RFC 8926).
const TUNNEL_HEADER: usize = 8;

const V6_HEADER: usize = 40;

/// Headers and payload of a frame that is to be divided, as offsets in the frame.
#[derive(Debug)]
pub(super) struct Layout {
    /// Payload of a segment, in bytes; more than 0.
    pub(super) size: usize,
    /// Payload of all segments.
    pub(super) payload: Range<usize>,
    /// The headers before the payload.
    headers: Headers,
    /// The headers of the tunnel before these.
    tunnel: Option<Headers>,
}

/// An IP header and the transport header behind it.
#[derive(Debug)]
struct Headers {
    network: usize,
    transport: usize,
    ends: [IpAddr; 2],
    protocol: u8,
}

impl Layout {
    /// Returns the layout of a frame, or `None` if it stands for itself alone, or if its headers do
    /// not fit its offloads.
    pub(super) fn of(frame: &Frame<'_>, offload: &Offload) -> Option<Self> {
        let segmentation = offload.segmentation?;
        let own = Headers::of(frame, 0)?;
        let start = offload.checksum.map(|checksum| usize::from(checksum.start));
        let (headers, payload, tunnel) = if start.is_none_or(|start| start == own.transport) {
            (own, frame.payload.clone(), None)
        } else {
            let at = frame.payload.start + TUNNEL_HEADER;
            let inner = Frame::parse(frame.bytes.get(at..frame.payload.end)?);
            let headers = Headers::of(&inner, at)?;
            if own.protocol != UDP || start != Some(headers.transport) {
                return None;
            }
            (headers, inner.payload.start + at..inner.payload.end + at, Some(own))
        };
        let expected = match segmentation.kind {
            SegmentationKind::TcpV4 => headers.protocol == TCP && headers.is_v4(),
            SegmentationKind::TcpV6 => headers.protocol == TCP && !headers.is_v4(),
            SegmentationKind::Udp => headers.protocol == UDP,
        };
        let size = usize::from(segmentation.size);
        let is_sound = expected && size > 0 && u16::try_from(payload.start).is_ok();
        is_sound.then_some(Self { size, payload, headers, tunnel })
    }

    /// Returns the frame with the part `part` of the payload and complete checksums.
    pub(super) fn segment(&self, bytes: &[u8], part: &Range<usize>) -> Vec<u8> {
        let payload = &bytes[self.payload.clone()];
        let (start, end) = (part.start.min(payload.len()), part.end.min(payload.len()));
        let mut frame = bytes[..self.payload.start].to_vec();
        frame.extend_from_slice(payload.get(start..end).unwrap_or_default());
        if self.headers.protocol == TCP {
            self.headers.number(&mut frame, start, end == payload.len());
        }
        let before = start / self.size;
        self.headers.measure(&mut frame, before);
        self.headers.complete(&mut frame);
        if let Some(tunnel) = &self.tunnel {
            tunnel.measure(&mut frame, before);
            // 0 is "no checksum", usual in tunnels.
            if be16(&frame, tunnel.checksum()) != Some(0) {
                tunnel.complete(&mut frame);
            }
        }
        frame
    }

    /// Makes the checksum of a segment a partial one.
    pub(super) fn uncomplete(&self, frame: &mut [u8]) -> PartialChecksum {
        self.headers.uncomplete(frame);
        let Headers { transport, .. } = self.headers;
        let offset = self.headers.checksum() - transport;
        PartialChecksum { start: length16(transport), offset: length16(offset) }
    }
}

impl Headers {
    /// Returns the headers of a frame that begins at the offset `at` of another one.
    fn of(frame: &Frame<'_>, at: usize) -> Option<Self> {
        let ip = frame.ip.filter(|ip| ip.fragment.is_none())?;
        if !matches!(frame.transport, Transport::Tcp(_) | Transport::Udp { .. }) {
            return None;
        }
        Some(Self {
            network: frame.network + at,
            transport: ip.transport + at,
            ends: [ip.source, ip.destination],
            protocol: ip.protocol,
        })
    }

    fn is_v4(&self) -> bool {
        self.ends[0].is_ipv4()
    }

    /// Writes sequence number and flags of a TCP segment: PSH and FIN are of the last one, CWR is
    /// of the first.
    fn number(&self, frame: &mut [u8], start: usize, is_last: bool) {
        let (seq, flags) = (self.transport + 4, self.transport + 13);
        let first = be32(frame, seq).unwrap_or(0);
        put32(frame, seq, first.wrapping_add(start as u32));
        let mut left = byte(frame, flags).unwrap_or(0);
        if !is_last {
            left &= !(PSH | FIN);
        }
        if start > 0 {
            left &= !CWR;
        }
        put(frame, flags, &[left]);
    }

    /// Writes lengths, and the id of the IPv4 packet with `before` others before it.
    fn measure(&self, frame: &mut [u8], before: usize) {
        let length = frame.len() - self.network;
        if self.is_v4() {
            let id = be16(frame, self.network + 4).unwrap_or(0);
            put16(frame, self.network + 4, id.wrapping_add(before as u16));
            put16(frame, self.network + 2, length16(length));
            complete_ipv4_header(&mut frame[self.network..self.transport]);
        } else {
            put16(frame, self.network + 4, length16(length - V6_HEADER));
        }
        if self.protocol == UDP {
            put16(frame, self.transport + 4, length16(frame.len() - self.transport));
        }
    }

    /// Computes the transport checksum.
    fn complete(&self, frame: &mut [u8]) {
        self.uncomplete(frame);
        complete(&mut frame[self.transport..], self.checksum() - self.transport);
    }

    /// Writes the sum of the pseudo header in place of the transport checksum.
    fn uncomplete(&self, frame: &mut [u8]) {
        let length = frame.len() - self.transport;
        let sum = Sum::pseudo_header(self.ends, self.protocol, length).folded();
        put16(frame, self.checksum(), sum);
    }

    /// Offset of the transport checksum in the frame.
    fn checksum(&self) -> usize {
        self.transport + if self.protocol == TCP { 16 } else { 6 }
    }
}
