//! How often a probe sends what may not arrive, before it says that it does not. Pure.

use std::time::Duration;

/// Pauses after which a datagram that its marker has overtaken must have arrived, too. All later
/// ones are as long as the last one.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(60),
];

/// Highest probability that all datagrams of a probe were lost by accident.
const DOUBT: f64 = 1e-4;

/// Rounds of a probe in which nothing has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    count: usize,
    /// Probability that a datagram which passes is lost.
    loss: f64,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { count: 0, loss: 1.0 }
    }

    /// Adds a round, which counts if it took so little time that no mapping can have ended. `sent`
    /// datagrams had to arrive in all rounds, and `arrived` have.
    pub(crate) fn add(&mut self, counts: bool, [sent, arrived]: [u64; 2]) {
        self.count += usize::from(counts);
        // A datagram may go over each link twice.
        let passes = 1.0 - (sent.saturating_sub(arrived) + 1) as f64 / (sent + 2) as f64;
        self.loss = 1.0 - passes * passes;
    }

    pub(crate) fn pause(&self) -> Duration {
        PAUSES[self.count.min(PAUSES.len() - 1)]
    }

    pub(crate) fn are_enough(&self) -> bool {
        self.count >= PAUSES.len() && self.loss.powf(self.count as f64) < DOUBT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(lost_of_100: u64) -> usize {
        let mut rounds = Rounds::new();
        for round in 1..1000 {
            let sent = 300 * round;
            rounds.add(true, [sent, sent - sent * lost_of_100 / 100]);
            if rounds.are_enough() {
                return rounds.count;
            }
        }
        panic!("{rounds:?}");
    }

    #[test]
    fn more_loss_needs_more_rounds() {
        assert_eq!(needed(0), 5);
        assert_eq!(needed(5), 5);
        assert_eq!(needed(40), 21);
        assert!((80..100).contains(&needed(70)), "{}", needed(70));
    }

    #[test]
    fn few_datagrams_prove_little_and_slow_rounds_nothing() {
        let mut rounds = Rounds::new();
        for round in 1..=5 {
            assert!(!rounds.are_enough());
            rounds.add(true, [3 * round; 2]);
        }
        assert!(rounds.are_enough());
        let mut slow = Rounds::new();
        (1..100).for_each(|round| slow.add(false, [3 * round; 2]));
        assert!(!slow.are_enough());
    }
}
