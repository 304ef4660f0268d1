//! What the library costs, each figure beside its floor: the kernel's calls that it cannot do
//! without. `cargo run --release -p netns-test-benches` takes a few seconds and fails if a figure is
//! above its target; with `-- --quick` it takes a moment, and fails only on a wrong result.

mod bare;
mod bare_lab;
mod figure;
mod lab;
mod message;
mod netns;
mod table;

use std::process::ExitCode;

use figure::{Effort, Outcome};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Effort::Full,
        ["--quick"] => Effort::Quick,
        _ => {
            eprintln!("usage: netns-test-benches [--quick]");
            return ExitCode::from(2);
        }
    };
    match run(effort) {
        Ok(outcomes) => {
            print!("{}", table::of(&outcomes, effort));
            let is_short = outcomes.iter().any(Outcome::falls_short);
            ExitCode::from(u8::from(is_short && effort == Effort::Full))
        }
        Err(error) => {
            eprintln!("netns-test-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All figures, in a user and a network namespace of this process's own.
fn run(effort: Effort) -> Result<Vec<Outcome>, Box<dyn std::error::Error>> {
    bare::own_namespaces()?;
    let figures = [
        netns::new()?,
        netns::enter()?,
        netns::enter_beside_setns()?,
        netns::enter_from()?,
        lab::build("a host of a lab of 50", 50, Some(1.5), 20),
        lab::build("a host of a lab of 200", 200, None, 7),
        lab::throughput()?,
        lab::round_trip()?,
    ];
    figures.into_iter().map(|figure| figure.measure(effort)).collect()
}
