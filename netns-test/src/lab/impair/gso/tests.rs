//! Super-frames of all kinds, divided and put together again.

use std::iter::once;
use std::ops::Range;

use crate::lab::impair::frame::samples::{Random, Sample, fold, sum, verified};
use crate::lab::impair::frame::{ACK, CWR, FIN, Frame, PSH, Transport};
use crate::lab::impair::gso::{cut, segments, to_wire};
use crate::lab::impair::offload::{Offload, PartialChecksum, Segmentation, SegmentationKind};

const SIZE: usize = 1400;

/// All families, protocols and numbers of tags.
fn samples(payload: &[u8]) -> Vec<Sample> {
    let tcp = Sample::tcp(ACK | PSH | FIN | CWR, payload);
    let plain = [tcp.clone(), tcp.v6(), Sample::udp(payload), Sample::udp(payload).v6()];
    let tagged = |tags| plain.clone().map(|sample| Sample { tags, ..sample });
    (0..=2).flat_map(tagged).collect()
}

/// The offloads with which a kernel passes the sample on.
fn offload(sample: &Sample, bytes: &[u8]) -> Offload {
    let frame = Frame::parse(bytes);
    let start = frame.ip.unwrap().transport as u16;
    let kind = match (sample.is_tcp, sample.is_v4) {
        (true, true) => SegmentationKind::TcpV4,
        (true, false) => SegmentationKind::TcpV6,
        (false, _) => SegmentationKind::Udp,
    };
    let headers = frame.payload.start as u16;
    let has_ecn = sample.is_tcp;
    Offload {
        checksum: Some(PartialChecksum { start, offset: if sample.is_tcp { 16 } else { 6 } }),
        segmentation: Some(Segmentation { kind, size: SIZE as u16, headers, has_ecn }),
        is_checked: false,
    }
}

fn parts(length: usize) -> Vec<Range<usize>> {
    (0..length.div_ceil(SIZE)).map(|n| n * SIZE..length.min((n + 1) * SIZE)).collect()
}

#[test]
fn segments_have_the_payload_and_right_headers() {
    let payload = Random(1).bytes(7 * SIZE + 333);
    for sample in samples(&payload) {
        let bytes = sample.build_partial();
        let (frame, offload) = (Frame::parse(&bytes), offload(&sample, &bytes));
        let expected = parts(payload.len());
        assert_eq!(segments(&frame, &offload).collect::<Vec<_>>(), expected);
        let wire = to_wire(&frame, &offload);
        assert_eq!(wire.len(), expected.len());
        let mut joined = Vec::new();
        for (number, (bytes, part)) in wire.iter().zip(&expected).enumerate() {
            let (is_first, is_last) = (number == 0, number + 1 == wire.len());
            // The builder makes the same segment on its own.
            let first = if is_first { CWR } else { 0 };
            let last = if is_last { PSH | FIN } else { 0 };
            let segment = Sample {
                seq: sample.seq + part.start as u32,
                flags: ACK | first | last,
                id: sample.id + number as u16,
                payload: payload[part.clone()].to_vec(),
                ..sample.clone()
            };
            assert_eq!(*bytes, segment.build(), "{number} of {sample:?}");
            joined.extend_from_slice(&bytes[verified(bytes).payload]);
        }
        assert_eq!(joined, payload);
    }
}

#[test]
fn a_cut_frame_stands_for_the_same_segments() {
    let payload = Random(2).bytes(5 * SIZE + 1);
    for sample in samples(&payload) {
        let bytes = sample.build_partial();
        let (frame, offload) = (Frame::parse(&bytes), offload(&sample, &bytes));
        let (wire, parts) = (to_wire(&frame, &offload), parts(payload.len()));
        for from in 0..parts.len() {
            for to in from + 1..=parts.len() {
                let part = parts[from].start..parts[to - 1].end;
                let (bytes, offload) = cut(&frame, &offload, part);
                let cut = Frame::parse(&bytes);
                assert_eq!(to_wire(&cut, &offload), wire[from..to], "{from}..{to} {sample:?}");
                assert_eq!(offload.segmentation.is_some(), to - from > 1);
                assert_eq!(offload.checksum.unwrap().start, cut.ip.unwrap().transport as u16);
                let ecn = offload.segmentation.is_some_and(|of| of.has_ecn);
                assert_eq!(ecn, sample.is_tcp && from == 0 && to > 1);
                assert_eq!(segments(&cut, &offload).count(), to - from);
            }
        }
        let (whole, same) = cut(&frame, &offload, 0..payload.len());
        assert_eq!((whole, same), (bytes.clone(), offload));
    }
}

#[test]
fn numbers_wrap_around() {
    let sample = Sample { seq: u32::MAX - 10, id: u16::MAX, ..Sample::tcp(ACK, &[7; 3 * SIZE]) };
    let bytes = sample.build_partial();
    let wire = to_wire(&Frame::parse(&bytes), &offload(&sample, &bytes));
    assert_eq!(wire.len(), 3);
    let ids: Vec<&[u8]> = wire.iter().map(|frame| &frame[18..20]).collect();
    assert_eq!(ids, [[0xff, 0xff], [0, 0], [0, 1]]);
    let Transport::Tcp(tcp) = verified(&wire[1]).transport else { panic!("no TCP") };
    assert_eq!(tcp.seq, SIZE as u32 - 11);
}

#[test]
fn a_lone_partial_checksum_is_completed() {
    for sample in samples(b"an odd payload!") {
        let bytes = sample.build_partial();
        let offload = Offload { segmentation: None, ..offload(&sample, &bytes) };
        let frame = Frame::parse(&bytes);
        assert_eq!(to_wire(&frame, &offload), [sample.build()]);
        assert!(segments(&frame, &offload).eq(once(0..15)));
        assert_eq!(to_wire(&frame, &Offload::default())[0], bytes);
    }
}

#[test]
fn a_checksum_of_zero_is_written_as_its_equal() {
    // Choose the payload so that the sum of all is 0xffff.
    let mut sample = Sample::udp(&[0, 0]);
    let rest = sample.build()[40..42].to_vec();
    sample.payload = rest;
    let bytes = sample.build_partial();
    let offload = Offload { segmentation: None, ..offload(&sample, &bytes) };
    let wire = to_wire(&Frame::parse(&bytes), &offload);
    assert_eq!(wire[0][40..42], [0xff, 0xff]);
    verified(&wire[0]);
}

/// A VXLAN packet around a frame; with a checksum that fits once the inner one is complete.
fn tunnelled(inner: &[u8], complete: &[u8], is_v4: bool, has_checksum: bool) -> Vec<u8> {
    let header = [8, 0, 0, 0, 0, 0, 42, 0];
    let outer = |inner: &[u8]| {
        let payload = [&header, inner].concat();
        let sample = Sample { is_v4, ports: [5555, 4789], ..Sample::udp(&payload) };
        sample.build()
    };
    let mut frame = outer(inner);
    let field = frame.len() - inner.len() - 10;
    let sum = if has_checksum { outer(complete)[field..field + 2].to_vec() } else { vec![0; 2] };
    frame[field..field + 2].copy_from_slice(&sum);
    frame
}

#[test]
fn frames_in_a_tunnel_are_divided_by_their_inner_headers() {
    let payload = Random(3).bytes(3 * SIZE + 5);
    for (inner, is_v4) in samples(&payload).into_iter().zip([true, false].into_iter().cycle()) {
        for has_checksum in [true, false] {
            let (partial, complete) = (inner.build_partial(), inner.build());
            let bytes = tunnelled(&partial, &complete, is_v4, has_checksum);
            let before = (bytes.len() - partial.len()) as u16;
            let offload = offload(&inner, &partial).shifted(before);
            let frame = Frame::parse(&bytes);
            let wire = to_wire(&frame, &offload);
            assert_eq!(wire.len(), 4);
            let mut joined = Vec::new();
            for bytes in &wire {
                let outer = verified(bytes);
                assert_eq!(bytes[outer.payload.start - 2..][..2] == [0, 0], !has_checksum);
                let inner = &bytes[outer.payload.start + 8..];
                joined.extend_from_slice(&inner[verified(inner).payload]);
            }
            assert_eq!(joined, payload);
            let (bytes, offload) = cut(&frame, &offload, SIZE..3 * SIZE);
            assert_eq!(to_wire(&Frame::parse(&bytes), &offload), wire[1..3]);
        }
    }
}

#[test]
fn what_cannot_be_divided_is_one_segment() {
    let sample = Sample::tcp(ACK, &[1; 3 * SIZE]);
    let bytes = sample.build_partial();
    let frame = Frame::parse(&bytes);
    let right = offload(&sample, &bytes);
    let segmentation = right.segmentation.unwrap();
    let wrong = [
        Segmentation { kind: SegmentationKind::TcpV6, ..segmentation },
        Segmentation { kind: SegmentationKind::Udp, ..segmentation },
        Segmentation { size: 0, ..segmentation },
    ];
    for segmentation in wrong {
        let offload = Offload { segmentation: Some(segmentation), ..right };
        assert!(segments(&frame, &offload).eq(once(0..3 * SIZE)));
        assert_eq!(to_wire(&frame, &offload), [sample.build()]);
        assert_eq!(cut(&frame, &offload, 0..SIZE), (bytes.clone(), offload));
    }
}

#[test]
fn no_bytes_and_offloads_make_it_fail() {
    let mut random = Random(4);
    let samples = samples(&[9; 300]);
    for _ in 0..20_000 {
        let sample = &samples[random.below(samples.len())];
        let mut bytes = sample.build_partial();
        let mut offload = offload(sample, &bytes);
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len().min(90));
            bytes[at] = random.below(256) as u8;
        }
        bytes.truncate(bytes.len() - random.below(2) * random.below(bytes.len()));
        let [start, offset] = [random.below(200) as u16, random.below(70_000) as u16];
        if random.below(3) == 0 {
            offload.checksum = Some(PartialChecksum { start, offset });
        }
        if let Some(segmentation) = &mut offload.segmentation {
            segmentation.size = random.below(400) as u16;
        }
        let frame = Frame::parse(&bytes);
        let length: usize = segments(&frame, &offload).map(|part| part.len()).sum();
        assert!(length <= bytes.len());
        assert_eq!(to_wire(&frame, &offload).len(), segments(&frame, &offload).count());
        let (from, to) = (random.below(400), random.below(400));
        let _ = cut(&frame, &offload, from..to);
    }
    assert_eq!(fold(sum(&[0xff, 0xff, 0, 1])), 1);
}
