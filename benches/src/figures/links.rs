//! Figures of links that can be impaired, beside direct ones in labs of the same run: throughput,
//! round trips, delays, and what they add to a build and to the end of a test. Their targets are
//! times and rates, not only ratios.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netns_test::lab::Impairment;
use netns_test::{Lab, NodeId, Topology};

use crate::floor::calls::check;
use crate::floor::lab::wait_until_all_are_gone;
use crate::floor::relay;
use crate::measure::figure::Effort;
use crate::measure::worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Time of one measurement of a rate.
const TIME: Duration = Duration::from_millis(200);
/// Bytes of a datagram in a frame of 64 bytes.
const SHORT: [u8; 22] = [7; 22];
/// Datagrams that are on their way at once, at most, and those that one answer stands for.
const WINDOW: u64 = 128;
const ANSWERED: u64 = 32;
/// Links that are used at once.
const MANY: usize = 100;

/// A figure with what it was to be.
struct Row {
    name: &'static str,
    engine: String,
    direct: String,
    value: String,
    target: &'static str,
    is_met: Option<bool>,
}

/// A lab of two hosts with one link.
struct Line {
    lab: Lab,
    near: NodeId,
    far: NodeId,
}

/// Measures all figures. `driver` runs tests. Returns the table, and whether a target was missed.
pub(crate) fn figures(effort: Effort, driver: Worker) -> Result<(String, bool)> {
    let rounds = if effort == Effort::Full { 15 } else { 2 };
    let of = |name: &'static str| move |error| format!("{name}: {error}");
    let mut rows = throughput(rounds).map_err(of("throughput"))?;
    rows.push(frames(rounds).map_err(of("frames"))?);
    rows.extend(round_trip(rounds).map_err(of("round trips"))?);
    rows.extend(delays(effort).map_err(of("delays"))?);
    let of_builds = if effort == Effort::Full { 15 } else { 1 };
    rows.extend(builds(of_builds).map_err(of("builds"))?);
    rows.push(ends(of_builds, driver).map_err(of("ends of tests"))?);
    rows.push(idle(effort).map_err(of("idle time"))?);
    rows.push(many().map_err(of("many links"))?);
    let mut text = "| figure | impairable link | direct link | value | target | |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for Row { name, engine, direct, value, target, is_met } in &rows {
        let word = is_met.map_or("", |is_met| if is_met { "pass" } else { "misses" });
        text += &format!("| {name} | {engine} | {direct} | {value} | {target} | {word} |\n");
    }
    Ok((text, rows.iter().any(|row| row.is_met == Some(false))))
}

fn throughput(rounds: usize) -> Result<Vec<Row>> {
    let [engine, lossy, direct] = [line(Some("0%"))?, line(Some("0.01%"))?, line(None)?];
    let [mut ours, mut bad, mut bare] = [engine.tcp()?, lossy.tcp()?, direct.tcp()?];
    let (mut of_engine, mut of_lossy, mut of_direct) = (Vec::new(), Vec::new(), Vec::new());
    let mut costs = [(); 3].map(|()| Vec::new());
    for _ in 0..rounds {
        of_engine.push(rate(&mut ours, &mut costs[0])?);
        of_direct.push(rate(&mut bare, &mut costs[2])?);
        of_lossy.push(rate(&mut bad, &mut costs[1])?);
    }
    let lost = lossy.lab.links().next().ok_or("no link")?.stats()?.from[0].lost;
    if lost == 0 {
        return Err("the link has lost nothing".into());
    }
    let row = |name, rates: &[f64]| {
        let ratio = median(rates.iter().zip(&of_direct).map(|(ours, bare)| ours / bare));
        Row {
            name,
            engine: format!("{:.2} Gbit/s", median(rates.iter().copied())),
            direct: format!("{:.2} Gbit/s", median(of_direct.iter().copied())),
            value: format!("{ratio:.2} ×"),
            target: "≥ 0.9 ×",
            is_met: Some(ratio >= 0.9),
        }
    };
    let least = costs.map(|costs| costs.into_iter().fold(f64::MAX, f64::min));
    let cost = |name, at: usize| Row {
        name,
        engine: format!("{:.0} ms", least[at] * 1e3),
        direct: format!("{:.0} ms", least[2] * 1e3),
        value: format!("{:.2} ×", least[at] / least[2]),
        target: "",
        is_met: None,
    };
    Ok(vec![
        row("TCP, one connection", &of_engine),
        row("TCP with 0.01 % loss", &of_lossy),
        cost("processor time of a GB of TCP, best round", 0),
        cost("the same with 0.01 % loss", 1),
    ])
}

fn frames(rounds: usize) -> Result<Row> {
    let [engine, direct] = [line(Some("0%"))?, line(None)?];
    let [ours, bare] = [engine.udp()?, direct.udp()?];
    let (mut of_engine, mut of_direct) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_engine.push(frame_rate(&ours)?);
        of_direct.push(frame_rate(&bare)?);
    }
    let value = median(of_engine.iter().copied());
    Ok(Row {
        name: "frames of 64 bytes, 128 at once",
        engine: format!("{value:.0} /s"),
        direct: format!("{:.0} /s", median(of_direct.iter().copied())),
        value: format!("best round {:.0} /s", of_engine.iter().copied().fold(0.0, f64::max)),
        target: "≥ 150000 /s",
        is_met: Some(value >= 150_000.0),
    })
}

/// Measures round trips, and as a floor those over a relay of sockets.
fn round_trip(rounds: usize) -> Result<Vec<Row>> {
    let [engine, direct] = [line(Some("0%"))?, line(None)?];
    let [ours, bare] = [engine.udp()?, direct.udp()?];
    let mut all = [(); 4].map(|()| Vec::new());
    for _ in 0..rounds {
        let times = [
            round_trips(&ours, 500)?,
            round_trips(&bare, 500)?,
            relay::round_trips(true, 500)?,
            relay::round_trips(false, 500)?,
        ];
        for (all, times) in all.iter_mut().zip(times) {
            all.push(median(times.into_iter()));
        }
    }
    let added = |at: usize| median(all[at].iter().zip(&all[at + 1]).map(|(one, two)| one - two));
    let (added, floor) = (added(0), added(2));
    let [ours, bare, relayed, paired] = all.map(|times| micros(median(times.into_iter())));
    Ok(vec![
        Row {
            name: "a round trip, idle",
            engine: ours,
            direct: bare,
            value: format!("+ {}, {:.2} × the floor", micros(added), added / floor),
            target: "≤ + 20 µs, or 1.25 × the floor",
            is_met: Some(added <= 20e-6 || added <= 1.25 * floor),
        },
        Row {
            name: "its floor: pairs of sockets, a thread passes on",
            engine: relayed,
            direct: paired,
            value: format!("+ {}", micros(floor)),
            target: "",
            is_met: None,
        },
    ])
}

/// Measures the delay of one direction. The lateness is beside round trips without delay at the
/// same distances, over the same engine.
fn delays(effort: Effort) -> Result<Vec<Row>> {
    let delay = Duration::from_millis(20);
    let (count, loads) = match effort {
        Effort::Full => (100, &[0, 4][..]),
        Effort::Quick => (5, &[0][..]),
    };
    let mut rows = Vec::new();
    for &loops in loads {
        let slow = line(Some("0%"))?;
        let link = slow.lab.links().next().ok_or("no link")?;
        link.set_impairment_from(slow.near, Impairment::new().delay(delay))?;
        let sockets = slow.udp()?;
        // The first one waits for an Ethernet address.
        round_trips(&sockets, 1)?;
        let times = under_load(loops, || round_trips(&sockets, count))?;
        let late: Vec<f64> = times.iter().map(|time| time - delay.as_secs_f64()).collect();
        if late.iter().any(|late| *late < 0.0) {
            return Err("a frame came too early".into());
        }
        let half = median(late.iter().copied());
        let most = late.iter().copied().fold(0.0, f64::max);
        rows.push(Row {
            name: if loops == 0 {
                "a delay of 20 ms: late by"
            } else {
                "the same beside 4 busy loops"
            },
            engine: micros(half),
            direct: String::new(),
            value: format!("never early; at most {}", micros(most)),
            target: if loops == 0 { "≤ 500 µs" } else { "" },
            is_met: (loops == 0).then_some(half <= 500e-6),
        });
    }
    Ok(rows)
}

/// Measures what the links add to the time of a build, and of the end of the lab.
fn builds(rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, hosts, target) in [
        ("a link, in the build of a lab of 50 hosts", 50, Some(600e-6)),
        ("the only link of a lab, in its build", 1, None),
    ] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (is_engine, times) in [(true, &mut ours), (false, &mut bare)] {
                let net = star(hosts, is_engine);
                let start = Instant::now();
                let lab = net.build()?;
                times.push(start.elapsed().as_secs_f64() / hosts as f64);
                drop(lab);
                wait_until_all_are_gone()?;
            }
        }
        let added = median(ours.iter().zip(&bare).map(|(ours, bare)| ours - bare));
        rows.push(Row {
            name,
            engine: micros(median(ours.iter().copied())),
            direct: micros(median(bare.iter().copied())),
            value: format!("+ {}", micros(added)),
            target: if target.is_some() { "≤ + 600 µs" } else { "" },
            is_met: target.map(|target| added <= target),
        });
    }
    Ok(rows)
}

/// Measures what the only link of a lab adds to the time from the end of a test's body to its
/// verdict.
fn ends(rounds: usize, mut driver: Worker) -> Result<Row> {
    let [mut ours, mut bare] = [(); 2].map(|()| Vec::new());
    for _ in 0..rounds {
        for (request, times) in [("ends-impairable 1", &mut ours), ("ends-direct 1", &mut bare)] {
            times.push(driver.time(request)?.as_secs_f64());
            // The kernel frees the networks of a test after its end.
            thread::sleep(Duration::from_millis(200));
        }
    }
    driver.end()?;
    let added = median(ours.iter().zip(&bare).map(|(ours, bare)| ours - bare));
    Ok(Row {
        name: "the end of a test, with the only link of a lab",
        engine: micros(median(ours.into_iter())),
        direct: micros(median(bare.into_iter())),
        value: format!("+ {}", micros(added)),
        target: "≤ + 1000 µs",
        is_met: Some(added <= 1e-3),
    })
}

/// Measures the processor time of an engine while nothing is sent.
fn idle(effort: Effort) -> Result<Row> {
    let quiet = line(Some("0%"))?;
    round_trips(&quiet.udp()?, 1)?;
    let thread = engines()?.pop().ok_or("no engine")?;
    // The first packets of a network are the kernel's own.
    let second = Duration::from_secs(1);
    thread::sleep(if effort == Effort::Full { 5 * second } else { second });
    let before = run_time(&thread)?;
    thread::sleep(second);
    let spent = run_time(&thread)? - before;
    Ok(Row {
        name: "an idle engine, in a second",
        engine: micros(spent),
        direct: String::new(),
        value: String::new(),
        target: "≤ 1000 µs",
        is_met: Some(spent <= 1e-3),
    })
}

/// Uses many links at once.
fn many() -> Result<Row> {
    let mut net = Topology::new();
    net.impairable_links();
    let switch = net.switch("switch");
    let hosts: Vec<NodeId> = (0..MANY).map(|at| net.host(format!("h{at}"))).collect();
    for host in &hosts {
        net.link(*host, switch);
    }
    let lab = net.build()?;
    if engines()?.len() != 1 {
        return Err("a lab has one engine".into());
    }
    let mut pairs = Vec::new();
    for pair in hosts.chunks_exact(2) {
        pairs.push(tcp(&lab, pair[0], pair[1])?);
    }
    let start = Instant::now();
    let bytes = thread::scope(|scope| {
        let each = |(near, far): &'_ mut (TcpStream, TcpStream)| -> Result<u64> {
            let mut near = near.try_clone()?;
            thread::scope(|scope| {
                scope.spawn(move || near.write_all(&vec![7; 2 << 20]));
                let (mut left, mut buffer) = (2_u64 << 20, vec![0; 64 << 10]);
                while left > 0 {
                    match far.read(&mut buffer)? as u64 {
                        0 => return Err("the connection has ended".into()),
                        length => left -= length,
                    }
                }
                Ok(2 << 20)
            })
        };
        let threads = pairs
            .iter_mut()
            .map(|pair| scope.spawn(move || each(pair).map_err(|error| error.to_string())));
        let threads: Vec<_> = threads.collect();
        let mut total = 0;
        for thread in threads {
            total += thread.join().expect("it does not panic")?;
        }
        Ok::<u64, Box<dyn Error>>(total)
    })?;
    let rate = bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9;
    // It panics if a frame was lost.
    drop(lab);
    Ok(Row {
        name: "50 connections over 100 links of one switch",
        engine: format!("{rate:.2} Gbit/s"),
        direct: String::new(),
        value: "one thread".to_owned(),
        target: "",
        is_met: None,
    })
}

/// Builds a lab with a link that loses this part of the packets from the first host, or is direct.
fn line(loss: Option<&str>) -> Result<Line> {
    let mut net = Topology::new();
    let (near, far) = (net.host("near"), net.host("far"));
    match loss {
        Some(loss) => {
            net.link(near, far).impair_from(near, Impairment::new().loss(loss));
        }
        None => {
            net.link(near, far);
        }
    }
    Ok(Line { lab: net.build()?, near, far })
}

fn star(hosts: usize, is_engine: bool) -> Topology {
    let mut net = Topology::new();
    if is_engine {
        net.impairable_links();
    }
    let router = net.router("router");
    for number in 0..hosts {
        let host = net.host(format!("h{number}"));
        net.link(host, router);
    }
    net
}

impl Line {
    fn tcp(&self) -> Result<(TcpStream, TcpStream)> {
        tcp(&self.lab, self.near, self.far)
    }

    /// Returns sockets on both hosts, connected to each other.
    fn udp(&self) -> Result<[UdpSocket; 2]> {
        let address = self.lab.plan().address_of(self.far).ok_or("no address")?;
        let far = self.lab[self.far].run(|| UdpSocket::bind((address, 0)))?;
        let own = self.lab.plan().address_of(self.near).ok_or("no address")?;
        let near = self.lab[self.near].run(|| UdpSocket::bind((own, 0)))?;
        near.connect(far.local_addr()?)?;
        far.connect(near.local_addr()?)?;
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        }
        Ok([near, far])
    }
}

fn tcp(lab: &Lab, near: NodeId, far: NodeId) -> Result<(TcpStream, TcpStream)> {
    let address = lab.plan().address_of(far).ok_or("no address")?;
    let listener = lab[far].run(|| TcpListener::bind((address, 0)))?;
    let target = listener.local_addr()?;
    let near = lab[near].run(|| TcpStream::connect(target))?;
    Ok((near, listener.accept()?.0))
}

/// Returns gigabits in a second. Adds the processor time of this process for a gigabyte to `costs`.
fn rate((near, far): &mut (TcpStream, TcpStream), costs: &mut Vec<f64>) -> Result<f64> {
    let before = processor_time()?;
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let (mut total, mut buffer) = (0, vec![0; 256 << 10]);
    thread::scope(|scope| {
        let sending = scope.spawn(|| -> std::io::Result<u64> {
            let (piece, mut sent) = (vec![7; 64 << 10], 0);
            while !is_over.load(Ordering::Relaxed) {
                near.write_all(&piece)?;
                sent += piece.len() as u64;
            }
            Ok(sent)
        });
        let mut time = Duration::ZERO;
        while time < TIME {
            total += far.read(&mut buffer)? as u64;
            time = start.elapsed();
        }
        is_over.store(true, Ordering::Relaxed);
        let gigabits = total as f64 * 8.0 / time.as_secs_f64() / 1e9;
        // The sender may wait for room.
        far.set_read_timeout(Some(Duration::from_millis(50)))?;
        while !sending.is_finished() {
            total += far.read(&mut buffer).unwrap_or(0) as u64;
        }
        let sent = sending.join().expect("it does not panic")?;
        far.set_read_timeout(None)?;
        while total < sent {
            total += far.read(&mut buffer)? as u64;
        }
        costs.push((processor_time()? - before) / (total as f64 / 1e9));
        Ok(gigabits)
    })
}

/// Returns frames in a second: one in [`ANSWERED`] is answered.
fn frame_rate([near, far]: &[UdpSocket; 2]) -> Result<f64> {
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut count, mut buffer) = (0_u64, [0; 64]);
            while far.recv(&mut buffer).is_ok_and(|length| length == SHORT.len()) {
                count += 1;
                if count % ANSWERED == 0 {
                    let _sent = far.send(&[0]);
                }
            }
        });
        let (start, mut sent, mut answered) = (Instant::now(), 0, 0);
        while start.elapsed() < TIME {
            while sent < answered + WINDOW {
                near.send(&SHORT)?;
                sent += 1;
            }
            near.recv(&mut [0])?;
            answered += ANSWERED;
        }
        let rate = answered as f64 / start.elapsed().as_secs_f64();
        while answered < sent {
            near.recv(&mut [0])?;
            answered += ANSWERED;
        }
        near.send(&[])?;
        Ok(rate)
    })
}

/// Returns the times of round trips, one after the other, in seconds.
fn round_trips([near, far]: &[UdpSocket; 2], count: usize) -> Result<Vec<f64>> {
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = [0; 64];
            while far.recv(&mut buffer).is_ok_and(|length| length == SHORT.len()) {
                let _sent = far.send(&SHORT);
            }
        });
        let once = |_| {
            let start = Instant::now();
            near.send(&SHORT)?;
            near.recv(&mut [0; 64])?;
            Ok(start.elapsed().as_secs_f64())
        };
        let times = (0..count).map(once).collect();
        near.send(&[])?;
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

/// Returns the directories of the threads of engines.
fn engines() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm"))?.trim_end() == "netns-link" {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

/// Returns the processor time of this process, with threads that have ended, in seconds.
fn processor_time() -> Result<f64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the C library writes one `timespec` to the live variable.
    check(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) })?;
    Ok(now.tv_sec as f64 + now.tv_nsec as f64 / 1e9)
}

/// Returns the processor time of a thread in seconds.
fn run_time(thread: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("{thread}/schedstat"))?;
    let nanos: f64 = text.split_whitespace().next().ok_or("no time")?.parse()?;
    Ok(nanos / 1e9)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

fn micros(seconds: f64) -> String {
    format!("{:.0} µs", seconds * 1e6)
}
