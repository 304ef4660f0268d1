//! Log in memory that a body shares with its init. The body and its threads append records, and
//! init reads them, also after the body has died. An append makes no system call.
//!
//! A descriptor would not do: a body may close every descriptor it finds, and a filter of its own
//! may refuse write(2).

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::MapFlags;

use crate::sys::process::shared_record::map;

/// Bytes for records. The kernel provides only the pages that are written.
const CAPACITY: usize = 4 << 20;

/// Numbers for counters. The kernel provides only the pages that are written.
const NUMBERS: usize = 1 << 18;

/// Bit of a record's length that says that the record is not complete.
const OPEN: u32 = 1 << 31;

/// The log. It is never unmapped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedLog {
    memory: NonNull<Memory>,
}

// SAFETY: all fields are atomics but the bytes of a record, which are written by the one caller
// that has reserved them, and read after its length says that it is complete.
unsafe impl Send for SharedLog {}
// SAFETY: as above.
unsafe impl Sync for SharedLog {}

#[repr(C)]
struct Memory {
    /// Bytes that are reserved, also beyond the capacity.
    reserved: AtomicU64,
    /// Records that did not fit.
    lost: AtomicU64,
    /// Number of the last question to the reader, and of the last one that was answered.
    asked: AtomicU32,
    answered: AtomicU32,
    /// Numbers that are in use, also beyond the last one.
    taken: AtomicU64,
    numbers: [AtomicU64; NUMBERS],
    records: [AtomicU32; CAPACITY / 4],
}

/// Numbers of one owner, which the reader can read at any time.
#[cfg(feature = "lab")]
#[derive(Debug)]
pub(crate) struct Numbers {
    log: SharedLog,
    first: usize,
    count: usize,
}

#[cfg(feature = "lab")]
impl Numbers {
    /// Returns the place of the first one.
    pub(crate) const fn first(&self) -> u32 {
        self.first as u32
    }

    /// Sets a number. A reader that sees it sees those that were set before.
    ///
    /// # Panics
    ///
    /// Panics if it is another owner's.
    pub(crate) fn set(&self, at: usize, value: u64) {
        assert!(at < self.count, "a number of its own");
        self.log.memory().numbers[self.first + at].store(value, Ordering::Release);
    }
}

impl SharedLog {
    /// Returns an empty log, shared with the processes that are forked from here.
    pub(crate) fn new() -> io::Result<Self> {
        // Zero bytes are a valid `Memory`.
        Ok(Self { memory: map(size_of::<Memory>(), MapFlags::MAP_SHARED)?.cast() })
    }

    /// Appends a record, which is not empty. Returns `false` if the log is full.
    pub(crate) fn append(&self, record: &[u8]) -> bool {
        let memory = self.memory();
        let words = record.len().div_ceil(4);
        let Ok(length) = u32::try_from(record.len()) else { return false };
        let size = 4 * (words as u64 + 1);
        let at = memory.reserved.fetch_add(size, Ordering::AcqRel);
        if at.saturating_add(size) > CAPACITY as u64 || length >= OPEN {
            memory.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let at = (at / 4) as usize;
        memory.records[at].store(length | OPEN, Ordering::Release);
        for (place, part) in record.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            memory.records[at + 1 + place].store(u32::from_le_bytes(word), Ordering::Relaxed);
        }
        memory.records[at].store(length, Ordering::Release);
        true
    }

    /// Counts a record that is not appended.
    #[cfg(feature = "tracing")]
    pub(crate) fn lose(&self) {
        self.memory().lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the complete records from `place` on, and the place of the next one. The first place
    /// is 0.
    pub(crate) fn read(&self, mut place: usize) -> (Vec<Vec<u8>>, usize) {
        let memory = self.memory();
        let mut records = Vec::new();
        while let Some(head) = memory.records.get(place) {
            let head = head.load(Ordering::Acquire);
            let length = (head & !OPEN) as usize;
            let words = length.div_ceil(4);
            // Nothing has been written here yet.
            if head == 0 {
                break;
            }
            let Some(body) = memory.records.get(place + 1..place + 1 + words) else { break };
            if head & OPEN != 0 {
                // Its writer may have died. Later records are read once it is complete, or at the
                // end by `skip_open`.
                break;
            }
            let bytes = body.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
            records.push(bytes.take(length).collect());
            place += 1 + words;
        }
        (records, place)
    }

    /// Returns the place after the record at `place` if that record was never completed.
    pub(crate) fn skip_open(&self, place: usize) -> Option<usize> {
        let head = self.memory().records.get(place)?.load(Ordering::Acquire);
        (head & OPEN != 0).then(|| place + 1 + ((head & !OPEN) as usize).div_ceil(4))
    }

    /// Returns the number of records that did not fit.
    pub(crate) fn lost(&self) -> u64 {
        self.memory().lost.load(Ordering::Relaxed)
    }

    /// Takes some of the numbers, which are 0; none if too few are left.
    #[cfg(feature = "lab")]
    pub(crate) fn take_numbers(&self, count: usize) -> Option<Numbers> {
        let first = self.memory().taken.fetch_add(count as u64, Ordering::Relaxed);
        let is_there = first.saturating_add(count as u64) <= NUMBERS as u64;
        is_there.then_some(Numbers { log: *self, first: first as usize, count })
    }

    /// Returns the number at a place; 0 if there is none.
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.memory().numbers.get(at).map_or(0, |number| number.load(Ordering::Acquire))
    }

    /// Asks the reader a question. Returns its number. The caller wakes the reader.
    pub(crate) fn ask(&self) -> u32 {
        self.memory().asked.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Returns the number of the last question.
    pub(crate) fn asked(&self) -> u32 {
        self.memory().asked.load(Ordering::Acquire)
    }

    /// Answers all questions up to `number`, and wakes those who wait.
    pub(crate) fn answer(&self, number: u32) {
        self.memory().answered.store(number, Ordering::Release);
        let word = self.memory().answered.as_ptr();
        // SAFETY: the address of a live word in shared memory; no other argument is read.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
    }

    /// Waits until question `number` is answered, at most for `limit`. Returns whether it is.
    pub(crate) fn wait_for_answer(&self, number: u32, limit: Duration) -> bool {
        let deadline = crate::sys::process::progress::now() + limit;
        loop {
            let answered = self.memory().answered.load(Ordering::Acquire);
            // Numbers wrap around.
            if answered.wrapping_sub(number) < u32::MAX / 2 {
                return true;
            }
            let left = deadline.saturating_sub(crate::sys::process::progress::now());
            if left.is_zero() || !self.sleep(answered, left) {
                return false;
            }
        }
    }

    /// Sleeps until the answers change from `answered`, or for `time`. Returns `false` if the
    /// kernel refuses the call.
    fn sleep(&self, answered: u32, time: Duration) -> bool {
        let time = libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let word = self.memory().answered.as_ptr();
        // SAFETY: the address of a live word, and a valid time.
        let result = unsafe {
            libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, answered, &raw const time)
        };
        let expected = [Errno::EAGAIN, Errno::EINTR, Errno::ETIMEDOUT];
        Errno::result(result).map_or_else(|errno| expected.contains(&errno), |_| true)
    }

    fn memory(&self) -> &Memory {
        // SAFETY: the mapping is live, aligned as pages are, and zero bytes are valid atomics.
        unsafe { self.memory.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_their_order() {
        let log = SharedLog::new().unwrap();
        assert_eq!(log.read(0), (vec![], 0));
        for record in [b"one".as_slice(), b"four", b"fives"] {
            assert!(log.append(record));
        }
        assert_eq!(log.read(0).0, [b"one".to_vec(), b"four".to_vec(), b"fives".to_vec()]);
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let log = SharedLog::new().unwrap();
        assert!(log.append(b"first"));
        let (records, place) = log.read(0);
        assert_eq!(records, [b"first"]);
        assert!(log.append(b"second"));
        assert_eq!(log.read(place).0, [b"second"]);
    }

    #[test]
    fn a_full_log_counts_what_it_loses() {
        let log = SharedLog::new().unwrap();
        let large = vec![1; CAPACITY / 2];
        assert!(log.append(&large));
        assert!(!log.append(&large));
        assert_eq!((log.read(0).0.len(), log.lost()), (1, 1));
    }

    #[test]
    fn threads_do_not_mix_their_records() {
        let log = SharedLog::new().unwrap();
        std::thread::scope(|scope| {
            for byte in 1..=8_u8 {
                let write = move || {
                    (1..200).for_each(|length| {
                        assert!(log.append(&vec![byte; length]));
                    });
                };
                scope.spawn(write);
            }
        });
        let (records, _) = log.read(0);
        assert_eq!(records.len(), 8 * 199);
        assert!(records.iter().all(|record| record.iter().all(|byte| *byte == record[0])));
    }

    #[test]
    fn a_question_waits_for_its_answer() {
        let log = SharedLog::new().unwrap();
        let number = log.ask();
        assert!(!log.wait_for_answer(number, Duration::from_millis(1)));
        let thread = std::thread::spawn(move || log.answer(log.asked()));
        assert!(log.wait_for_answer(number, Duration::from_secs(60)));
        thread.join().unwrap();
    }
}
