//! Figures of many tests in one binary: the cost of the last compared with the first, memory and
//! descriptors, and the growth of the cost with their number.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::figures::tests::{Bench, peak_memory};
use crate::measure::binary::{Way, passes};
use crate::measure::figure::{Effort, Figure, Work};
use crate::measure::leaks;
use crate::measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const COUNT: u32 = 1000;

/// Number of tests at each end that are compared.
const PART: u32 = 100;

/// Greatest growth of the server's descriptors over many tests; their number varies with the
/// spares.
const MORE_DESCRIPTORS: usize = 64;

/// Compares the last hundred of a thousand tests with the first hundred, in the same runner.
pub(crate) fn last_beside_first(bench: &Bench, way: Way) -> Figure {
    let name = match way {
        Way::Cold => "the last hundred of a thousand tests, cold",
        Way::WithSpares => "the last hundred of a thousand tests, with spares",
    };
    // One run yields both times. The first of the two that is asked makes the run.
    let times = Rc::new(RefCell::new([VecDeque::new(), VecDeque::new()]));
    let (count, rounds) = match bench.effort {
        Effort::Full => (COUNT, 11),
        Effort::Quick => (2 * PART, 1),
    };
    let part = |index: usize| -> Work {
        let (bench, times) = (bench.clone(), Rc::clone(&times));
        Box::new(move |_| {
            let mut times = times.borrow_mut();
            if times[index].is_empty() {
                let each = bench.alone(|| {
                    let mut driver = bench.binary.driver(way)?;
                    let each = driver.ask(&format!("each {count}"))?;
                    driver.end()?;
                    Ok(each)
                })?;
                let part = PART as usize;
                times[0].push_back(sum(&each[..part]));
                times[1].push_back(sum(&each[each.len() - part..]));
            }
            times[index].pop_front().ok_or_else(|| "the run has no times".into())
        })
    };
    Figure {
        name,
        floor_name: "the first hundred",
        target: Some(1.1),
        batch: PART,
        rounds,
        work: part(1),
        floor: part(0),
    }
}

/// Measures time, memory and descriptors of a thousand tests, and checks that they leave nothing.
/// Returns a table.
pub(crate) fn needs(bench: &Bench) -> Result<String> {
    let mut text = String::from(
        "| a thousand tests, 2 threads | wall time | peak memory of the runner | of the server | their \
         descriptors before and after | left |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, way) in [("cold", Way::Cold), ("with spares", Way::WithSpares)] {
        let (count, filter) = match bench.effort {
            Effort::Full => (COUNT, "empty::"),
            Effort::Quick => (COUNT / 10, "empty::a::"),
        };
        let start = Instant::now();
        passes(&mut bench.binary.run(way, 2, &[filter]), count)?;
        let wall = start.elapsed().as_millis();
        bench.until_gone()?;
        let Needs { runner, server, before, after } = watch(bench, way, count)?;
        // An error if anything is left.
        leaks::none(&bench.binary, way, filter, count)?;
        let [runner, server] = [runner, server].map(mebibytes);
        text += &format!(
            "| {count} tests, {name} | {wall} ms | {runner} | {server} | {before:?}, {after:?} | no process, \
             no namespace |\n",
        );
    }
    Ok(text)
}

/// Peak memory of runner and server, in KiB, and their descriptors before and after the tests.
struct Needs {
    runner: u64,
    server: u64,
    before: [usize; 2],
    after: [usize; 2],
}

fn watch(bench: &Bench, way: Way, count: u32) -> Result<Needs> {
    let mut driver = bench.binary.driver(way)?;
    driver.ask("each 10")?;
    let server = server_of(&driver)?;
    let both = [driver.pid(), server];
    let before = [descriptors(both[0])?, descriptors(both[1])?];
    driver.ask(&format!("each {count}"))?;
    let after = [descriptors(both[0])?, descriptors(both[1])?];
    let needs =
        Needs { runner: peak_memory(both[0])?, server: peak_memory(both[1])?, before, after };
    driver.end()?;
    if fs::metadata(format!("/proc/{server}")).is_ok() {
        return Err("the server has not ended with the runner".into());
    }
    if after[0] > before[0] || after[1] > before[1] + MORE_DESCRIPTORS {
        return Err(format!("leaked descriptors: {before:?} before, {after:?} after").into());
    }
    Ok(needs)
}

/// Prints a table of the cost for growing numbers of tests, one after the other.
pub(crate) fn growth(bench: &Bench) -> Result<()> {
    println!(
        "| tests | each, cold | each, with spares | bare calls | memory of runner and server | freed \
         after (cold, spares, bare) |\n| --- | --- | --- | --- | --- | --- |",
    );
    for count in [1, 10, 100, 1000, 10_000] {
        let [cold, spares] = [Way::Cold, Way::WithSpares].map(|way| grown(bench, way, count));
        let (cold, spares) = (cold?, spares?);
        let mut floor = Worker::own("tests")?;
        let bare = floor.time(&count.to_string())?;
        floor.end()?;
        let bare = Grown { time: bare / count, memory: [0; 2], gone: bench.until_gone()? };
        let each =
            [&cold, &spares, &bare].map(|one| format!("{:.2} ms", one.time.as_secs_f64() * 1e3));
        let gone = [&cold, &spares, &bare].map(|one| one.gone.as_millis());
        let [runner, server] = spares.memory.map(mebibytes);
        let [each_cold, each_spares, each_bare] = each;
        println!(
            "| {count} | {each_cold} | {each_spares} | {each_bare} | {runner}, {server} | {gone:?} ms |"
        );
    }
    println!();
    Ok(())
}

struct Grown {
    time: Duration,
    memory: [u64; 2],
    gone: Duration,
}

fn grown(bench: &Bench, way: Way, count: u32) -> Result<Grown> {
    let mut driver = bench.binary.driver(way)?;
    let each = driver.ask(&format!("each {count}"))?;
    let memory = [peak_memory(driver.pid())?, peak_memory(server_of(&driver)?)?];
    driver.end()?;
    Ok(Grown { time: sum(&each) / count, memory, gone: bench.until_gone()? })
}

fn sum(nanoseconds: &[u64]) -> Duration {
    Duration::from_nanos(nanoseconds.iter().sum())
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{}.{} MiB", kibibytes / 1024, kibibytes % 1024 * 10 / 1024)
}

/// Returns the only child of an idle runner.
fn server_of(runner: &Worker) -> Result<u32> {
    let parent = format!("\nPPid:\t{}\n", runner.pid());
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may have ended.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.contains(&parent) {
            return Ok(pid);
        }
    }
    Err("the runner has no server".into())
}

fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
