//! Figures with the second floor, a test with most of the guarantees in plain code: the cost of the
//! guarantees, and that of the library.

use std::error::Error;

use crate::figures::tests::Bench;
use crate::measure::binary::Way;
use crate::measure::figure::{Figure, Work};
use crate::measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PROMISED: &str = "the bare calls with guarantees";

pub(crate) fn figures(bench: &Bench) -> Result<Vec<Figure>> {
    let (cold, spares) = (Way::Cold, Way::WithSpares);
    let promised = || one_after_the_other(bench, "promise");
    let added = || one_after_the_other(bench, "added");
    let of_added = "added by the bare calls with guarantees to 5 ms";
    let of_many = "the bare calls with guarantees, in two processes";
    let many = || bench.in_processes("promise", 2);
    Ok(vec![
        bench.figure(PROMISED, None, promised()?, 100),
        bench.one_at_a_time(cold)?.beside(PROMISED, promised()?),
        bench.figure(of_added, None, added()?, 40),
        bench.added(spares)?.beside(of_added, added()?),
        bench.many(of_many, None, many(), 2),
        bench.throughput("a test of many, 2 threads, cold", 2, cold).beside(of_many, many()),
    ])
}

/// Runs the tests in one process.
fn one_after_the_other(bench: &Bench, what: &str) -> Result<Work> {
    let (mut worker, bench) = (Worker::own(what)?, bench.clone());
    Ok(Box::new(move |count| bench.alone(|| worker.time(&count.to_string()))))
}
