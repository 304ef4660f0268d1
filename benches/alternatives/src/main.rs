//! Compares this library with other crates: the same two hundred tests, in turns, in the same run.
//! `cargo run --release` in this directory takes some minutes. With `-- --cold` each sandbox is
//! made when a test asks for it. `-- --quick` measures few rounds and checks no target. Names of
//! crates select these.
//!
//! A crate that forks in a program with threads may hang or crash. Such a run is killed, reported,
//! and repeated.

#[path = "../../src/measure/figure.rs"]
#[expect(dead_code, reason = "the benchmark of the library uses more of it")]
mod figure;
#[path = "../../src/measure/table.rs"]
mod table;

use std::error::Error;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use figure::{Effort, Figure, Work};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const COUNT: u32 = 200;

const ROUNDS: usize = 7;

/// Number of rounds with `--quick`.
const QUICK_ROUNDS: usize = 2;

/// Time limit of a run, in seconds.
const LIMIT: &str = "30";

/// Number of attempts for a run that fails.
const MAX_ATTEMPTS: usize = 5;

/// SIGKILL, which ends a run at its limit.
const KILLED: i32 = 9;

/// Crates that isolate the network. The target is not to be slower than these.
const ISOLATING: [&str; 3] = ["gateflow", "netsim", NEXTEST];

/// Crates with a process for each test, and without namespaces.
const OTHERS: [&str; 2] = ["test_fork", "rusty_fork"];

/// Plain tests, run by nextest with this runner.
const NEXTEST: &str = "unshare -Urn, nextest";

fn main() -> Result<()> {
    let (mut is_cold, mut effort, mut wanted) = (false, Effort::Full, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--cold" => is_cold = true,
            "--quick" => effort = Effort::Quick,
            name if ISOLATING.contains(&name) || OTHERS.contains(&name) => {
                wanted.push(argument);
            }
            _ => return Err("usage: netns-test-alternatives [--quick] [--cold] [NAME]...".into()),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|other| other == name);
    let tests = Tests { way: if is_cold { Some("0") } else { None } };
    let built = tests.cargo(&["test", "--no-run", "--release", "--tests"]).status()?;
    if !built.success() {
        return Err("the tests cannot be built".into());
    }
    println!("our tests {}\n", if is_cold { "cold" } else { "with spares" });
    let rounds = if effort == Effort::Full { ROUNDS } else { QUICK_ROUNDS };
    let mut figures = Vec::new();
    let others = ISOLATING.into_iter().chain(OTHERS);
    for other in others.filter(|other| is_wanted(other) && tests.is_there(other)) {
        let is_isolating = ISOLATING.contains(&other);
        for (threads, name) in
            [(1, "1 thread"), (2, "2 threads"), (4, "4 threads"), (16, "16 threads")]
        {
            let name = leak(format!("a test with an empty body, {name}"));
            let target = is_isolating.then_some(1.0);
            let time = move |who| tests.time_of("empty", who, threads);
            figures.push(figure(name, other, target, rounds, time));
        }
        let name = "what is added to a body of 5 ms, 1 thread";
        let target = is_isolating.then_some(0.5);
        let added = move |who| {
            let all = tests.time_of("five_ms", who, 1)?;
            let bodies = tests.time_of("five_ms", "plain", 1)?;
            all.checked_sub(bodies).ok_or_else(|| "it took less than the bodies".into())
        };
        figures.push(figure(name, other, target, rounds, added));
    }
    println!("{}", table::HEAD);
    let (mut is_missed, mut is_wrong) = (false, false);
    for figure in figures {
        // The others are measured after an error.
        let (name, other) = (figure.name, figure.floor_name);
        match figure.measure(effort) {
            Ok(outcome) => {
                println!("{}", table::row(&outcome, effort));
                is_missed |= outcome.misses_target();
            }
            Err(error) => {
                eprintln!("measure {name}, compared with {other}: {error}");
                is_wrong = true;
            }
        }
    }
    std::process::exit(i32::from(is_wrong || is_missed && effort == Effort::Full));
}

/// Returns a figure that compares this library with another crate.
fn figure(
    name: &'static str,
    other: &'static str,
    target: Option<f64>,
    rounds: usize,
    time: impl Fn(&'static str) -> Result<Duration> + Copy + 'static,
) -> Figure {
    let work: Work = Box::new(move |_| time("ours"));
    let floor: Work = Box::new(move |_| time(other));
    Figure { name, floor_name: other, target, batch: COUNT, rounds, work, floor }
}

/// The tests, and the variable with which they run.
#[derive(Clone, Copy)]
struct Tests {
    /// Number of spares, if set.
    way: Option<&'static str>,
}

impl Tests {
    /// Returns the time of all tests of a module with the crate `who`.
    fn time_of(self, module: &str, who: &str, threads: u32) -> Result<Duration> {
        if who == NEXTEST {
            return self.nextest(module, threads);
        }
        // `timeout` kills its process group, with all that the run has forked.
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", LIMIT]).arg(binary(who)?);
        command.args([&format!("{module}::"), &format!("--test-threads={threads}")]);
        self.set_way(&mut command);
        for _ in 0..MAX_ATTEMPTS {
            let start = Instant::now();
            let output = command.output()?;
            let time = start.elapsed();
            if who == "ours" || output.status.success() {
                passed(&output, &format!("test result: ok. {COUNT} passed; 0 failed;"))?;
                return Ok(time);
            }
            let hung = output.status.signal() == Some(KILLED);
            let end = if hung { "it hung".into() } else { output.status.to_string() };
            eprintln!("{who}: {module}, {threads} threads: {end}; repeated");
        }
        Err(format!("{who} failed {MAX_ATTEMPTS} times").into())
    }

    /// Returns the time that nextest reports, which excludes its start.
    fn nextest(self, module: &str, threads: u32) -> Result<Duration> {
        let mut command =
            self.cargo(&["nextest", "run", "--release", "--test", "plain", "--color=never"]);
        command.args(["-j", &threads.to_string(), &format!("{module}::")]);
        command.env(runner_variable()?, "unshare -Urn");
        let output = command.output()?;
        passed(&output, &format!("{COUNT} tests run: {COUNT} passed"))?;
        let text = String::from_utf8_lossy(&output.stderr);
        let summary = text.lines().find_map(|line| line.trim().strip_prefix("Summary ["));
        let seconds =
            summary.and_then(|line| line.split('s').next()).ok_or("nextest printed no time")?;
        Ok(Duration::from_secs_f64(seconds.trim().parse()?))
    }

    fn is_there(self, other: &str) -> bool {
        if other != NEXTEST {
            return true;
        }
        let version = self.cargo(&["nextest", "--version"]).output();
        let is_there = version.is_ok_and(|output| output.status.success());
        if !is_there {
            println!("left out: {NEXTEST}: cargo-nextest is not installed");
        }
        is_there
    }

    fn cargo(self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
        self.set_way(&mut command);
        command
    }

    fn set_way(self, command: &mut Command) {
        match self.way {
            Some(way) => command.env("NETNS_TEST_SPARES", way),
            None => command.env_remove("NETNS_TEST_SPARES"),
        };
    }
}

/// Returns the newest test binary of this name in the target directory of this program.
fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().ok_or("no directory")?.join("deps");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_it =
            file.rsplit_once('-').is_some_and(|(stem, hash)| stem == name && !hash.contains('.'));
        if is_it {
            found.push((path.metadata()?.modified()?, path));
        }
    }
    Ok(found.into_iter().max().ok_or_else(|| format!("no test binary {name}"))?.1)
}

fn passed(output: &Output, expected: &str) -> Result<()> {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if output.status.success() && text.contains(expected) {
        return Ok(());
    }
    Err(format!("no {expected:?} in\n{text}").into())
}

/// Returns the name of the variable for the runner of the host target.
fn runner_variable() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("no host")?;
    Ok(format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_")))
}

fn leak(text: String) -> &'static str {
    text.leak()
}
