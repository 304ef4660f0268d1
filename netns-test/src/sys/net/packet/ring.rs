//! A ring of received frames that a packet socket shares with the kernel (`PACKET_RX_RING` of
//! packet(7), `TPACKET_V2`).
//!
//! The kernel fills the slots in order, and hands each over by its status. What the status says is
//! the property of one side: a slot with `TP_STATUS_USER` is not touched by the kernel until its
//! status is `TP_STATUS_KERNEL` again.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

/// The ring, which is mapped. A child that is forked does not have the mapping.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    size: Size,
    /// The first slot that was taken and not returned.
    next: usize,
    /// Number of slots from there that were taken.
    taken: usize,
}

// SAFETY: the memory is the ring's own, and is not bound to a thread.
unsafe impl Send for Ring {}

/// Size of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Bytes of a slot. A frame occupies one, whatever its length.
    pub(super) slot: usize,
    pub(super) blocks: usize,
}

/// A frame in the ring, by place.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) interface: u32,
    pub(super) stamp: u64,
    pub(super) header: [u8; HEADER],
    /// Bytes in the memory of the ring; empty for a frame that was sent on this machine.
    pub(super) bytes: Range<usize>,
    pub(super) is_tagged: bool,
    pub(super) is_cut: bool,
}

/// Bytes of the header with the offloads of a frame (`struct virtio_net_hdr`).
pub(crate) const HEADER: usize = 10;

/// Bytes that the kernel allocates at once; a slot does not cross them.
const BLOCK: usize = 1 << 20;
/// Offset of the `struct sockaddr_ll` in a slot: `TPACKET_ALIGN` of the length of its header.
const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(16);
/// Bytes of a slot before what the kernel may use for the frame.
const HEAD: usize = ADDRESS + size_of::<libc::sockaddr_ll>();
/// Most bytes of a slot before the frame.
pub(super) const BEFORE_FRAME: usize = HEAD.next_multiple_of(16) + 16 + HEADER;
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

impl Size {
    pub(super) const fn slots(self) -> usize {
        self.blocks * (BLOCK / self.slot)
    }

    pub(super) fn request(self) -> libc::tpacket_req {
        libc::tpacket_req {
            tp_block_size: BLOCK as libc::c_uint,
            tp_block_nr: self.blocks as libc::c_uint,
            tp_frame_size: self.slot as libc::c_uint,
            tp_frame_nr: self.slots() as libc::c_uint,
        }
    }

    /// Returns the offset of a slot in the ring.
    const fn offset_of(self, slot: usize) -> usize {
        let of_block = BLOCK / self.slot;
        slot / of_block * BLOCK + slot % of_block * self.slot
    }
}

impl Ring {
    /// Maps the ring of a socket that was made by [`Size::request`].
    pub(super) fn map(socket: BorrowedFd<'_>, size: Size) -> io::Result<Self> {
        let length = NonZeroUsize::new(size.blocks * BLOCK).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let memory = unsafe { mmap(None, length, protection, flags, socket, 0) }?;
        let ring = Self { memory: memory.cast(), size, next: 0, taken: 0 };
        // SAFETY: the mapping was made above, with this length. A child does not get it.
        unsafe { madvise(memory, length.get(), MmapAdvise::MADV_DONTFORK) }?;
        Ok(ring)
    }

    /// Returns the number of slots.
    pub(super) fn slots(&self) -> usize {
        self.size.slots()
    }

    /// Returns when the kernel received the next frame; `None` if there is none.
    pub(super) fn stamp(&self) -> Option<u64> {
        let is_there = self.is_followed_by(0);
        is_there.then(|| stamp(&self.head(self.behind(0))))
    }

    /// Returns whether more than `count` frames are there behind those that were taken.
    pub(super) fn is_followed_by(&self, count: usize) -> bool {
        // The kernel fills the slots in order. Acquire: what it has written before is seen.
        self.taken + count < self.slots()
            && self.status(self.behind(count)).load(Ordering::Acquire) & USER != 0
    }

    /// Takes the next frame, which is there, and puts its VLAN tag back.
    pub(super) fn take(&mut self) -> Taken {
        let slot = self.behind(0);
        let start = self.size.offset_of(slot);
        let status = self.status(slot).load(Ordering::Acquire);
        let head = self.head(slot);
        // SAFETY: within the slot, which is within the mapping.
        let address = unsafe { self.memory.add(start + ADDRESS) };
        // SAFETY: the kernel has written an address there, aligned, and does not write it now.
        let address = unsafe { address.cast::<libc::sockaddr_ll>().read() };
        self.taken += 1;
        let bytes = self.slot_mut(slot);
        let mac = usize::from(head.tp_mac);
        let end = mac + head.tp_snaplen as usize;
        let (mut frame, mut header) = (0..0, [0; HEADER]);
        if mac >= HEAD + HEADER && end <= bytes.len() && address.sll_pkttype != OUTGOING {
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
            stamp: stamp(&head),
            header,
            bytes: start + frame.start..start + frame.end,
            is_tagged,
            is_cut: head.tp_snaplen < head.tp_len,
        }
    }

    /// Returns bytes of a frame that was taken.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(range.start) };
        // SAFETY: bytes of a slot that the kernel has handed over, by `take`; it is not written
        // before it is returned, which takes a mutable reference.
        unsafe { std::slice::from_raw_parts(place.as_ptr(), range.len()) }
    }

    /// Returns the slots that were taken to the kernel.
    pub(super) fn give_back(&mut self) {
        for _ in 0..std::mem::take(&mut self.taken) {
            // Release: all reads and writes of the slot are before it.
            self.status(self.next).store(KERNEL, Ordering::Release);
            self.next = (self.next + 1) % self.slots();
        }
    }

    /// Returns the slot with `count` others between it and those that were taken.
    fn behind(&self, count: usize) -> usize {
        (self.next + self.taken + count) % self.slots()
    }

    /// Returns the header of a slot that the kernel has handed over.
    fn head(&self, slot: usize) -> libc::tpacket2_hdr {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(self.size.offset_of(slot)) };
        // SAFETY: the kernel has written a header there, aligned, and does not write it now.
        unsafe { place.cast::<libc::tpacket2_hdr>().read() }
    }

    fn status(&self, slot: usize) -> &AtomicU32 {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(self.size.offset_of(slot)) };
        // SAFETY: a header begins with its status: 4 bytes, aligned, shared with the kernel, which
        // reads and writes them whole.
        unsafe { place.cast::<AtomicU32>().as_ref() }
    }

    fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        // SAFETY: within the mapping.
        let place = unsafe { self.memory.add(self.size.offset_of(slot)) };
        // SAFETY: a whole slot, which the kernel has handed over; no other reference to it exists.
        unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), self.size.slot) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and not referred to any more.
        let _unmapped = unsafe { munmap(self.memory.cast(), self.size.blocks * BLOCK) };
    }
}

fn stamp(head: &libc::tpacket2_hdr) -> u64 {
    u64::from(head.tp_sec) * 1_000_000_000 + u64::from(head.tp_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_lie_in_blocks() {
        for (slot, blocks, slots) in [(66 << 10, 16, 240), (2 << 10, 8, 4096)] {
            let size = Size { slot, blocks };
            assert_eq!((slot % 16, size.slots()), (0, slots));
            for at in 0..slots {
                let start = size.offset_of(at);
                assert_eq!(start / BLOCK, (start + slot - 1) / BLOCK, "{at}");
            }
            assert!(size.offset_of(slots - 1) + slot <= blocks * BLOCK);
        }
    }
}
