//! Work on a frame that its sender leaves to the network device (`struct virtio_net_hdr`). Pure.

/// Offloads of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    /// Checksum that is still to be computed.
    pub(crate) checksum: Option<PartialChecksum>,
    /// Segmentation that is still to be done.
    pub(crate) segmentation: Option<Segmentation>,
    /// True if the checksum of the frame was checked by the device.
    pub(crate) is_checked: bool,
}

/// A checksum over the frame from `start` on, stored at `start + offset`. The field has the sum of
/// the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartialChecksum {
    pub(crate) start: u16,
    pub(crate) offset: u16,
}

/// A frame that stands for several: its payload is divided into parts of `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segmentation {
    pub(crate) kind: SegmentationKind,
    /// Bytes of payload of each segment; the last one may be shorter.
    pub(crate) size: u16,
    /// Bytes of the headers, with the Ethernet header.
    pub(crate) headers: u16,
    /// True if CWR is set on the first segment alone (`VIRTIO_NET_HDR_GSO_ECN`).
    pub(crate) has_ecn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentationKind {
    TcpV4,
    TcpV6,
    /// `UDP_SEGMENT` (udp(7)).
    Udp,
}

/// `struct virtio_net_hdr` (`linux/virtio_net.h`), whose numbers have the byte order of the machine
/// on a packet socket.
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

impl Offload {
    /// Length of the header before each frame of a packet socket with `PACKET_VNET_HDR`.
    pub(crate) const HEADER: usize = 10;

    /// Returns whether the frame is as on the wire: complete, and no longer than a segment.
    pub(crate) const fn is_done(&self) -> bool {
        self.checksum.is_none() && self.segmentation.is_none()
    }

    /// Returns the offloads of the same frame with `bytes` more before its network header: a VLAN
    /// tag that was put back.
    #[must_use]
    pub(crate) fn shifted(mut self, bytes: u16) -> Self {
        if let Some(checksum) = &mut self.checksum {
            checksum.start = checksum.start.saturating_add(bytes);
        }
        if let Some(segmentation) = &mut self.segmentation {
            segmentation.headers = segmentation.headers.saturating_add(bytes);
        }
        self
    }

    /// Reads the header of a frame. Returns `None` for a kind of segmentation that is not known
    /// here: such a frame cannot be passed on.
    pub(crate) fn decode(header: [u8; Self::HEADER]) -> Option<Self> {
        let [flags, kind, numbers @ ..] = header;
        let number = |at: usize| u16::from_ne_bytes([numbers[at], numbers[at + 1]]);
        let (headers, size, start, offset) = (number(0), number(2), number(4), number(6));
        let segmentation = |of| {
            let has_ecn = kind & GSO_ECN != 0;
            Some(Segmentation { kind: of, size, headers, has_ecn })
        };
        let segmentation = match kind & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCPV4 => segmentation(SegmentationKind::TcpV4),
            GSO_TCPV6 => segmentation(SegmentationKind::TcpV6),
            GSO_UDP_L4 => segmentation(SegmentationKind::Udp),
            _ => return None,
        };
        let checksum = (flags & NEEDS_CSUM != 0).then_some(PartialChecksum { start, offset });
        Some(Self { checksum, segmentation, is_checked: flags & DATA_VALID != 0 })
    }

    /// Writes the header of a frame.
    pub(crate) fn encode(&self) -> [u8; Self::HEADER] {
        let checked = if self.is_checked { DATA_VALID } else { 0 };
        let flags = checked | if self.checksum.is_some() { NEEDS_CSUM } else { 0 };
        let kind = self.segmentation.map_or(GSO_NONE, |segmentation| {
            let ecn = if segmentation.has_ecn { GSO_ECN } else { 0 };
            ecn | match segmentation.kind {
                SegmentationKind::TcpV4 => GSO_TCPV4,
                SegmentationKind::TcpV6 => GSO_TCPV6,
                SegmentationKind::Udp => GSO_UDP_L4,
            }
        });
        let [start, offset] = self.checksum.map_or([0; 2], |part| [part.start, part.offset]);
        let [headers, size] = self.segmentation.map_or([0; 2], |of| [of.headers, of.size]);
        let mut header = [flags, kind, 0, 0, 0, 0, 0, 0, 0, 0];
        for (field, number) in header[2..].chunks_exact_mut(2).zip([headers, size, start, offset]) {
            field.copy_from_slice(&number.to_ne_bytes());
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, kind: u8, numbers: [u16; 4]) -> [u8; Offload::HEADER] {
        let [a, b, c, d] = numbers.map(u16::to_ne_bytes);
        [flags, kind, a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]
    }

    #[test]
    fn a_header_is_read_and_written_as_it_was() {
        let kinds = [GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, GSO_TCPV4 | GSO_ECN, GSO_TCPV6 | GSO_ECN];
        let segmented = kinds.map(|kind| header(NEEDS_CSUM, kind, [66, 1448, 34, 16]));
        let plain = [
            header(0, GSO_NONE, [0; 4]),
            header(DATA_VALID, GSO_NONE, [0; 4]),
            header(NEEDS_CSUM, GSO_NONE, [0, 0, 34, 6]),
        ];
        for bytes in segmented.into_iter().chain(plain) {
            assert_eq!(Offload::decode(bytes).unwrap().encode(), bytes);
        }
        let offload = Offload::decode(segmented[3]).unwrap();
        assert_eq!(offload.checksum, Some(PartialChecksum { start: 34, offset: 16 }));
        let kind = SegmentationKind::TcpV4;
        let segmentation = Segmentation { kind, size: 1448, headers: 66, has_ecn: true };
        assert_eq!(offload.segmentation, Some(segmentation));
        assert!(!offload.is_done() && !offload.is_checked);
    }

    #[test]
    fn an_unknown_segmentation_is_refused() {
        for kind in (0..=u8::MAX).filter(|kind| ![0, 1, 4, 5].contains(&(kind & 0x7f))) {
            assert_eq!(Offload::decode(header(0, kind, [66, 1448, 34, 16])), None, "{kind}");
        }
    }

    #[test]
    fn a_tag_shifts_offsets_and_no_sizes() {
        let bytes = header(NEEDS_CSUM, GSO_TCPV4, [66, 1448, 34, 16]);
        let shifted = Offload::decode(bytes).unwrap().shifted(4);
        assert_eq!(shifted.encode(), header(NEEDS_CSUM, GSO_TCPV4, [70, 1448, 38, 16]));
        assert_eq!(Offload::default().shifted(4), Offload::default());
    }
}
