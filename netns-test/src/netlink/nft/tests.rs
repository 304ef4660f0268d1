//! The bytes of messages, and what the kernel says about them.

use std::time::Duration;

use crate::netlink::nft::comment::comment_in;
use crate::netlink::nft::expression::{Flow, Header};
use crate::netlink::nft::rule::Found;
use crate::netlink::nft::{Batch, Element, Hook, Kind, Nft, Rule, Set};

/// A batch with a table, a chain, a map, a set of ranges, and a rule: written by another program,
/// and accepted by the kernel.
#[cfg(target_endian = "little")]
const BATCH: &str = "\
     140000001000010064000000000000000000000a1c000000000a0104650000000000000001000000\
     06000100740000004c000000030a0104660000000000000001000000060001007400000006000300\
     6300000014000480080001000000000208000200fffffff608000500000000010b00070066696c74\
     6572000060000000090a01046700000000000000010000000600010074000000060002006d000000\
     080003000000003808000400000001cd0800050000000008080006000000000d0800070000000002\
     0c000980080001000004000008000a000000000144000000090a0104680000000000000001000000\
     060001007400000006000200700000000800030000000004080004000000000d0800050000000002\
     08000a0000000002500000000c0a0104690000000000000001000000060001007400000006000200\
     700000002c000380100001800c0001800600010000500000180001800c0001800600010000520000\
     0800030000000001fc010000060a050c6a0000000000000001000000060001007400000006000200\
     63000000cc01048024000180090001006d6574610000000014000280080001000000001708000200\
     000000102c00018008000100636d700020000280080001000000001708000200000000000c000380\
     0500010011000000340001800c0001007061796c6f61640024000280080001000000000808000200\
     0000000208000300000000020800040000000002240001800b0001006c6f6f6b7570000014000280\
     060001007000000008000200000000082800018007000100637400001c0002800800010000000008\
     080002000000001305000300000000002800018007000100637400001c0002800800010000000009\
     080002000000000b0500030000000000340001800c0001007061796c6f6164002400028008000100\
     0000000a080002000000000208000300000000000800040000000002400001800b00010064796e73\
     6574000030000280060001006d00000008000300000000010800040000000008080005000000000a\
     0c0006000000000000000bb82c0001800c000100636f756e746572001c0002800c00010000000000\
     000000000c0002000000000000000000300001800e000100696d6d6564696174650000001c000280\
     0800010000000000100002800c00028008000100000000000b000700000564726f70000014000000\
     110001006b000000000000000000000a";

fn sample() -> Batch {
    let mut batch = Batch::new("t");
    batch.add_table();
    batch.base_chain("c", "filter", Hook::Forward, -10);
    batch.set(&Set::of("m", &[Kind::Ipv4, Kind::Port]).to(&[Kind::Port]).dynamic());
    batch.set(&Set::of("p", &[Kind::Port]).ranges());
    batch.elements("p", &Element::ranges_of_ports(&[80..=80, 81..=81]));
    let rule = Rule::new("drop").protocol(17).bytes_in(Header::Transport, 2, 2, "p");
    let rule = rule.flow(Flow::SourceIpv4, Some(0), 0).flow(Flow::SourcePort, Some(0), 1);
    let rule = rule.payload(Header::Transport, 0, 2, 2);
    let rule = rule.update("m", 0, Some(2), Duration::from_secs(3));
    batch.rule("c", &rule.counted().drop());
    batch
}

#[cfg(target_endian = "little")]
#[test]
fn a_batch_has_the_bytes_of_the_kernels_headers() {
    let hex: String = sample().bytes(100).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, BATCH);
}

#[test]
fn ranges_of_ports_are_merged() {
    let ends = |ranges: &[std::ops::RangeInclusive<u16>]| -> Vec<(u16, bool)> {
        let all = Element::ranges_of_ports(ranges);
        all.iter().map(|one| (u16::from_be_bytes([one.key[0], one.key[1]]), one.is_end)).collect()
    };
    assert_eq!(ends(&[80..=80]), [(80, false), (81, true)]);
    let ranges = [443..=443, 10..=20, 15..=30, 31..=32, 12..=13];
    assert_eq!(ends(&ranges), [(10, false), (33, true), (443, false), (444, true)]);
    assert_eq!(ends(&[60000..=65535]), [(60000, false)]);
    assert_eq!(ends(&[]), []);
}

#[test]
fn comments_are_cut_between_characters() {
    let comment = |text: &str| {
        let bytes = crate::netlink::nft::comment::comment(text, None);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
        let numbered = crate::netlink::nft::comment::comment(text, Some(7));
        assert_eq!(crate::netlink::nft::comment::number_in(&bytes), None);
        assert_eq!(crate::netlink::nft::comment::number_in(&numbered), Some(7));
        assert_eq!(comment_in(&numbered), comment_in(&bytes));
        comment_in(&bytes).unwrap()
    };
    assert_eq!(comment("drop out udp"), "drop out udp");
    assert_eq!(comment(&"ö".repeat(100)), "ö".repeat(63));
    assert_eq!(comment_in(&[1, 2, b'a', 0]), None);
    assert_eq!(comment_in(&[0, 9, b'a', 0]), None);
    assert_eq!(comment_in(&[]), None);
}

/// Runs `work` in a network of its own, if the caller may make one.
fn inside(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let work = || {
            if crate::sys::ns::nsfs::unshare_network().is_ok() {
                work();
            }
        };
        scope.spawn(work).join().unwrap();
    });
}

#[test]
fn the_kernel_has_what_was_added() {
    inside(|| {
        let mut nft = Nft::open().unwrap();
        assert_eq!(nft.chains("t").unwrap(), Vec::<String>::new());
        assert_eq!(nft.elements("t", "p").unwrap(), []);
        sample().commit(&mut nft).unwrap();
        assert_eq!(nft.chains("t").unwrap(), ["c"]);
        let sets = nft.sets("t").unwrap();
        let map = Set::of("m", &[Kind::Ipv4, Kind::Port]).to(&[Kind::Port]).dynamic();
        assert_eq!((sets[0].name.as_str(), sets[0].shape), ("m", map.shape()));
        assert_eq!(nft.elements("t", "p").unwrap().len(), 2);
        let rules = nft.counted("t").unwrap();
        assert_eq!((rules[0].text.as_str(), rules[0].packets), ("drop", 0));
        let mut batch = Batch::new("t");
        batch.delete_table();
        batch.commit(&mut nft).unwrap();
        assert_eq!(nft.counted("t").unwrap(), []);
    });
}

#[test]
fn an_error_names_the_rule_and_nothing_is_changed() {
    inside(|| {
        let mut nft = Nft::open().unwrap();
        let mut batch = sample();
        batch.rule("c", &Rule::new("firewall of home: drop all").jump("nowhere"));
        batch.rule("c", &Rule::new("another one").jump("nowhere"));
        let error = batch.commit(&mut nft).unwrap_err().to_string();
        let start = "add rule \"firewall of home: drop all\" to chain c of nftables table inet t: \
                     ENOENT";
        assert!(error.starts_with(start), "{error}");
        assert_eq!(nft.chains("t").unwrap(), Vec::<String>::new());
        // The socket can be used on, and errors that were not read are no answers.
        sample().commit(&mut nft).unwrap();
        assert_eq!(nft.chains("t").unwrap(), ["c"]);
    });
}

#[test]
fn a_part_that_the_kernel_may_lack_is_named() {
    let mut batch = sample();
    let found = Found { set: "m", key: 0, data: 1 };
    batch.rule("c", &Rule::new("nat").find(found).masquerade(Some(1)));
    let failure = batch.failure(7, &std::io::Error::from_raw_os_error(crate::sys::errno::ENOENT));
    assert!(failure.to_string().contains("lack a part that this needs: nft_masq;"), "{failure}");
    let error = std::io::Error::from_raw_os_error(crate::sys::errno::EOPNOTSUPP);
    let failure = batch.failure(0, &error).to_string();
    assert!(failure.contains("nf_tables"), "{failure}");
}
