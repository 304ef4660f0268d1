//! Measures the cost of the library. Each figure is compared with a floor: the bare system calls
//! for the same work. `cargo run --release -p netns-test-benches` takes some minutes and fails if a
//! figure misses its target. With `-- --quick` it takes a few seconds and fails only on a wrong
//! result. Further arguments select groups.

mod figures;
mod floor;
mod measure;
mod serve;

use std::error::Error;
use std::process::ExitCode;

use figures::tests::Bench;
use figures::{evidence, lab, links, netns, output, promises, size, snapshot, takedown, thousand};
use measure::binary::{Binary, Way};
use measure::figure::{Effort, Figure};
use measure::table;
use measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Names of the groups, in the order in which they are measured.
const GROUPS: [&str; 12] = [
    "build", "tests", "promises", "output", "thousand", "growth", "takedown", "netns", "lab",
    "links", "snapshot", "evidence",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(result) = serve::main(&arguments) {
        return code(result.map(|()| true));
    }
    let (effort, groups) = match arguments[..] {
        ["--quick", ref groups @ ..] => (Effort::Quick, groups),
        ref groups => (Effort::Full, groups),
    };
    if groups.iter().any(|group| !GROUPS.contains(group)) {
        eprintln!("usage: netns-test-benches [--quick] [{}]...", GROUPS.join(" | "));
        return ExitCode::from(2);
    }
    let is_wanted = |group: &str| match groups {
        // These check nothing and take long.
        [] if effort == Effort::Quick => !["build", "growth", "takedown"].contains(&group),
        [] => true,
        _ => groups.contains(&group),
    };
    code(run(effort, is_wanted).map(|is_missed| effort == Effort::Quick || !is_missed))
}

fn code(result: Result<bool>) -> ExitCode {
    match result {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(error) => {
            eprintln!("netns-test-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints the groups. Returns whether a figure misses its target.
fn run(effort: Effort, is_wanted: impl Fn(&str) -> bool) -> Result<bool> {
    println!("{}", takedown::machine()?);
    if is_wanted("build") {
        println!("{}", size::of_builds()?);
    }
    let (mut is_missed, mut links_miss) = (false, false);
    let mut measure = |figures: Vec<Figure>| -> Result<()> {
        println!("{}", table::HEAD);
        for figure in figures {
            let outcome = figure.measure(effort)?;
            println!("{}", table::row(&outcome, effort));
            is_missed |= outcome.misses_target();
        }
        println!();
        Ok(())
    };
    of_binaries(effort, &is_wanted, &mut measure)?;
    let driver = is_wanted("links").then(|| Binary::build()?.driver(Way::Cold)).transpose()?;
    // The other groups run in namespaces of this process.
    floor::calls::own_namespaces()?;
    if is_wanted("takedown") {
        println!("{}", takedown::figures()?);
    }
    if is_wanted("netns") {
        measure(of_handles()?)?;
    }
    if is_wanted("lab") {
        measure(of_labs()?)?;
    }
    if let Some(driver) = driver {
        links_miss = of_links(effort, driver)?;
    }
    if is_wanted("snapshot") {
        measure(snapshot::figures()?)?;
    }
    Ok(is_missed || links_miss)
}

fn of_handles() -> Result<Vec<Figure>> {
    Ok(vec![netns::new()?, netns::enter()?, netns::enter_beside_setns()?, netns::enter_from()?])
}

/// Measures and prints the figures of links. Returns whether one misses its target.
fn of_links(effort: Effort, driver: Worker) -> Result<bool> {
    let (table, is_missed) = links::figures(effort, driver)?;
    println!("{table}");
    Ok(is_missed)
}

/// Measures the groups that run a test binary of their own.
fn of_binaries(
    effort: Effort,
    is_wanted: &impl Fn(&str) -> bool,
    measure: &mut impl FnMut(Vec<Figure>) -> Result<()>,
) -> Result<()> {
    const OF_BINARIES: [&str; 6] =
        ["tests", "promises", "output", "thousand", "growth", "evidence"];
    if !OF_BINARIES.into_iter().any(is_wanted) {
        return Ok(());
    }
    let bench = Bench::new(effort)?;
    if is_wanted("tests") {
        measure(one_test(&bench)?)?;
        measure(many_tests(&bench))?;
    }
    if is_wanted("promises") {
        measure(promises::figures(&bench)?)?;
    }
    if is_wanted("output") {
        measure(vec![output::captured(&bench)?])?;
    }
    if is_wanted("thousand") {
        let ways = [Way::Cold, Way::WithSpares];
        measure(ways.map(|way| thousand::last_beside_first(&bench, way)).into())?;
        println!("{}", thousand::needs(&bench)?);
    }
    if is_wanted("evidence") {
        measure(evidence::figures(&bench)?)?;
    }
    if is_wanted("growth") {
        thousand::growth(&bench)?;
    }
    Ok(())
}

fn of_labs() -> Result<Vec<Figure>> {
    Ok(vec![
        lab::build("a host of a lab of 50", 50, Some(1.5), 20),
        lab::build("a host of a lab of 200", 200, None, 7),
        lab::throughput()?,
        lab::round_trip()?,
    ])
}

fn one_test(bench: &Bench) -> Result<Vec<Figure>> {
    let (cold, spares) = (Way::Cold, Way::WithSpares);
    Ok(vec![
        bench.one_at_a_time(cold)?,
        bench.one_at_a_time(spares)?,
        bench.added(cold)?,
        bench.added(spares)?,
        bench.large(cold)?,
        bench.large(spares)?,
    ])
}

fn many_tests(bench: &Bench) -> Vec<Figure> {
    let (cold, spares) = (Way::Cold, Way::WithSpares);
    vec![
        bench.throughput("a test of many, 1 thread, cold", 1, cold),
        bench.throughput("a test of many, 1 thread, with spares", 1, spares),
        bench.throughput("a test of many, 2 threads, cold", 2, cold),
        bench.throughput("a test of many, 2 threads, with spares", 2, spares),
        bench.throughput("a test of many, 4 threads, cold", 4, cold),
        bench.throughput("a test of many, 4 threads, with spares", 4, spares),
        bench.throughput("a test of many, 16 threads, cold", 16, cold),
        bench.throughput("a test of many, 16 threads, with spares", 16, spares),
    ]
}
