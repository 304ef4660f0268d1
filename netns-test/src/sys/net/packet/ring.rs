//! The ring of received frames that a packet socket shares with the kernel (`PACKET_RX_RING` of
//! packet(7), `TPACKET_V2`).
//!
//! The kernel fills the slots in order, and hands each over by its status. What the status says is
//! the property of one side: a slot with `TP_STATUS_USER` is not touched by the kernel until its
//! status is `TP_STATUS_KERNEL` again.

use std::io;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

/// The ring, which is mapped. A child that is forked does not have the mapping.
#[derive(Debug)]
pub(crate) struct Ring {
    memory: NonNull<u8>,
    blocks: usize,
    /// The slot that the kernel fills next, or has filled.
    next: usize,
    /// Frames of the current batch.
    taken: Vec<Taken>,
}

// SAFETY: the memory is the ring's own, and is not bound to a thread.
unsafe impl Send for Ring {}

/// Frames that were taken from the ring. Drop returns their slots to the kernel.
#[derive(Debug)]
pub(crate) struct Batch<'r>(&'r mut Ring);

/// A frame in the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'b> {
    /// Index of the interface that received it.
    pub(crate) interface: u32,
    /// Time at which the kernel received it, in nanoseconds of the realtime clock.
    pub(crate) stamp: u64,
    /// `struct virtio_net_hdr`, with offsets into the frame without the tag of `is_tagged`.
    pub(crate) header: [u8; HEADER],
    /// The frame from the Ethernet header on, with its outermost VLAN tag.
    pub(crate) bytes: &'b [u8],
    /// True if the kernel had taken a tag of 4 bytes out of the frame.
    pub(crate) is_tagged: bool,
    /// True if the frame did not fit into its slot.
    pub(crate) is_cut: bool,
}

/// The same, by place.
#[derive(Debug)]
struct Taken {
    interface: u32,
    stamp: u64,
    header: [u8; HEADER],
    /// Bytes in the memory of the ring; empty for a frame that was sent on this machine.
    bytes: Range<usize>,
    is_tagged: bool,
    is_cut: bool,
}

/// Bytes of the header with the offloads of a frame (`struct virtio_net_hdr`).
pub(crate) const HEADER: usize = 10;

/// Bytes of a slot: a frame of 64 KiB with its headers. A frame of any length occupies one.
const SLOT: usize = 66 << 10;
/// Bytes that the kernel allocates at once; a slot does not cross them.
const BLOCK: usize = 1 << 20;
/// Fewest blocks of a ring, and most.
const BLOCKS: RangeInclusive<usize> = 16..=96;
const SLOTS_OF_BLOCK: usize = BLOCK / SLOT;
/// Offset of the `struct sockaddr_ll` in a slot: `TPACKET_ALIGN` of the length of its header.
const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(16);
/// Bytes of a slot before what the kernel may use for the frame.
const HEAD: usize = ADDRESS + size_of::<libc::sockaddr_ll>();
/// Bytes of both addresses of an Ethernet header, and of a VLAN tag.
const MACS: usize = 12;
const TAG: usize = 4;

const KERNEL: u32 = 0;
const USER: u32 = 1;
const VLAN_VALID: u32 = 1 << 4;
const TPID_VALID: u32 = 1 << 6;
/// `ETH_P_8021Q`.
const CUSTOMER_TAG: u16 = 0x8100;
/// `PACKET_OUTGOING` of packet(7).
const OUTGOING: u8 = 4;

impl Ring {
    /// Number of slots of the smallest ring.
    #[cfg(test)]
    pub(crate) const LEAST: usize = SLOTS_OF_BLOCK * *BLOCKS.start();

    /// Returns the number of blocks that hold so many slots, within the limits of a ring.
    pub(super) fn blocks_for(slots: usize) -> usize {
        slots.div_ceil(SLOTS_OF_BLOCK).clamp(*BLOCKS.start(), *BLOCKS.end())
    }

    pub(super) fn request(blocks: usize) -> libc::tpacket_req {
        libc::tpacket_req {
            tp_block_size: BLOCK as libc::c_uint,
            tp_block_nr: blocks as libc::c_uint,
            tp_frame_size: SLOT as libc::c_uint,
            tp_frame_nr: (blocks * SLOTS_OF_BLOCK) as libc::c_uint,
        }
    }

    /// Maps the ring of a socket that was made by [`Ring::request`].
    pub(super) fn map(socket: BorrowedFd<'_>, blocks: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(blocks * BLOCK).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let memory = unsafe { mmap(None, size, protection, flags, socket, 0) }?;
        let ring = Self { memory: memory.cast(), blocks, next: 0, taken: Vec::new() };
        // SAFETY: the mapping was made above, with this length. A child does not get it.
        unsafe { madvise(memory, size.get(), MmapAdvise::MADV_DONTFORK) }?;
        Ok(ring)
    }

    /// Returns the number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.blocks * SLOTS_OF_BLOCK
    }

    /// Takes at most `most` frames that are there, in the order in which the kernel received them.
    /// The batch must be short against the ring: the kernel drops frames if no slot is free.
    pub(crate) fn batch(&mut self, most: usize) -> Batch<'_> {
        self.taken.clear();
        while self.taken.len() < most.min(self.slots()) {
            let slot = (self.next + self.taken.len()) % self.slots();
            // Acquire: what the kernel has written before this status is seen.
            let status = self.status(slot).load(Ordering::Acquire);
            if status & USER == 0 {
                break;
            }
            let taken = self.take(slot, status);
            self.taken.push(taken);
        }
        Batch(self)
    }

    /// Returns whether no frame is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.status(self.next).load(Ordering::Acquire) & USER == 0
    }

    /// Reads a slot that the kernel has handed over, and puts the frame's VLAN tag back.
    fn take(&mut self, slot: usize, status: u32) -> Taken {
        let start = offset_of(slot);
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(start) };
        // SAFETY: the kernel has written a header there, aligned, and does not write it now.
        let head = unsafe { place.cast::<libc::tpacket2_hdr>().read() };
        // SAFETY: within the slot.
        let address = unsafe { place.add(ADDRESS) };
        // SAFETY: as for the header.
        let address = unsafe { address.cast::<libc::sockaddr_ll>().read() };
        let bytes = self.slot_mut(slot);
        let mac = usize::from(head.tp_mac);
        let end = mac + head.tp_snaplen as usize;
        let (mut frame, mut header) = (0..0, [0; HEADER]);
        if mac >= HEAD + HEADER && end <= SLOT && address.sll_pkttype != OUTGOING {
            frame = mac..end;
            header.copy_from_slice(&bytes[mac - HEADER..mac]);
        }
        let is_tagged = status & VLAN_VALID != 0 && frame.len() >= MACS + 2;
        if is_tagged {
            let kind = if status & TPID_VALID == 0 { CUSTOMER_TAG } else { head.tp_vlan_tpid };
            // The header of the frame's offloads was there; it is copied already.
            bytes.copy_within(mac..mac + MACS, mac - TAG);
            bytes[mac - TAG + MACS..mac - 2 + MACS].copy_from_slice(&kind.to_be_bytes());
            bytes[mac - 2 + MACS..mac + MACS].copy_from_slice(&head.tp_vlan_tci.to_be_bytes());
            frame.start -= TAG;
        }
        Taken {
            interface: u32::try_from(address.sll_ifindex).unwrap_or(0),
            stamp: u64::from(head.tp_sec) * 1_000_000_000 + u64::from(head.tp_nsec),
            header,
            bytes: start + frame.start..start + frame.end,
            is_tagged,
            is_cut: head.tp_snaplen < head.tp_len,
        }
    }

    fn status(&self, slot: usize) -> &AtomicU32 {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(offset_of(slot)) };
        // SAFETY: a header begins with its status: 4 bytes, aligned, shared with the kernel, which
        // reads and writes them whole.
        unsafe { place.cast::<AtomicU32>().as_ref() }
    }

    fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(offset_of(slot)) };
        // SAFETY: a whole slot, which the kernel has handed over; no other reference to it exists.
        unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), SLOT) }
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(range.start) };
        // SAFETY: bytes of a slot that the kernel has handed over, by `take`; it is not written
        // before the batch, which is borrowed, ends.
        unsafe { std::slice::from_raw_parts(place.as_ptr(), range.len()) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and not referred to any more.
        let _unmapped = unsafe { munmap(self.memory.cast(), self.blocks * BLOCK) };
    }
}

impl Batch<'_> {
    /// Returns the number of frames.
    pub(crate) fn len(&self) -> usize {
        self.0.taken.len()
    }

    /// Returns whether more than `count` frames are in the ring behind those of the batch.
    pub(crate) fn is_followed_by(&self, count: usize) -> bool {
        // The kernel fills the slots in order.
        let place = self.0.taken.len() + count;
        let slots = self.slots();
        place < slots
            && self.0.status((self.0.next + place) % slots).load(Ordering::Acquire) & USER != 0
    }

    /// Returns the number of slots of the ring.
    pub(crate) fn slots(&self) -> usize {
        self.0.slots()
    }

    /// Returns the frames, in order, without those that this machine has sent.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Received<'_>> {
        let frames = self.0.taken.iter().filter(|taken| !taken.bytes.is_empty());
        frames.map(|taken| Received {
            interface: taken.interface,
            stamp: taken.stamp,
            header: taken.header,
            bytes: self.0.bytes(taken.bytes.clone()),
            is_tagged: taken.is_tagged,
            is_cut: taken.is_cut,
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for _ in 0..self.0.taken.len() {
            // Release: all reads and writes of the slot are before it.
            self.0.status(self.0.next).store(KERNEL, Ordering::Release);
            self.0.next = (self.0.next + 1) % self.0.slots();
        }
        self.0.taken.clear();
    }
}

/// Returns the offset of a slot in the ring. Slots do not cross blocks.
const fn offset_of(slot: usize) -> usize {
    slot / SLOTS_OF_BLOCK * BLOCK + slot % SLOTS_OF_BLOCK * SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_lie_in_blocks() {
        assert_eq!((SLOT % 16, Ring::LEAST), (0, 240));
        for slot in 0..Ring::LEAST {
            let start = offset_of(slot);
            assert_eq!(start / BLOCK, (start + SLOT - 1) / BLOCK, "{slot}");
        }
        for slots in [0, 1, Ring::LEAST, 241, 800, 1440] {
            let blocks = Ring::blocks_for(slots);
            let last = blocks * SLOTS_OF_BLOCK - 1;
            assert!(last + 1 >= slots.max(Ring::LEAST), "{slots}");
            assert!(offset_of(last) + SLOT <= blocks * BLOCK, "{slots}");
        }
        assert_eq!(Ring::blocks_for(1_000_000), *BLOCKS.end());
    }
}
