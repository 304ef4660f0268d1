//! Figures of the engine beside a direct veth pair, in one run. To print them:
//! `cargo test --release -p netns-test --lib --no-run`, then
//! `unshare -Urn THAT --ignored --nocapture --test-threads=1 lab::tests::engine::measure`.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan};
use crate::lab::tests::engine::inside::{switches, thread as engine_thread};
use crate::lab::tests::engine::net::{Pair, SERVERS};
use crate::lab::topology::quantity::Probability;

/// Rounds, of which the best counts: other programs of the machine only slow it down.
const ROUNDS: usize = 8;
const TIME: Duration = Duration::from_millis(250);

#[test]
#[ignore = "measures"]
fn throughput_and_round_trips() {
    let (direct, hub) = (Pair::direct(), Pair::over_hub());
    let (engine, slot) = hub.engine(ImpairmentPlan::default());
    let lossy = |loss: u64| {
        // In parts of 10,000.
        let loss = LossPlan::Independent(Probability::from_bits(u64::MAX / 10_000 * loss));
        let plan = ImpairmentPlan { loss, ..ImpairmentPlan::default() };
        engine.with(slot, |link, now, _| link.set(Direction::Forth, plan, now)).unwrap();
    };
    let path = engine_thread().unwrap();
    for (name, pair, loss) in [("direct", &direct, 0), ("engine", &hub, 0), ("0.01 %", &hub, 1)] {
        lossy(loss);
        let best = |measure: &dyn Fn() -> f64| {
            let (before, mut work, mut best) = (run_time(&path), 0.0, 0.0_f64);
            for _ in 0..ROUNDS {
                let rate = measure();
                (work, best) = (work + rate * TIME.as_secs_f64(), best.max(rate));
            }
            (best, work / (run_time(&path) - before))
        };
        let [four, six] = SERVERS.map(|server| best(&|| gigabits(pair, server)));
        if loss > 0 {
            // The other two wait for each answer.
            println!("{name}: Gbit/s over IPv4, IPv6: {four:.2?} {six:.2?}");
            continue;
        }
        let frames = best(&|| frames_a_second(pair));
        let [median, late] = round_trip(pair);
        println!("{name}: Gbit/s over IPv4, IPv6: {four:.2?} {six:.2?}, frames/s {frames:.0?}");
        println!("    (best round, and work in a second of the engine's processor time)");
        println!("    round trip {median:?} (median), {late:?} (p99)");
    }
    println!("{:?}", engine.with(slot, |link, _, _| link.stats()).unwrap());
    println!("{:?}", engine.stop());
}

#[test]
#[ignore = "measures"]
fn delays() {
    let pair = Pair::over_hub();
    let delay = Duration::from_millis(20);
    let (engine, slot) = pair.engine(ImpairmentPlan { delay, ..ImpairmentPlan::default() });
    for loops in [0, 4, 8] {
        let errors = under_load(loops, || errors(&pair, delay));
        let early = errors.iter().filter(|error| **error < 0).count();
        let at = |part: usize| errors[(errors.len() - 1) * part / 100];
        println!(
            "{loops} loops: error {} / {} / {} us (median, p90, p99), {early} early",
            at(50),
            at(90),
            at(99)
        );
    }
    println!("{:?}", engine.with(slot, |link, _, _| link.stats()[0].latest).unwrap());
    println!("{:?}", engine.stop());
}

#[test]
#[ignore = "measures"]
fn idle_time() {
    let pair = Pair::over_hub();
    let (engine, _) = pair.engine(ImpairmentPlan::default());
    thread::sleep(Duration::from_secs(3));
    let path = engine_thread().unwrap();
    let run = || std::fs::read_to_string(format!("{path}/schedstat")).unwrap();
    let before = (run(), switches(&path));
    thread::sleep(Duration::from_secs(5));
    println!("5 s: {before:?} {:?}", (run(), switches(&path)));
    println!("{:?}", engine.stop());
}

/// Returns the processor time of a thread in seconds.
fn run_time(thread: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("{thread}/schedstat")).unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn gigabits(pair: &Pair, server: &str) -> f64 {
    let [mut from, mut to] = pair.tcp(server);
    thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(move || {
            let bytes = vec![0; 64 << 10];
            while start.elapsed() < TIME {
                from.write_all(&bytes).unwrap();
            }
        });
        let (mut total, mut buffer) = (0, vec![0; 256 << 10]);
        loop {
            match to.read(&mut buffer).unwrap() {
                0 => return total as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9,
                length => total += length,
            }
        }
    })
}

/// Sends frames of 64 bytes, at most 128 at once; each 32nd is answered.
fn frames_a_second(pair: &Pair) -> f64 {
    let [near, far] = pair.udp(SERVERS[0]);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut count = 0_u64;
            let mut buffer = [0; 64];
            while far.recv(&mut buffer).unwrap() == 22 {
                count += 1;
                if count % 32 == 0 {
                    far.send(&[0]).unwrap();
                }
            }
        });
        let (start, mut sent, mut acknowledged) = (Instant::now(), 0_u64, 0_u64);
        while start.elapsed() < TIME {
            while sent < acknowledged + 128 {
                near.send(&[0; 22]).unwrap();
                sent += 1;
            }
            near.recv(&mut [0]).unwrap();
            acknowledged += 32;
        }
        let rate = acknowledged as f64 / start.elapsed().as_secs_f64();
        near.send(&[]).unwrap();
        rate
    })
}

/// Returns median and p99.
fn round_trip(pair: &Pair) -> [Duration; 2] {
    let mut times = round_trips(pair, 3000);
    times.sort_unstable();
    [times[1500], times[2970]]
}

/// Returns the errors of round trips with a delay one way, in microseconds, sorted.
fn errors(pair: &Pair, delay: Duration) -> Vec<i64> {
    let error = |time: Duration| time.as_micros() as i64 - delay.as_micros() as i64;
    let mut errors: Vec<i64> = round_trips(pair, 150).into_iter().map(error).collect();
    errors.sort_unstable();
    errors
}

/// Returns the times of round trips of datagrams, one after the other.
fn round_trips(pair: &Pair, count: usize) -> Vec<Duration> {
    let [near, far] = pair.udp(SERVERS[0]);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = [0; 64];
            while far.recv(&mut buffer).unwrap() == 22 {
                far.send(&[0; 22]).unwrap();
            }
        });
        let once = |_| {
            let start = Instant::now();
            near.send(&[0; 22]).unwrap();
            near.recv(&mut [0; 22]).unwrap();
            start.elapsed()
        };
        let times = (0..count).map(once).collect();
        near.send(&[]).unwrap();
        times
    })
}

fn under_load<T>(loops: usize, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..loops {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}
