//! One figure: what is measured, what it is compared with, and how. Both are measured in turns, in
//! the same run, so that whatever else the machine does meets both.

use std::error::Error;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does something `count` times, checks that it was done, and gives the time of that alone.
pub(crate) type Work = Box<dyn FnMut(u32) -> Result<Duration>>;

/// What is to be measured.
pub(crate) struct Figure {
    /// What of the library.
    pub(crate) name: &'static str,
    /// What it is compared with.
    pub(crate) floor_name: &'static str,
    /// The most that it may take, in times of the floor; none for a figure to look at.
    pub(crate) target: Option<f64>,
    /// How often the work is done between two looks at the clock: more than once where once takes
    /// no longer than the looks.
    pub(crate) batch: u32,
    /// How many pairs of batches are measured.
    pub(crate) rounds: usize,
    pub(crate) work: Work,
    pub(crate) floor: Work,
}

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Long enough for figures that are the same the next time.
    Full,
    /// Only to see that all is done.
    Quick,
}

/// A figure that was measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) floor_name: &'static str,
    pub(crate) target: Option<f64>,
    /// Seconds for each time.
    pub(crate) work: Quartiles,
    /// Seconds for each time.
    pub(crate) floor: Quartiles,
    /// Of the two in the same round.
    pub(crate) ratio: Quartiles,
}

/// The middle of many values, and between what the middle half of them is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Figure {
    /// The same beside another floor, to look at.
    pub(crate) fn beside(self, floor_name: &'static str, floor: Work) -> Self {
        Self { floor_name, floor, target: None, ..self }
    }

    /// Measures it; an error if the work was not done.
    pub(crate) fn measure(mut self, effort: Effort) -> Result<Outcome> {
        let (rounds, warm_up) = match effort {
            Effort::Full => (self.rounds, self.rounds / 10),
            // Once is enough to see that a work that takes long is done.
            Effort::Quick => (self.rounds.min(5), usize::from(self.rounds > 1)),
        };
        let (mut work, mut floor, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..warm_up + rounds {
            // Neither is always the one that comes after the other.
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
    /// Whether the median ratio is above the target.
    pub(crate) fn falls_short(&self) -> bool {
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

/// Calls `work` so many times, and gives what it gave with the time that all of them took.
pub(crate) fn timed<T>(count: u32, mut work: impl FnMut() -> T) -> (Vec<T>, Duration) {
    let mut results = Vec::with_capacity(count as usize);
    let start = Instant::now();
    for _ in 0..count {
        results.push(work());
    }
    let time = start.elapsed();
    (results, time)
}
