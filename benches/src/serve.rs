//! This program as a worker that runs the floors, on request or once.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::floor::promise::Floor;
use crate::floor::{calls, lab, test};
use crate::measure::leaks;
use crate::measure::worker::{ANSWER, ARGUMENT};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs this program as a worker, if `arguments` begin with [`ARGUMENT`].
pub(crate) fn main(arguments: &[&str]) -> Option<Result<()>> {
    match arguments {
        [ARGUMENT, "tests"] => Some(serve(|line| Ok(test::tests(line.parse()?)?))),
        [ARGUMENT, "promise"] => Some(serve_by(Floor::of_empty_tests())),
        [ARGUMENT, "added"] => Some(serve_by(Floor::of_sleeping_tests())),
        [ARGUMENT, "gone"] => Some(calls::own_namespaces().map_err(Into::into).and_then(|()| {
            serve(|_| {
                let start = std::time::Instant::now();
                lab::wait_until_all_are_gone()?;
                Ok(start.elapsed())
            })
        })),
        // Without requests, to start and end as a test binary does.
        [ARGUMENT, "tests", count] => Some(once(count, test::tests)),
        [ARGUMENT, "promise", count] => Some(once(count, |count| {
            let floor = Floor::of_empty_tests()?;
            let time = floor.time(count)?;
            floor.end().map(|()| time)
        })),
        [ARGUMENT, "leaks", count, program, arguments @ ..] => {
            Some(leaks::main(count, program, arguments))
        }
        _ => None,
    }
}

fn serve_by(floor: io::Result<Floor>) -> Result<()> {
    let floor = floor?;
    serve(|line| Ok(floor.time(line.parse()?)?))?;
    Ok(floor.end()?)
}

fn once(count: &str, work: fn(u32) -> io::Result<Duration>) -> Result<()> {
    Ok(work(count.parse()?).map(drop)?)
}

/// Answers each line with the duration of its work, in nanoseconds.
fn serve(mut work: impl FnMut(&str) -> Result<Duration>) -> Result<()> {
    for line in io::stdin().lines() {
        let time = work(&line?)?;
        println!("{ANSWER}{}", time.as_nanos());
    }
    Ok(())
}
