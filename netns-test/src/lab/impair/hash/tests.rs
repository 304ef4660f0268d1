//! Golden vectors. They must never change: a seed has the same meaning in all versions.
//!
//! The vectors were computed by an independent program, which agrees with the published vectors of
//! SipHash-2-4, and of SipHash-1-3 in the tests of Rust's standard library.

use std::net::IpAddr;

use crate::lab::impair::hash::{FlowKey, LinkKey, Purpose, Seed, hash};
use crate::lab::impair::passage::Direction;

/// The flow of the golden draws: TCP from 10.0.0.1 to port 80 of 10.0.0.2, the first one.
pub(crate) const FLOW: FlowKey = FlowKey(0x9fb5_d5d7_964c_7b2b);

fn ends(ends: [&str; 2]) -> [IpAddr; 2] {
    ends.map(|end| end.parse().unwrap())
}

#[test]
fn siphash_1_3_has_the_reference_vectors() {
    // The key has the bytes 0 to 15, the message those from 0 on.
    let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
    let message: Vec<u8> = (0..63).collect();
    for (length, expected) in [
        (0, 0xabac_0158_050f_c4dc),
        (1, 0xc9f4_9bf3_7d57_ca93),
        (7, 0xd392_7d98_9bb1_1140),
        (8, 0x3690_9511_8d29_9a8e),
        (9, 0x25a4_8eb3_6c06_3de4),
        (15, 0xd320_d86d_2a51_9956),
        (63, 0x9d19_9062_b7bb_b3a8),
    ] {
        assert_eq!(hash(key, &[], &message[..length]), expected, "{length}");
    }
    // Words are the same as their bytes.
    let words = [0x0706_0504_0302_0100];
    assert_eq!(hash(key, &words, &[]), hash(key, &[], &message[..8]));
    assert_eq!(hash(key, &words, &[8]), hash(key, &[], &message[..9]));
}

#[test]
fn keys_and_draws_have_their_golden_values() {
    let seed = Seed::of_test("tests::lossy_download");
    assert_eq!(seed, Seed(0x9e0e_f5ae_0598_309f));
    let [forth, back] = Direction::BOTH.map(|way| LinkKey::new(seed, way, "client–server"));
    assert_eq!(forth, LinkKey(0x4417_cb1a_b1f5_2d14));
    assert_eq!(back, LinkKey(0xb086_e0ae_c927_6ec4));
    assert_eq!(forth.flow(ends(["10.0.0.1", "10.0.0.2"]), [6, 80, 0, 0]), FLOW);
    let answer = back.flow(ends(["10.0.0.2", "10.0.0.1"]), [6, 80, 1, 0]);
    assert_eq!(answer, FlowKey(0xeb74_14d3_12fd_54e5));
    let v6 = forth.flow(ends(["fd00::1", "fd00::2"]), [17, 53, 0, 3]);
    assert_eq!(v6, FlowKey(0x2659_bcba_53c1_dfff));
    for (purpose, expected) in [
        (Purpose::Loss, 0x8356_7772_047b_1d11),
        (Purpose::Chain, 0xf7eb_d498_ea72_3a4e),
        (Purpose::Corruption, 0x9ec2_f1ec_700e_0ffd),
        (Purpose::Bit, 0xc683_a73f_c674_3198),
        (Purpose::Duplication, 0x87a6_8efb_5182_ead0),
        (Purpose::Jitter, 0xe004_8efd_14d4_0cc7),
        (Purpose::Reordering, 0x5d2c_6f02_0772_0788),
    ] {
        assert_eq!(FLOW.draw(purpose, [0, 17, 1]), expected, "{purpose:?}");
    }
}

#[test]
fn draws_are_uniform_and_independent_of_each_other() {
    // Each bit is set in half of 20,000 draws, within five standard deviations (of 71).
    const DRAWS: u64 = 20_000;
    let draws = || (0..DRAWS).map(|number| FLOW.draw(Purpose::Loss, [0, number, 0]));
    let pairs = draws().zip((0..DRAWS).map(|number| FLOW.draw(Purpose::Chain, [0, number, 0])));
    let both: Vec<u64> = pairs.map(|(one, other)| one ^ other).collect();
    let steps: Vec<u64> = draws().zip(draws().skip(1)).map(|(one, next)| one ^ next).collect();
    for draws in [draws().collect(), both, steps] {
        for bit in 0..64 {
            let set = draws.iter().filter(|draw| *draw >> bit & 1 == 1).count();
            assert!(set.abs_diff(DRAWS as usize / 2) < 355, "bit {bit}: {set}");
        }
    }
}
