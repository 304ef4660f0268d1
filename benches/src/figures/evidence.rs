//! Figures of evidence: what tests that pass pay for it, and how long a test that panics takes to
//! its end.

use std::error::Error;
use std::time::Duration;

use crate::figures::tests::Bench;
use crate::measure::binary::{Way, passes};
use crate::measure::figure::{Figure, Work};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longest time from a panic to the end of its test.
const TO_THE_END: Duration = Duration::from_millis(300);

/// Returns the figures.
pub(crate) fn figures(bench: &Bench) -> Result<Vec<Figure>> {
    Ok(vec![
        passing(bench, "processor time of a test, empty", 1.02, ("empty::a::", 100)),
        passing(bench, "processor time of a test, lab of 2", 1.05, ("labs::", 20)),
        panicking(bench, "from a panic to the end, lab of 2", "panic2", 40)?,
        panicking(bench, "from a panic to the end, lab of 200", "panic200", 10)?,
    ])
}

/// Compares tests that pass with the same ones without evidence.
fn passing(
    bench: &Bench,
    name: &'static str,
    target: f64,
    (filter, batch): (&'static str, u32),
) -> Figure {
    let run = |report: &'static str| -> Work {
        let bench = bench.clone();
        Box::new(move |count| {
            bench.alone(|| {
                let before = processor_time()?;
                let mut command = bench.binary.run(Way::Cold, 1, &[filter]);
                passes(command.env("NETNS_TEST_REPORT", report), count)?;
                Ok(processor_time()?.saturating_sub(before))
            })
        })
    };
    Figure {
        name,
        floor_name: "without evidence",
        target: Some(target),
        batch,
        rounds: bench.rounds(40),
        work: run("full"),
        floor: run("off"),
    }
}

/// Compares the time from a panic to the end of its test with the limit.
fn panicking(
    bench: &Bench,
    name: &'static str,
    request: &'static str,
    rounds: usize,
) -> Result<Figure> {
    let mut driver = bench.binary.driver(Way::Cold)?;
    let bench = bench.clone();
    let rounds = bench.rounds(rounds);
    let work: Work = Box::new(move |_| bench.alone(|| driver.time(request)));
    Ok(within(name, ("300 ms, the limit", TO_THE_END), (1, rounds), work))
}

/// Compares `work` with the longest time that it may take, for each of `batch` things.
pub(crate) fn within(
    name: &'static str,
    (floor_name, limit): (&'static str, Duration),
    (batch, rounds): (u32, usize),
    work: Work,
) -> Figure {
    let floor: Work = Box::new(move |count| Ok(limit * count));
    Figure { name, floor_name, target: Some(1.0), batch, rounds, work, floor }
}

/// Returns the processor time of all processes that this one, and those, have waited for.
fn processor_time() -> Result<Duration> {
    // SAFETY: zero bytes are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let of = |time: libc::timeval| -> Result<Duration> {
        let (seconds, micros) = (u64::try_from(time.tv_sec)?, u64::try_from(time.tv_usec)?);
        Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
    };
    Ok(of(usage.ru_utime)? + of(usage.ru_stime)?)
}
