//! Impaired links beside the kernel's `tc-netem(8)` and `tc-tbf(8)`: the distributions agree within
//! the errors that docs/BAD-NETWORKS.md states. Left out, with a line, where the kernel has none.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netns_test::lab::Impairment;
use netns_test::netns_test;

use crate::net::{PATIENCE, Pair};
use crate::train::{Train, sockets};

/// Returns a link on whose first end the words of `tc qdisc add dev eth0` have been applied, or
/// `None` if the kernel has no such qdisc.
fn with_qdisc(words: &str) -> Option<Pair> {
    let pair = Pair::direct();
    let words = format!("qdisc add dev eth0 {words}");
    let command = || pair.lab[pair.client].command("tc").args(words.split(' ')).output();
    let output = match command() {
        Ok(output) => output,
        Err(error) => {
            println!("left out: no program tc: {error}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("qdisc kind is unknown") {
        println!("left out: the kernel has no such qdisc: {words}");
        return None;
    }
    assert!(output.status.success(), "{words}: {said}");
    Some(pair)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns the quantile of sorted times.
fn quantile(times: &[Duration], of: f64) -> f64 {
    ms(times[(times.len() as f64 * of) as usize])
}

/// Returns the one-way times of one datagram at a time.
fn one_way(pair: &Pair, count: u32) -> Vec<Duration> {
    let [near, far] = sockets(pair, true);
    let mut times = Vec::new();
    for number in 0..count {
        let start = Instant::now();
        near.send(&number.to_be_bytes()).unwrap();
        far.recv(&mut [0; 8]).unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    times
}

#[netns_test(timeout = "110s")]
fn a_delay_is_that_of_netem() {
    let Some(netem) = with_qdisc("root netem delay 20ms") else { return };
    let delay = Duration::from_millis(20);
    let ours = Pair::new(Impairment::new().delay(delay));
    let mut apart = Vec::new();
    for _ in 0..3 {
        // Beside each other, so that the machine is the same for both.
        let [ours, netem] = thread::scope(|scope| {
            let runs = [&ours, &netem].map(|pair| scope.spawn(|| one_way(pair, 300)));
            runs.map(|run| run.join().unwrap())
        });
        for (name, times) in [("ours", &ours), ("netem", &netem)] {
            let of = [0.0, 0.1, 0.5, 0.9, 0.99].map(|of| format!("{:.2}", quantile(times, of)));
            println!("delay 20 ms, {name}: least, 10, 50, 90, 99 % in ms: {}", of.join(" "));
            assert!(times[0] >= delay, "{name}");
        }
        apart.push((quantile(&ours, 0.5) - quantile(&netem, 0.5)).abs());
        if apart.last().is_some_and(|apart| *apart <= 5.0) {
            return;
        }
    }
    panic!("the medians are apart by {apart:?} ms");
}

#[netns_test(timeout = "110s")]
fn a_rate_is_that_of_netem_and_tbf() {
    const NETEM: &str = "root netem rate 10mbit limit 1000";
    const TBF: &str = "root tbf rate 10mbit burst 30000 limit 1000000";
    let line = Impairment::new().rate("10mbit").queue_bytes(1_000_000);
    if [NETEM, TBF].into_iter().any(|words| with_qdisc(words).is_none()) {
        return;
    }
    let rates = [
        ("ours", Train::rate_of(|| Pair::new(line.clone()), true, 10e6)),
        ("netem", Train::rate_of(|| with_qdisc(NETEM).unwrap(), true, 10e6)),
        ("tbf", Train::rate_of(|| with_qdisc(TBF).unwrap(), true, 10e6)),
    ];
    for (name, rate) in rates {
        println!("rate 10 Mbit/s, {name}: {:.3} Mbit/s", rate / 1e6);
        assert!((rate / 10e6 - 1.0).abs() <= 0.05, "{name}: {rate}");
    }
}

#[netns_test(timeout = "110s")]
fn a_full_queue_drops_as_much_as_that_of_tbf() {
    let Some(tbf) = with_qdisc("root tbf rate 1mbit burst 1600 limit 64000") else { return };
    let ours = Pair::new(Impairment::new().rate("1mbit").queue_bytes(64_000));
    for (name, pair) in [("ours", &ours), ("tbf", &tbf)] {
        let train = Train::new(pair, true, 150, 150);
        let meanwhile = train.sent_meanwhile(1e6);
        let count = train.arrivals.len();
        println!("queue of 64,000 bytes, {name}: {count} of 150 frames, {meanwhile} meanwhile");
        // The queue has room for 42 frames, and another one is on the wire.
        assert!((42..=44 + meanwhile).contains(&count), "{name}: {count}, {meanwhile}");
    }
}

/// Sends numbered datagrams. Returns the numbers of those that are lost.
fn lost(pair: &Pair, count: u32) -> Vec<u32> {
    const BATCH: u32 = 20;
    const MARK: u32 = 1 << 31;
    // Marks are another flow, so that their number changes nothing.
    let bind = |port| pair.lab[pair.client].run(|| UdpSocket::bind(("0.0.0.0", port))).unwrap();
    let (near, marks) = (bind(7001), bind(7002));
    let to = pair.server(true, 7000);
    let far = pair.lab[pair.server].run(|| UdpSocket::bind(to)).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = |from: &UdpSocket, number: u32| {
        assert_eq!(from.send_to(&number.to_be_bytes(), to).unwrap(), 4);
    };
    let (seen, mut got) = (AtomicU32::new(0), vec![false; count as usize]);
    thread::scope(|scope| {
        scope.spawn(|| {
            for start in (0..count).step_by(BATCH as usize) {
                (start..start + BATCH).for_each(|number| send(&near, number));
                // Marks are lost, too. Each comes after the batch.
                while seen.load(Ordering::SeqCst) < start + BATCH {
                    send(&marks, MARK | (start + BATCH));
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        while seen.load(Ordering::SeqCst) < count {
            let mut number = [0; 4];
            assert_eq!(far.recv(&mut number).unwrap(), 4);
            let number = u32::from_be_bytes(number);
            if number & MARK == 0 {
                got[number as usize] = true;
            } else {
                seen.fetch_max(number & !MARK, Ordering::SeqCst);
            }
        }
    });
    (0..count).filter(|number| !got[*number as usize]).collect()
}

#[netns_test(timeout = "110s")]
fn a_loss_is_that_of_netem() {
    let Some(netem) = with_qdisc("root netem loss 5%") else { return };
    let ours = || Pair::new(Impairment::new().loss("5%"));
    let first = lost(&ours(), COUNT);
    check("ours", &first);
    check("netem", &lost(&netem, COUNT));
    assert_eq!(lost(&ours(), COUNT), first);
}

const COUNT: u32 = 4000;

/// Checks that these are the losses of independent draws with a probability of 5 %.
fn check(name: &str, lost: &[u32]) {
    let mut gaps: Vec<u32> = lost.windows(2).map(|two| two[1] - two[0]).collect();
    gaps.sort_unstable();
    let pairs = gaps.iter().filter(|gap| **gap == 1).count() as f64;
    let (count, median) = (lost.len() as f64, gaps[gaps.len() / 2]);
    println!(
        "loss 5 %, {name}: {:.2} %, median distance {median}, after a lost one {:.1} % are lost",
        count / f64::from(COUNT) * 100.0,
        pairs / count * 100.0,
    );
    // A binomial distribution with a standard deviation of 13.8; five of them.
    assert!((count - 200.0).abs() <= 69.0, "{name}: {count}");
    // The median of the geometric distribution is 14.
    assert!((9..=20).contains(&median), "{name}: {median}");
    assert!(pairs / count <= 0.15, "{name}: {pairs}");
}
