//! A table of nftables that drops the IPv4 packets of some senders before the kernel looks at them:
//! also those to multicast groups and broadcast addresses, which an ip rule does not see (nft(8)).

use std::net::Ipv4Addr;

use crate::error::Failure;
use crate::netlink::nft::expression::Header;
use crate::netlink::nft::{Batch, Hook, Nft, Rule};

/// Name of the table.
const TABLE: &str = "netns-test-partition";
const CHAIN: &str = "senders";
/// Priority `raw`: before connection tracking.
const RAW: i32 = -300;
/// Offset of the source address in the IPv4 header.
const SOURCE: u32 = 12;

/// Drops the packets from these addresses in the calling thread's network namespace, in place of
/// those before. `has_table` is whether there were some: then it is an error if the table is gone.
pub(crate) fn drop_from(senders: &[Ipv4Addr], has_table: bool) -> Result<(), Failure> {
    let mut batch = Batch::ipv4(TABLE);
    if has_table {
        batch.delete_table();
    }
    if !senders.is_empty() {
        batch.add_table();
        batch.base_chain(CHAIN, "filter", Hook::Prerouting, RAW);
    }
    for sender in senders {
        let rule = Rule::new(format!("drop from {sender}"));
        batch.rule(CHAIN, &rule.bytes(Header::Network, SOURCE, &sender.octets()).drop());
    }
    batch.commit(&mut Nft::open()?)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_of_a_sender_are_dropped_until_it_is_removed() {
        let work = || {
            // Without the right to do so, or without nftables, there is nothing to drop.
            crate::sys::ns::nsfs::unshare_network().ok()?;
            let lo = crate::sys::net::ifreq::socket().unwrap();
            crate::sys::net::ifreq::loopback_up(&lo).unwrap();
            let address = |last| Ipv4Addr::new(127, 0, 0, last);
            drop_from(&[address(2), address(3)], false).ok()?;
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let to = receiver.local_addr().unwrap();
            let send = |last| {
                UdpSocket::bind((address(last), 0)).unwrap().send_to(&[last], to).unwrap();
            };
            let mut last = [0];
            let mut arrived = || {
                receiver.recv(&mut last).unwrap();
                last[0]
            };
            [2, 3, 4].into_iter().for_each(send);
            assert_eq!(arrived(), 4);
            drop_from(&[address(3)], true).unwrap();
            [3, 2].into_iter().for_each(send);
            assert_eq!(arrived(), 2);
            drop_from(&[], true).unwrap();
            send(3);
            assert_eq!(arrived(), 3);
            let gone = drop_from(&[], true).unwrap_err();
            assert_eq!(gone.errno, Some(crate::sys::errno::ENOENT));
            Some(())
        };
        std::thread::spawn(work).join().unwrap();
    }
}
