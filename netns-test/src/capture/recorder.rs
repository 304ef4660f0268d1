//! The record of the frames at the ends of a link: the first ones and the last ones, in bounded
//! memory. Pure.

use std::collections::VecDeque;

/// Most frames of the beginning that are kept of each way at an end.
const FIRST: usize = 256;

/// Most bytes of these frames.
const FIRST_BYTES: usize = 128 << 10;

/// Most bytes of the last frames of each way at an end, and of all frames of a lab.
const LAST_BYTES: usize = 512 << 10;
const LAB_BYTES: usize = 16 << 20;

/// Bytes that each frame counts besides its own.
const OVERHEAD: usize = 128;

/// The record of both ends of a link.
#[derive(Debug)]
pub(crate) struct Recorder {
    ends: [Record; 2],
    /// Number of the next frame.
    next: u64,
}

/// The record of one end. Each way has its own memory: a flood does not discard the answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Frames that the node has sent, and those that were delivered to it.
    ways: [Frames; 2],
}

/// The frames of one way at an end.
#[derive(Clone, Debug, Default)]
struct Frames {
    first: Vec<Recorded>,
    last: VecDeque<Recorded>,
    /// Bytes of the first and of the last frames.
    bytes: [usize; 2],
    /// Limits of these bytes.
    most: [usize; 2],
    /// Frames that were recorded, and those of them that were discarded for later ones.
    recorded: u64,
    discarded: u64,
}

/// A frame at an end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Number of the frame in the record of both ends.
    pub(crate) number: u64,
    /// Time on the monotonic clock, in nanoseconds.
    pub(crate) at: u64,
    pub(crate) way: WayOfFrame,
    /// Work that the sender has left to the network device (`struct virtio_net_hdr`).
    pub(crate) header: [u8; 10],
    /// The frame from the Ethernet header on, without check sequence.
    pub(crate) bytes: Box<[u8]>,
    /// Fates of the packets that the frame stands for.
    pub(crate) marks: Vec<Mark>,
}

/// Way of a frame at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayOfFrame {
    /// The node at the end has sent it.
    Out,
    /// It was delivered to the node at the end. The part of the frame at the other end, if the link
    /// has not made it itself.
    In(Option<Part>),
}

/// One of the packets that a frame stands for, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) part: u32,
}

/// Fate of a part of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) part: u32,
    /// True if the part went no further.
    pub(crate) is_dropped: bool,
    pub(crate) text: String,
}

impl Recorder {
    /// Creates the record of one of `links` links, which share the memory of a lab.
    pub(crate) fn new(links: usize) -> Self {
        let share = LAB_BYTES / (4 * links.max(1));
        let first = FIRST_BYTES.min(share / 5);
        let most = [first, LAST_BYTES.min(share - first)];
        let frames = Frames { most, ..Frames::default() };
        let record = Record { ways: [frames.clone(), frames] };
        Self { ends: [record.clone(), record], next: 0 }
    }

    /// Records a frame that the node at an end has sent. Returns its first part.
    pub(crate) fn enter(&mut self, end: usize, at: u64, header: [u8; 10], bytes: &[u8]) -> Part {
        Part { number: self.add(end, at, WayOfFrame::Out, (header, bytes)), part: 0 }
    }

    /// Records a frame that was delivered to the node at an end.
    pub(crate) fn deliver(
        &mut self,
        end: usize,
        at: u64,
        of: Option<Part>,
        frame: ([u8; 10], &[u8]),
    ) {
        self.add(end, at, WayOfFrame::In(of), frame);
    }

    /// Notes what has become of a part of a frame that the node at `end` has sent. Nothing is noted
    /// of a frame that was discarded.
    pub(crate) fn mark(&mut self, end: usize, of: Part, is_dropped: bool, text: String) {
        if let Some(frame) = self.ends[end].ways[0].find(of.number) {
            frame.marks.push(Mark { part: of.part, is_dropped, text });
        }
    }

    /// Returns the record of an end.
    pub(crate) fn record(&self, end: usize) -> &Record {
        &self.ends[end]
    }

    fn add(
        &mut self,
        end: usize,
        at: u64,
        way: WayOfFrame,
        (header, bytes): ([u8; 10], &[u8]),
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let (bytes, marks) = (Box::from(bytes), Vec::new());
        let frames = &mut self.ends[end].ways[usize::from(way != WayOfFrame::Out)];
        frames.push(Recorded { number, at, way, header, bytes, marks });
        number
    }
}

impl Record {
    /// Returns the frames that are left: those that the node has sent, then those that were
    /// delivered to it, each in the order in which they were recorded.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Recorded> {
        self.ways.iter().flat_map(|way| way.first.iter().chain(&way.last))
    }

    /// Returns the number of frames that were recorded.
    pub(crate) fn recorded(&self) -> u64 {
        self.ways.iter().map(|way| way.recorded).sum()
    }

    /// Returns the number of frames that were discarded for later ones: of those that the node has
    /// sent, and of those that were delivered to it.
    pub(crate) fn discarded(&self) -> [u64; 2] {
        self.ways.each_ref().map(|way| way.discarded)
    }
}

impl Frames {
    fn find(&mut self, number: u64) -> Option<&mut Recorded> {
        let by_number = |one: &Recorded| one.number.cmp(&number);
        if let Ok(at) = self.first.binary_search_by(by_number) {
            return self.first.get_mut(at);
        }
        let at = self.last.binary_search_by(by_number).ok()?;
        self.last.get_mut(at)
    }

    fn push(&mut self, frame: Recorded) {
        self.recorded += 1;
        let bytes = frame.bytes.len() + OVERHEAD;
        let has_room = self.bytes[0] + bytes <= self.most[0] && self.first.len() < FIRST;
        if self.recorded == self.first.len() as u64 + 1 && has_room {
            self.bytes[0] += bytes;
            return self.first.push(frame);
        }
        self.bytes[1] += bytes;
        self.last.push_back(frame);
        while self.bytes[1] > self.most[1] {
            let Some(oldest) = self.last.pop_front() else { return };
            self.bytes[1] -= oldest.bytes.len() + OVERHEAD;
            self.discarded += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(record: &Record) -> Vec<u64> {
        record.frames().map(|one| one.number).collect()
    }

    #[test]
    fn the_first_and_the_last_frames_stay() {
        let mut recorder = Recorder::new(1);
        for at in 0..20_000 {
            recorder.enter(0, at, [0; 10], &[0; 1000]);
        }
        let record = recorder.record(0);
        let kept = numbers(record);
        let first = FIRST_BYTES / (1000 + OVERHEAD);
        assert_eq!(kept[..first], (0..first as u64).collect::<Vec<_>>());
        let last = LAST_BYTES / (1000 + OVERHEAD);
        assert_eq!(kept[first..], (20_000 - last as u64..20_000).collect::<Vec<_>>());
        let discarded = [20_000 - kept.len() as u64, 0];
        assert_eq!((record.recorded(), record.discarded()), (20_000, discarded));
        assert!(record.ways[0].bytes.iter().sum::<usize>() <= FIRST_BYTES + LAST_BYTES);
        assert_eq!(recorder.record(1).recorded(), 0);
    }

    #[test]
    fn small_frames_are_limited_by_number_and_none_is_discarded_early() {
        let mut recorder = Recorder::new(1);
        for at in 0..FIRST as u64 + 10 {
            recorder.enter(1, at, [0; 10], &[0; 60]);
        }
        let record = recorder.record(1);
        let sent = &record.ways[0];
        assert_eq!((sent.first.len(), sent.last.len(), sent.discarded), (FIRST, 10, 0));
    }

    #[test]
    fn all_ends_of_a_lab_share_its_memory() {
        for links in [1, 8, 100, 10_000] {
            let recorder = Recorder::new(links);
            let ways = recorder.ends.iter().flat_map(|end| &end.ways);
            let most: usize = ways.flat_map(|way| way.most).sum();
            assert!(most * links <= LAB_BYTES, "{links}");
        }
    }

    #[test]
    fn marks_find_first_and_last_frames_but_no_discarded_one() {
        let mut recorder = Recorder::new(1);
        let parts: Vec<Part> =
            (0..5000).map(|at| recorder.enter(0, at, [0; 10], &[0; 1000])).collect();
        for at in [0, 2000, 4999] {
            recorder.mark(0, parts[at], true, "lost".to_owned());
        }
        let marked: Vec<u64> = recorder
            .record(0)
            .frames()
            .filter(|one| !one.marks.is_empty())
            .map(|one| one.number)
            .collect();
        assert_eq!(marked, [0, 4999]);
    }

    #[test]
    fn a_frame_that_is_longer_than_the_memory_is_discarded() {
        let mut recorder = Recorder::new(10_000);
        recorder.enter(0, 0, [0; 10], &[0; 65_000]);
        let record = recorder.record(0);
        assert_eq!(
            (record.recorded(), record.discarded(), record.frames().count()),
            (1, [1, 0], 0)
        );
    }
}
