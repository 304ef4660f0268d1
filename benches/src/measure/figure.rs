//! One figure: some work of the library, and its floor. Both are measured in turns in the same run,
//! so that other load on the machine affects both.

use std::error::Error;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does something `count` times, checks the result, and returns the time without the check.
pub(crate) type Work = Box<dyn FnMut(u32) -> Result<Duration>>;

/// Definition of a figure.
pub(crate) struct Figure {
    /// Name of the library's work.
    pub(crate) name: &'static str,
    /// Name of the floor.
    pub(crate) floor_name: &'static str,
    /// Greatest accepted ratio of the work to the floor, if there is a target.
    pub(crate) target: Option<f64>,
    /// Number of repetitions between two readings of the clock. It is above 1 for work as short as
    /// a reading.
    pub(crate) batch: u32,
    /// Number of pairs of batches.
    pub(crate) rounds: usize,
    pub(crate) work: Work,
    pub(crate) floor: Work,
}

/// Extent of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough rounds for repeatable figures.
    Full,
    /// A few rounds that check the results only.
    Quick,
}

/// Result of a figure.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) floor_name: &'static str,
    pub(crate) target: Option<f64>,
    /// Seconds for one repetition of the work.
    pub(crate) work: Quartiles,
    /// Seconds for one repetition of the floor.
    pub(crate) floor: Quartiles,
    /// Ratio of the two in the same round.
    pub(crate) ratio: Quartiles,
}

/// Quartiles of a set of values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Figure {
    /// Returns the figure with another floor and without a target.
    pub(crate) fn beside(self, floor_name: &'static str, floor: Work) -> Self {
        Self { floor_name, floor, target: None, ..self }
    }

    /// Runs all rounds. Returns an error if a result is wrong.
    pub(crate) fn measure(mut self, effort: Effort) -> Result<Outcome> {
        let (rounds, warm_up) = match effort {
            Effort::Full => (self.rounds, self.rounds / 10),
            // Long work is done once.
            Effort::Quick => (self.rounds.min(5), usize::from(self.rounds > 1)),
        };
        let (mut work, mut floor, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..warm_up + rounds {
            // The order alternates.
            let (ours, bare) = if round % 2 == 0 {
                let ours = per_time(&mut self.work, self.batch)?;
                (ours, per_time(&mut self.floor, self.batch)?)
            } else {
                let bare = per_time(&mut self.floor, self.batch)?;
                (per_time(&mut self.work, self.batch)?, bare)
            };
            if round >= warm_up {
                work.push(ours);
                floor.push(bare);
                ratio.push(ours / bare);
            }
        }
        Ok(Outcome {
            name: self.name,
            floor_name: self.floor_name,
            target: self.target,
            work: Quartiles::of(work),
            floor: Quartiles::of(floor),
            ratio: Quartiles::of(ratio),
        })
    }
}

impl Outcome {
    /// Returns whether the median ratio is above the target.
    pub(crate) fn misses_target(&self) -> bool {
        self.target.is_some_and(|target| self.ratio.median > target)
    }
}

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self { lower: at(1), median: at(2), upper: at(3) }
    }
}

fn per_time(work: &mut Work, count: u32) -> Result<f64> {
    Ok(work(count)?.as_secs_f64() / f64::from(count))
}

/// Calls `work` `count` times, and returns the results and the total time.
pub(crate) fn timed<T>(count: u32, mut work: impl FnMut() -> T) -> (Vec<T>, Duration) {
    let mut results = Vec::with_capacity(count as usize);
    let start = Instant::now();
    for _ in 0..count {
        results.push(work());
    }
    let time = start.elapsed();
    (results, time)
}
