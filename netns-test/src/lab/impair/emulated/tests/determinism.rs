//! The same bytes are lost in each run, however they are sent.

use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::emulated::tests::frames::{Sample, Wire};
use crate::lab::impair::emulated::tests::transfer::{Entry, Style, transfer};
use crate::lab::impair::emulated::tests::{link, links, pass, thousandths};
use crate::lab::impair::frame::{ACK, SYN};
use crate::lab::impair::hash::Seed;
use crate::lab::impair::stats::LostPacket;
use crate::lab::plan::impairment::{ImpairmentPlan, LossPlan, LossUnit, QueueLimit, RatePlan};
use crate::lab::topology::quantity::Probability;

/// Bytes of a transfer.
const LENGTH: u64 = 200_000;

const PLAIN: Style = Style {
    is_v4: true,
    ports: [40_000, 80],
    initial: 1000,
    write: usize::MAX >> 1,
    frame: 1448,
    window: 10,
    noise: None,
};

/// Returns ways to send the same data.
fn styles() -> Vec<Style> {
    let mut styles = vec![PLAIN];
    for write in [200, 1000, 65_536] {
        styles.push(Style { write, initial: 7, ..PLAIN });
        styles.push(Style { write, frame: 60_000, window: 3, ..PLAIN });
        // The sequence numbers wrap around, the flow is among others, and its port is another one.
        let initial = u32::MAX - 100_000;
        let ports = [33_000 + write as u16 % 1000, 80];
        let noise = Some(0x1234_5678_9abc_def1 + write as u64);
        styles.push(Style { write, initial, ports, noise, ..PLAIN });
        styles.push(Style { frame: 30_000, window: 1000, noise, ..PLAIN });
    }
    styles
}

/// Returns plans of loss: 5 %, 20 %, bursts, a pattern, bursts with some loss outside.
fn losses() -> [LossPlan; 5] {
    let chain = |p, r, bad, good| {
        let [p, r, bad, good] = [p, r, bad, good].map(thousandths);
        LossPlan::GilbertElliott { p, r, bad, good, is_shared: false }
    };
    [
        LossPlan::Independent(thousandths(50)),
        LossPlan::Independent(thousandths(200)),
        chain(20, 250, 1000, 0),
        LossPlan::Pattern([vec![false; 12], vec![true]].concat()),
        chain(10, 100, 800, 20),
    ]
}

fn with(loss: LossPlan) -> ImpairmentPlan {
    ImpairmentPlan { loss, ..ImpairmentPlan::default() }
}

/// Returns the plan with a stage that needs packets as on the wire.
fn in_pieces(plan: ImpairmentPlan) -> ImpairmentPlan {
    let rate = RatePlan {
        bits_per_second: 1_000_000_000_000,
        burst: 0,
        overhead: 0,
        queue: QueueLimit::Packets(1 << 40),
        mark_above: None,
    };
    ImpairmentPlan { rate: Some(rate), ..plan }
}

#[test]
fn one_set_of_bytes_is_lost_however_they_are_sent() {
    for loss in losses() {
        for is_v4 in [true, false] {
            let mut sets: Vec<Vec<Entry>> = Vec::new();
            for style in styles() {
                let style = Style { is_v4, ..style };
                let plan = with(loss.clone());
                sets.push(transfer(&mut link(plan.clone()), &style, LENGTH));
                sets.push(transfer(&mut link(in_pieces(plan)), &style, LENGTH));
            }
            assert!(sets[0].len() > 3, "{loss:?}: {:?}", sets[0]);
            for set in &sets {
                assert_eq!(set, &sets[0], "{loss:?}");
            }
        }
    }
}

#[test]
fn the_losses_of_a_flow_have_their_golden_values() {
    let set = transfer(&mut link(with(LossPlan::Independent(thousandths(50)))), &PLAIN, 200 * 1448);
    let slots = set.iter().filter_map(|(_, flow, packet)| {
        assert_eq!(flow.ends.unwrap().map(|end| end.to_string()), ["10.0.0.1:0", "10.0.0.2:80"]);
        match packet {
            LostPacket::Data { bytes, attempt: 0 } => Some(bytes.start / 1448),
            _ => None,
        }
    });
    let mut slots: Vec<u64> = slots.collect();
    slots.sort_unstable();
    assert_eq!(slots, [14, 49, 80, 113, 115, 179, 180]);
}

#[test]
fn seeds_links_and_flows_have_losses_of_their_own() {
    let plan = || with(LossPlan::Independent(thousandths(200)));
    let slots = |link: &mut EmulatedLink, style: &Style| -> Vec<LostPacket> {
        transfer(link, style, 300_000).into_iter().map(|(_, _, packet)| packet).collect()
    };
    let new = |seed, name| EmulatedLink::new(Seed(seed), name, [plan(), plan()], 1500);
    let mut first = new(1, "a");
    let other_port = Style { ports: [40_000, 81], ..PLAIN };
    let sets = [
        slots(&mut first, &PLAIN),
        slots(&mut new(2, "a"), &PLAIN),
        slots(&mut new(1, "b"), &PLAIN),
        slots(&mut new(1, "a"), &other_port),
    ];
    for (one, set) in sets.iter().enumerate() {
        assert!(sets[..one].iter().all(|other| other != set));
    }
    // The same ends begin a second connection: its losses are those of the ordinal 1.
    let again = Style { initial: 5_000_000, ..PLAIN };
    let both = transfer(&mut first, &again, 300_000);
    let of = |ordinal| both.iter().filter(move |(_, flow, _)| flow.ordinal == ordinal);
    let packets: Vec<LostPacket> = of(0).map(|(_, _, packet)| packet.clone()).collect();
    assert_eq!(packets, sets[0]);
    let second: Vec<LostPacket> = of(1).map(|(_, _, packet)| packet.clone()).collect();
    assert!(second.len() > 20 && second != sets[0]);
}

#[test]
fn datagrams_are_lost_by_their_number_with_and_without_segmentation() {
    let payload: Vec<u8> = vec![7; 60 * 1000 - 300];
    let plan = || with(LossPlan::Independent(thousandths(100)));
    for is_v4 in [true, false] {
        let sample = |payload: Vec<u8>| Sample { is_v4, ..Sample::udp([5000, 53], payload) };
        let mut whole = link(plan());
        let frame = sample(payload.clone()).gso(1000);
        (0..5).for_each(|_| drop(pass(&mut whole, &frame, 0)));
        let mut single = link(plan());
        for _ in 0..5 {
            let frames: Vec<Wire> =
                payload.chunks(1000).map(|part| sample(part.to_vec()).wire()).collect();
            frames.iter().for_each(|frame| drop(pass(&mut single, frame, 0)));
        }
        assert_eq!(whole.losses().last, single.losses().last);
        assert_eq!(whole.stats()[0], single.stats()[0]);
        assert!(whole.losses().last.len() > 15, "{:?}", whole.losses());
    }
}

#[test]
fn a_segment_unit_judges_each_small_message() {
    let plan = ImpairmentPlan {
        loss_unit: LossUnit::Segment,
        ..with(LossPlan::Independent(thousandths(300)))
    };
    let style = Style { write: 100, ..PLAIN };
    let sets: Vec<Vec<Entry>> = (0..3)
        .map(|window| {
            let noise = (window > 0).then_some(99 + window as u64);
            let style = Style { window: 10 + window * 100, noise, ..style.clone() };
            transfer(&mut link(plan.clone()), &style, 20_000)
        })
        .collect();
    assert!(sets[0].len() > 50);
    assert_eq!(sets[0], sets[1]);
    assert_eq!(sets[0], sets[2]);
    // Of the slots of 20,000 bytes only 14 begin in a message.
    let by_slot =
        transfer(&mut link(with(LossPlan::Independent(thousandths(300)))), &style, 20_000);
    assert!(by_slot.len() < 20, "{by_slot:?}");
}

#[test]
fn a_shared_chain_hits_all_flows_at_once() {
    let loss = LossPlan::GilbertElliott {
        p: thousandths(20),
        r: thousandths(200),
        bad: Probability::ALWAYS,
        good: Probability::NEVER,
        is_shared: true,
    };
    let mut link = links([with(loss.clone()), with(loss)]);
    let mut fates = Vec::new();
    for number in 0..2000_u32 {
        let sample =
            Sample { ports: [40_000, 80 + number as u16 % 7], ..Sample::tcp(ACK, 0, vec![1]) };
        fates.push(pass(&mut link, &sample.wire(), 0).is_empty());
    }
    let lost = fates.iter().filter(|lost| **lost).count();
    let bursts = fates.windows(2).filter(|pair| pair == &[false, true]).count();
    assert!((90..300).contains(&lost) && lost > 3 * bursts, "{lost} in {bursts}");
    assert_eq!(link.losses().last.len(), lost);
}

#[test]
fn a_lost_syn_is_judged_anew_each_time() {
    let mut link = link(with(LossPlan::Independent(thousandths(500))));
    let syn = Sample::tcp(SYN, 99, Vec::new()).wire();
    let fates: Vec<bool> = (0..40).map(|_| pass(&mut link, &syn, 0).is_empty()).collect();
    let numbers: Vec<u64> = link
        .losses()
        .last
        .iter()
        .map(|(_, lost)| match lost.packet {
            LostPacket::Control { flags: SYN, nth } => nth,
            ref other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<u64> = (0..40).filter(|nth| fates[*nth as usize]).collect();
    assert_eq!(numbers, expected);
    assert!((5..35).contains(&numbers.len()));
}
