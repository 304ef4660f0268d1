//! Memory shared between init and body, in which the body records its result.
//!
//! It is no file or pipe, because a body may close all descriptors.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sys::process::progress::Progress;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

/// Largest length of a record's text in bytes. Longer texts are truncated.
const TEXT_CAPACITY: usize = 1 << 20;

/// Record that the body writes once, and that init reads when the body has ended.
#[derive(Debug)]
pub(crate) struct Record {
    page: NonNull<Page>,
}

// SAFETY: all fields but the text are atomics; the text is written by the one caller that
// wins `claimed`, and read only after `seal` says that it is complete.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

#[repr(C)]
struct Page {
    claimed: AtomicU32,
    stack_overflow: AtomicU32,
    unseen: AtomicU32,
    progress: Progress,
    kind: AtomicU32,
    length: AtomicU32,
    /// The seal, which is written when the rest is complete.
    seal: AtomicU64,
    text: UnsafeCell<[u8; TEXT_CAPACITY]>,
}

impl Record {
    /// Creates an empty record, shared with processes that are forked later.
    pub(crate) fn new() -> io::Result<Self> {
        // Zero bytes are a valid `Page`.
        Ok(Self { page: map(size_of::<Page>(), MapFlags::MAP_SHARED)?.cast() })
    }

    /// Writes the record, then its `seal`, which must not be 0. Only the first call has an effect.
    /// A text longer than 1 MiB is truncated.
    pub(crate) fn write(&self, seal: u64, kind: u32, text: &[u8]) {
        if self.page().claimed.swap(1, Ordering::AcqRel) != 0 {
            return;
        }
        let length = text.len().min(TEXT_CAPACITY);
        let target = self.page().text.get();
        // SAFETY: source and target are `length` bytes long and apart from each other; this
        // caller alone has claimed the text, and no process reads it before the seal is set.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), target.cast::<u8>(), length) };
        self.page().kind.store(kind, Ordering::Relaxed);
        self.page().length.store(u32::try_from(length).unwrap_or(0), Ordering::Relaxed);
        self.page().seal.store(seal, Ordering::Release);
    }

    /// Returns kind and text, if a record with this seal is complete.
    pub(crate) fn read(&self, seal: u64) -> Option<(u32, Vec<u8>)> {
        if self.page().seal.load(Ordering::Acquire) != seal {
            return None;
        }
        let length = self.page().length.load(Ordering::Relaxed) as usize;
        let mut text = vec![0; length.min(TEXT_CAPACITY)];
        let source = self.page().text.get();
        // SAFETY: `text` is at most as long as the source; after the seal no process writes.
        unsafe {
            std::ptr::copy_nonoverlapping(source.cast::<u8>(), text.as_mut_ptr(), text.len());
        };
        Some((self.page().kind.load(Ordering::Relaxed), text))
    }

    /// Returns the flag that a signal handler sets at a stack overflow.
    pub(crate) fn stack_overflow(&self) -> &'static AtomicU32 {
        // SAFETY: as in `page`; the mapping is never unmapped.
        let page: &'static Page = unsafe { self.page.as_ref() };
        &page.stack_overflow
    }

    /// Records that the message about the end of the process could not be printed.
    pub(crate) fn note_unseen(&self) {
        self.page().unseen.store(1, Ordering::Relaxed);
    }

    /// Returns whether the message about the end could not be printed.
    pub(crate) fn is_unseen(&self) -> bool {
        self.page().unseen.load(Ordering::Relaxed) != 0
    }

    /// Returns the record of the process's progress.
    pub(crate) fn progress(&self) -> &'static Progress {
        // SAFETY: as in `page`; the mapping is never unmapped.
        let page: &'static Page = unsafe { self.page.as_ref() };
        &page.progress
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping is live, aligned and a valid `Page`, and what changes behind
        // a shared reference is atomic or in an `UnsafeCell`.
        unsafe { self.page.as_ref() }
    }
}

/// Creates numbers, all zero, that this process shares with processes that are forked from it.
pub(crate) fn shared_numbers<const COUNT: usize>() -> io::Result<&'static [AtomicU32; COUNT]> {
    let page = map(size_of::<[AtomicU32; COUNT]>(), MapFlags::MAP_SHARED)?;
    // SAFETY: never unmapped, aligned as pages are, and zero bytes are valid atomics.
    Ok(unsafe { page.cast().as_ref() })
}

/// Mark of the process that created it. Processes forked from that one do not have the mark, even
/// if they have the same id in another PID namespace: the kernel clears its page in the child
/// (`MADV_WIPEONFORK` of madvise(2)).
#[derive(Debug)]
pub(crate) struct ForkMark {
    flag: &'static AtomicU32,
    /// Id of the process, if the kernel cannot clear the page. Where it can, the check makes no
    /// system call, because a test's seccomp filter may refuse getpid(2).
    maker: Option<crate::sys::process::Pid>,
}

impl ForkMark {
    /// Marks this process. Before Linux 4.14 only the process id distinguishes it from its
    /// children.
    pub(crate) fn new() -> io::Result<Self> {
        let size = size_of::<AtomicU32>();
        let page = map(size, MapFlags::MAP_PRIVATE)?;
        // SAFETY: the page was made for this, and zero is a value of its one atomic.
        let wiped = unsafe { madvise(page, size, MmapAdvise::MADV_WIPEONFORK) };
        // SAFETY: never unmapped, aligned as pages are, and zero bytes are a valid atomic.
        let flag: &'static AtomicU32 = unsafe { page.cast().as_ref() };
        flag.store(1, Ordering::Relaxed);
        let maker = wiped.is_err().then(crate::sys::process::id);
        Ok(Self { flag, maker })
    }

    /// Returns the mark of this process, which is made by the first call.
    #[cfg(feature = "lab")]
    pub(crate) fn of_this_process() -> io::Result<&'static Self> {
        static LAST: std::sync::atomic::AtomicPtr<ForkMark> =
            std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());
        // SAFETY: null, or a mark that was leaked below and so lives on, also in children.
        let last = unsafe { LAST.load(Ordering::Acquire).as_ref() };
        if let Some(mark) = last.filter(|mark| mark.is_here()) {
            return Ok(mark);
        }
        let mark = Box::leak(Box::new(Self::new()?));
        LAST.store(mark, Ordering::Release);
        Ok(mark)
    }

    /// Returns whether this is the marked process.
    pub(crate) fn is_here(&self) -> bool {
        self.flag.load(Ordering::Relaxed) == 1
            && self.maker.is_none_or(|maker| maker == crate::sys::process::id())
    }
}

/// Returns whether this process can map `size` bytes, as for the stack of a thread.
pub(crate) fn can_map(size: usize) -> bool {
    let Ok(memory) = map(size.max(1), MapFlags::MAP_PRIVATE) else { return false };
    // SAFETY: mapped above with this size, and not used.
    let _unmapped = unsafe { munmap(memory, size.max(1)) };
    true
}

/// Maps new memory, all zero. The mapping is never removed, except by [`can_map`].
pub(crate) fn map(size: usize, sharing: MapFlags) -> io::Result<NonNull<c_void>> {
    let size = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
    Ok(unsafe { mmap_anonymous(None, size, protection, sharing) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_counts_and_only_with_its_seal() {
        let record = Record::new().unwrap();
        assert_eq!(record.read(7), None);
        record.write(7, 1, b"first");
        record.write(7, 2, b"second");
        assert_eq!(record.read(8), None);
        assert_eq!(record.read(7), Some((1, b"first".to_vec())));
    }

    #[test]
    fn a_mark_is_where_it_was_made() {
        assert!(ForkMark::new().unwrap().is_here());
    }

    #[cfg(feature = "lab")]
    #[test]
    fn the_mark_of_a_process_is_made_once() {
        let mark = ForkMark::of_this_process().unwrap();
        assert!(mark.is_here() && std::ptr::eq(mark, ForkMark::of_this_process().unwrap()));
    }

    #[test]
    fn long_texts_are_cut() {
        let record = Record::new().unwrap();
        record.write(7, 1, &vec![b'x'; TEXT_CAPACITY + 1]);
        assert_eq!(record.read(7).unwrap().1.len(), TEXT_CAPACITY);
    }
}
