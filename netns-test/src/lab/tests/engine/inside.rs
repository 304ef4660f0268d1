//! Run by `the_engine_passes_frames_of_real_interfaces`.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::engine::Engine;
use crate::lab::impair::engine::canary::LOOPBACK;
use crate::lab::impair::engine::takes_udp_segmentation;
use crate::lab::impair::passage::Direction;
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan};
use crate::lab::tests::engine::net::{ETH0, INNER, LIMIT, Pair, SERVERS, ask, transfer, within};
use crate::lab::topology::quantity::Probability;
use crate::netlink::link;
use crate::sys::fds::{self, Until};
use crate::sys::net::packet::PacketSockets;
use crate::sys::net::packet::send::Outgoing;

#[test]
#[ignore = "run inside"]
fn tcp_passes_in_frames_of_segmentation_offload() {
    let pair = Pair::over_hub();
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    for server in SERVERS {
        transfer(pair.tcp(server), 16 << 20);
    }
    // Packets are counted as on a wire.
    let stats = engine.with(slot, |link, _, _| link.stats()).unwrap();
    assert!(stats[0].received > 2 * (16 << 20) / 1448, "{stats:?}");
    assert_eq!([stats[0].sent, stats[1].sent], [stats[0].received, stats[1].received]);
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn tcp_recovers_from_loss_within_frames() {
    let pair = Pair::over_hub();
    let loss = LossPlan::Independent(Probability::ALWAYS);
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    for server in SERVERS {
        // One segment of 50.
        let pattern = (0..50).map(|number| number == 20).collect();
        let plan = ImpairmentPlan { loss: LossPlan::Pattern(pattern), ..ImpairmentPlan::default() };
        let set = |plan| engine.with(slot, |link, now, _| link.set(Direction::Forth, plan, now));
        let streams = pair.tcp(server);
        set(plan).unwrap();
        transfer(streams, 4 << 20);
        // A change holds for what is sent later, and not for what was sent before.
        set(ImpairmentPlan::default()).unwrap();
        let [near, far] = pair.udp(server);
        near.send(b"before").unwrap();
        set(ImpairmentPlan { loss: loss.clone(), ..ImpairmentPlan::default() }).unwrap();
        near.send(b"lost").unwrap();
        set(ImpairmentPlan::default()).unwrap();
        near.send(b"later").unwrap();
        assert_eq!([(); 2].map(|()| far.recv(&mut [0; 8]).unwrap()), [6, 5]);
    }
    let stats = engine.with(slot, |link, _, _| link.stats()[0].clone()).unwrap();
    assert!(stats.lost > 2 * 50, "{stats:?}");
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn udp_passes_in_order() {
    let pair = Pair::over_hub();
    let (engine, _slot) = pair.engine(ImpairmentPlan::default());
    for server in SERVERS {
        let [near, far] = pair.udp(server);
        for size in [0, 1, 1000, 1452, 8000, 60000] {
            near.send(&vec![7; size]).unwrap();
            let mut buffer = vec![0; 1 << 16];
            assert_eq!(far.recv(&mut buffer).unwrap(), size);
            assert!(buffer[..size].iter().all(|byte| *byte == 7));
        }
        for number in 0..100_u8 {
            near.send(&[number]).unwrap();
        }
        let mut one = [0];
        for number in 0..100_u8 {
            assert_eq!((far.recv(&mut one).unwrap(), one[0]), (1, number));
        }
    }
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn a_delay_is_never_too_short_and_keeps_the_order() {
    let pair = Pair::over_hub();
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    let [near, far] = pair.udp(SERVERS[0]);
    let delay = Duration::from_millis(20);
    engine
        .with(slot, |link, now, _| {
            let plan = || ImpairmentPlan { delay, ..ImpairmentPlan::default() };
            for direction in Direction::BOTH {
                link.set(direction, plan(), now);
            }
        })
        .unwrap();
    let mut buffer = [0; 8];
    for number in 0..50_u64 {
        let start = Instant::now();
        near.send(&number.to_ne_bytes()).unwrap();
        far.send(&number.to_ne_bytes()).unwrap();
        for end in [&far, &near] {
            end.recv(&mut buffer).unwrap();
            assert_eq!(u64::from_ne_bytes(buffer), number);
            assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
        }
    }
    (0..100_u64).for_each(|number| assert_eq!(near.send(&number.to_ne_bytes()).unwrap(), 8));
    for number in 0..100_u64 {
        far.recv(&mut buffer).unwrap();
        assert_eq!(u64::from_ne_bytes(buffer), number);
    }
    transfer(pair.tcp(SERVERS[1]), 4 << 20);
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn offloads_and_a_vlan_tag_pass() {
    let pair = Pair::over_hub();
    let (engine, _slot) = pair.engine(ImpairmentPlan::default());
    let open = || PacketSockets::open(0).unwrap();
    let (near, _) = within(&pair.nodes[0], open);
    let (far, mut rings) = within(&pair.nodes[1], open);
    let (tcp, udp) = (vec![0x50, 0x10, 1, 0, 0, 0, 0, 0], vec![]);
    let tag = [0x81, 0, 0x67, 0xd5];
    // Kind of segmentation, tag, protocol, TCP header after its first 12 bytes, checksum.
    let cases = [
        (1, &tag[..], 6, tcp.clone(), 16),
        (1, &tag[..0], 6, tcp, 16),
        (5, &tag[..0], 17, udp, 6_u16),
    ];
    for (kind, tag, protocol, rest, checksum) in cases {
        if kind == 5 && !takes_udp_segmentation() {
            continue;
        }
        let mut transport = vec![0, 9, 0, 9];
        transport.extend(if protocol == 6 {
            [0, 0, 0, 1, 0, 0, 0, 1].to_vec()
        } else {
            vec![0; 4]
        });
        transport.extend(rest);
        let length = 20 + transport.len() + 4000;
        let mut frame =
            [&[2; 12], tag, &[8, 0, 0x45, 0, (length >> 8) as u8, length as u8]].concat();
        frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(&transport);
        if protocol == 17 {
            let at = frame.len() - 4;
            frame[at..at + 2].copy_from_slice(&4008_u16.to_be_bytes());
        }
        let headers = frame.len() as u16;
        frame.resize(frame.len() + 4000, 7);
        // The kernel counts without the tag.
        let header = |tag: usize| {
            let start = headers - transport.len() as u16;
            let numbers = [headers - tag as u16, 1000, start - tag as u16, checksum];
            let mut header = [1, kind, 0, 0, 0, 0, 0, 0, 0, 0];
            header[2..].copy_from_slice(numbers.map(u16::to_ne_bytes).as_flattened());
            header
        };
        let outgoing = |_| Outgoing { interface: ETH0, header: header(0), bytes: &frame };
        near.send(1, outgoing, |_, outcome| outcome.unwrap());
        let expected = header(tag.len());
        wait_for(|| {
            fds::wait(&[Until::Readable(far.descriptors()[1].as_fd())], Some(LIMIT)).unwrap();
            let batch = rings.batch(8);
            let mut found = batch.frames().filter(|one| one.bytes == frame);
            found.any(|one| {
                assert!(one.is_tagged != tag.is_empty() && !one.is_cut);
                // The length of the headers is a hint.
                assert_eq!((&one.header[..2], &one.header[4..]), (&expected[..2], &expected[4..]));
                true
            })
        });
    }
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn an_end_that_is_down_is_no_trouble() {
    let pair = Pair::over_hub();
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    let [near, far] = pair.udp(SERVERS[0]);
    let set = |up| ask(&pair.hub, &[link::set_up(String::new(), INNER[1], up, None)]);
    set(false);
    near.send(b"lost").unwrap();
    wait_for(|| engine.with(slot, |link, _, _| link.stats()[0].undeliverable).unwrap() > 0);
    set(true);
    near.send(b"there").unwrap();
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 5);
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn frames_that_are_lost_in_the_ring_are_trouble() {
    let pair = Pair::over_hub();
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    let [near, _far] = pair.udp(SERVERS[0]);
    // The thread cannot go on meanwhile.
    let flood = |_: &mut EmulatedLink| (0..6000).for_each(|_| drop(near.send(b"x")));
    engine.with(slot, |link, _, _| flood(link)).unwrap();
    let trouble = engine.trouble().unwrap();
    assert!(trouble.contains("frames were lost: more arrived at once"), "{trouble}");
    assert!(trouble.contains("most of them over wan "), "{trouble}");
    // A frame of another processor may come even later.
    assert!(engine.stop().is_some());
}

#[test]
#[ignore = "run inside"]
fn an_idle_engine_sleeps() {
    let pair = Pair::over_hub();
    let (engine, _slot) = pair.engine(ImpairmentPlan::default());
    for node in &pair.nodes {
        within(node, || fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
    }
    let [near, far] = pair.udp(SERVERS[0]);
    near.send(b"x").unwrap();
    far.recv(&mut [0; 8]).unwrap();
    let thread = thread().unwrap();
    // A late frame of the kernel's may still be under way.
    wait_for(|| {
        let before = switches(&thread);
        std::thread::sleep(Duration::from_millis(300));
        switches(&thread) == before
    });
    assert_eq!(engine.stop(), None);
}

#[test]
#[ignore = "run inside"]
fn nothing_is_left_of_a_stopped_engine() {
    let pair = Pair::over_hub();
    let descriptors = || {
        let entries = fs::read_dir("/proc/self/fd").unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    let before = descriptors();
    for round in 0..5 {
        let (engine, _slot) = pair.engine(ImpairmentPlan::default());
        assert!(thread().is_some() && descriptors() != before);
        if round == 0 {
            drop(engine);
        } else {
            assert_eq!(engine.stop(), None);
        }
        assert_eq!((thread(), descriptors()), (None, before.clone()));
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains("socket:"), "{maps}");
        drop(Engine::begin(pair.hub.as_fd(), 1).unwrap());
        wait_for(|| descriptors() == before && thread().is_none());
    }
}

#[test]
#[ignore = "run inside"]
fn the_thread_blocks_all_signals_and_is_where_its_creator_is() {
    let pair = Pair::over_hub();
    let (engine, _slot) = pair.engine(ImpairmentPlan::default());
    let thread = thread().unwrap();
    let status = fs::read_to_string(format!("{thread}/status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
    // The standard signals but SIGKILL and SIGSTOP.
    assert_eq!(!blocked & 0x7fff_ffff, 1 << 8 | 1 << 18, "{blocked:x}");
    let network = |path: &str| fs::read_link(format!("{path}/ns/net")).unwrap();
    assert_eq!(network(&thread), network("/proc/thread-self"));
    assert_eq!(engine.stop(), None);
}

/// Returns the directory of the engine's thread in `/proc`.
fn thread() -> Option<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let mut paths = tasks.map(|task| task.unwrap().path().to_str().unwrap().to_owned());
    paths.find(|path| {
        let name = fs::read_to_string(format!("{path}/comm"));
        name.is_ok_and(|name| name.trim_end() == crate::lab::impair::engine::shared::NAME)
    })
}

/// Returns the number of context switches of a thread.
fn switches(thread: &str) -> u64 {
    let status = fs::read_to_string(format!("{thread}/status")).unwrap();
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    counts.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "it did not happen within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "run inside"]
fn frames_in_the_queue_of_another_processor_are_awaited() {
    // What comes in to the hub waits for another processor than that of its sender (receive packet
    // steering, with a default for new interfaces from Linux 6.3 on).
    let pair = Pair::over_hub_where(|| {
        let mask = Path::new("/proc/sys/net/core/rps_default_mask");
        if mask.exists() {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let own = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"));
            fs::write(mask, own.unwrap().trim()).unwrap();
        }
    });
    let (engine, slot) = pair.engine(ImpairmentPlan::default());
    ask(&pair.hub, &[link::set_up(String::new(), LOOPBACK, true, None)]);
    let received = || {
        engine.wait_for_sent(LIMIT).unwrap();
        engine.with(slot, |link, _, _| link.stats()[0].received).unwrap()
    };
    for round in 0..200 {
        let [near, _far] = pair.udp(SERVERS[0]);
        let before = received();
        (0..20).for_each(|_| assert_eq!(near.send(&[0; 100]).unwrap(), 100));
        assert!(received() >= before + 20, "round {round}");
    }
}

#[test]
#[ignore = "run inside"]
fn without_a_loopback_device_the_wait_for_frames_fails() {
    let pair = Pair::over_hub();
    let (engine, _slot) = pair.engine(ImpairmentPlan::default());
    let text = engine.wait_for_sent(LIMIT).unwrap_err().to_string();
    assert!(text.contains("wait for the packets that were sent before: ENETDOWN"), "{text}");
    // The frames of this round are not awaited any more.
    ask(&pair.hub, &[link::set_up(String::new(), LOOPBACK, true, None)]);
    engine.wait_for_sent(LIMIT).unwrap();
}
