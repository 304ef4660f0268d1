//! Figures of tests, from request to verdict: one test at a time, and many.

use std::cell::RefCell;
use std::error::Error;
use std::process::Child;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::measure::binary::{Binary, Way, passes};
use crate::measure::figure::{Effort, Figure, Work};
use crate::measure::worker::{ARGUMENT, Worker, own};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Number of tests between two readings of the clock.
const BATCH: u32 = 25;

const FLOOR: &str = "the bare calls of a test";

/// Test binary and workers that the figures share.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) binary: Binary,
    pub(crate) effort: Effort,
    floor: Rc<RefCell<Worker>>,
    gone: Rc<RefCell<Worker>>,
}

impl Bench {
    pub(crate) fn new(effort: Effort) -> Result<Self> {
        Ok(Self {
            binary: Binary::build()?,
            effort,
            floor: Rc::new(RefCell::new(Worker::own("tests")?)),
            gone: Rc::new(RefCell::new(Worker::own("gone")?)),
        })
    }

    /// Runs `work`, and waits until the kernel has freed its namespaces, so that the next
    /// measurement does not overlap with that.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = work()?;
        self.until_gone()?;
        Ok(result)
    }

    /// Waits until the kernel has freed all released networks, and returns the time taken.
    pub(crate) fn until_gone(&self) -> Result<Duration> {
        self.gone.borrow_mut().time("all")
    }

    pub(crate) fn rounds(&self, full: usize) -> usize {
        match self.effort {
            Effort::Full => full,
            Effort::Quick => 1,
        }
    }

    /// Returns the floor: tests one after the other, in one process.
    fn bare(&self) -> Work {
        let bench = self.clone();
        Box::new(move |count| bench.alone(|| bench.floor.borrow_mut().time(&count.to_string())))
    }

    /// Compares a test with an empty body with the floor.
    pub(crate) fn one_at_a_time(&self, way: Way) -> Result<Figure> {
        let (name, target) = match way {
            Way::Cold => ("a test with an empty body, cold", Some(1.15)),
            Way::WithSpares => ("a test with an empty body, with spares", None),
        };
        let work = self.asked(self.binary.driver(way)?, "empty");
        Ok(self.figure(name, target, work, 100))
    }

    /// Measures the time that a test adds to a body of 5 ms.
    pub(crate) fn added(&self, way: Way) -> Result<Figure> {
        let (name, target) = match way {
            Way::Cold => ("added to a body of 5 ms, cold", None),
            Way::WithSpares => ("added to a body of 5 ms, with spares", Some(0.33)),
        };
        let mut driver = self.binary.driver(way)?;
        let bench = self.clone();
        let work: Work = Box::new(move |count| {
            let bodies = driver.time(&format!("sleep {count}"))?;
            let all = bench.alone(|| driver.time(&format!("5ms {count}")))?;
            all.checked_sub(bodies).ok_or_else(|| "a test took less than its body".into())
        });
        Ok(self.figure(name, target, work, 40))
    }

    /// Compares a test in a runner with 300 MB of memory with one in a small runner.
    pub(crate) fn large(&self, way: Way) -> Result<Figure> {
        let name = match way {
            Way::Cold => "a test in a runner that has touched 300 MB, cold",
            Way::WithSpares => "a test in a runner that has touched 300 MB, with spares",
        };
        let mut large = self.binary.driver(way)?;
        large.ask("touch 300")?;
        if peak_memory(large.pid())? < 300 << 10 {
            return Err("the runner has not allocated its 300 MB".into());
        }
        let work = self.asked(large, "empty");
        let floor = self.asked(self.binary.driver(way)?, "empty");
        let figure = self.figure(name, Some(1.05), work, 100);
        Ok(Figure { floor_name: "a test in a small runner", floor, ..figure })
    }

    /// Compares many tests on some threads of libtest with the floor in as many processes.
    pub(crate) fn throughput(&self, name: &'static str, threads: u32, way: Way) -> Figure {
        let filters = match self.effort {
            Effort::Full => ["empty::a::", "empty::b::"],
            Effort::Quick => ["empty::a::a::", "empty::a::b::"],
        };
        let bench = self.clone();
        let work: Work = Box::new(move |count| {
            bench.alone(|| {
                let start = Instant::now();
                passes(&mut bench.binary.run(way, threads, &filters), count)?;
                Ok(start.elapsed())
            })
        });
        // A rate of at least 0.9 of the floor's.
        self.many(name, Some(1.11), work, threads)
    }

    /// Compares `work` with the floor in several processes.
    pub(crate) fn many(
        &self,
        name: &'static str,
        target: Option<f64>,
        work: Work,
        processes: u32,
    ) -> Figure {
        Figure {
            name,
            floor_name: "the bare calls, in as many processes",
            target,
            batch: if self.effort == Effort::Full { 200 } else { 20 },
            rounds: self.rounds(15),
            work,
            floor: self.in_processes("tests", processes),
        }
    }

    /// Divides tests of a floor among processes, which are started for it, as a test binary is.
    pub(crate) fn in_processes(&self, what: &'static str, processes: u32) -> Work {
        let bench = self.clone();
        Box::new(move |count| bench.alone(|| in_processes(what, count, processes)))
    }

    /// Compares `work` with the floor in one process.
    pub(crate) fn figure(
        &self,
        name: &'static str,
        target: Option<f64>,
        work: Work,
        rounds: usize,
    ) -> Figure {
        let (floor, rounds) = (self.bare(), self.rounds(rounds));
        Figure {
            name,
            floor_name: FLOOR,
            target,
            batch: if self.effort == Effort::Full { BATCH } else { BATCH / 5 },
            rounds,
            work,
            floor,
        }
    }

    fn asked(&self, mut driver: Worker, what: &'static str) -> Work {
        let bench = self.clone();
        Box::new(move |count| bench.alone(|| driver.time(&format!("{what} {count}"))))
    }
}

/// Runs `count` tests of a floor in several processes, and returns the time.
fn in_processes(what: &str, count: u32, processes: u32) -> Result<Duration> {
    let share = |process: u32| count / processes + u32::from(process < count % processes);
    let start = Instant::now();
    let started: std::io::Result<Vec<Child>> = (0..processes)
        .map(|process| own()?.args([ARGUMENT, what, &share(process).to_string()]).spawn())
        .collect();
    for mut process in started? {
        if !process.wait()?.success() {
            return Err("the bare calls of a test were refused".into());
        }
    }
    Ok(start.elapsed())
}

/// Reads the peak memory of a process, in KiB.
pub(crate) fn peak_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
