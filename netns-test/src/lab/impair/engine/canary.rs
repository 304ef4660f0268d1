//! Frames of the engine's own, by which a caller knows that it has received others: the numbers
//! of their rounds, and how many of them have come. Pure.

/// Index of the loopback device of each network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// An EtherType for local experiments (IEEE 802).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Rounds of frames that are awaited: the number of each, and how many of its frames have come.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    next: u64,
    rounds: Vec<(u64, usize)>,
}

impl Canaries {
    /// Begins a round, and returns its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.next += 1;
        self.rounds.push((self.next, 0));
        self.next
    }

    /// Notes a frame that has come in by the loopback device.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        let round = self.rounds.iter_mut().find(|(number, _)| bytes == frame(*number));
        if let Some((_, count)) = round {
            *count += 1;
        }
    }

    /// Returns how many frames of a round have come.
    pub(crate) fn count(&self, number: u64) -> usize {
        self.rounds.iter().find(|round| round.0 == number).map_or(0, |round| round.1)
    }

    /// Forgets a round.
    pub(crate) fn end(&mut self, number: u64) {
        self.rounds.retain(|round| round.0 != number);
    }
}

/// Returns the frame with this number, of the shortest length.
pub(crate) fn frame(number: u64) -> [u8; 60] {
    let mut bytes = [0; 60];
    bytes[12..14].copy_from_slice(&ETHERTYPE);
    bytes[14..22].copy_from_slice(&number.to_be_bytes());
    bytes
}
