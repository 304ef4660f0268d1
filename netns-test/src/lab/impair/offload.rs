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
