//! A table of nftables that drops the IPv4 packets of some senders before the kernel looks at them:
//! also those to multicast groups and broadcast addresses, which an ip rule does not see (nft(8),
//! `linux/netfilter/nf_tables.h`).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

use crate::netlink::message::{HEADER, attribute, framed};
use crate::sys::net::netlink;

/// Name of the table.
const TABLE: &[u8] = b"netns-test-partition\0";
const CHAIN: &[u8] = b"senders\0";

/// `NETLINK_NETFILTER`
const NETFILTER: i32 = 12;
/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`, with the number of the subsystem.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const OF_BATCH: [u8; 4] = [0, 0, 0, 10];
/// `NFT_MSG_NEWTABLE`, `NFT_MSG_DELTABLE`, `NFT_MSG_NEWCHAIN`, `NFT_MSG_NEWRULE`
const NEW_TABLE: u16 = 10 << 8;
const DELETE_TABLE: u16 = 10 << 8 | 2;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const NEW_RULE: u16 = 10 << 8 | 6;
/// `nfgenmsg` of the family `ip`.
const IPV4: [u8; 4] = [2, 0, 0, 0];
/// `NLM_F_REQUEST`, and with `NLM_F_CREATE`, `NLM_F_APPEND`.
const REQUEST: u16 = 0x1;
const ADD: u16 = 0x1 | 0x400 | 0x800;
/// Hook `prerouting`, and its priority `raw`: before connection tracking.
const PREROUTING: u32 = 0;
const RAW: i32 = -300;
/// Offset of the source address in the IPv4 header.
const SOURCE: u32 = 12;
/// `NFT_REG_1`
const REGISTER: u32 = 1;

/// Drops the packets from these addresses in the calling thread's network namespace, in place of
/// those before. `has_table` is whether there were some: then it is an error if the table is gone.
pub(crate) fn drop_from(senders: &[Ipv4Addr], has_table: bool) -> io::Result<()> {
    let mut batch = vec![message(BEGIN, REQUEST, OF_BATCH, &[])];
    if has_table {
        batch.push(message(DELETE_TABLE, REQUEST, IPV4, &[attribute(1, TABLE)]));
    }
    if !senders.is_empty() {
        batch.push(message(NEW_TABLE, ADD, IPV4, &[attribute(1, TABLE)]));
        batch.push(chain());
        batch.extend(senders.iter().map(|sender| rule(*sender)));
    }
    batch.push(message(END, REQUEST, OF_BATCH, &[]));
    let socket = netlink::open(NETFILTER)?;
    netlink::send(socket.as_fd(), &batch.concat())?;
    let mut buffer = vec![0; 4096];
    match netlink::receive(socket.as_fd(), &mut buffer) {
        // The kernel answers errors only.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let code = buffer[HEADER..].first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
            Err(io::Error::from_raw_os_error(code.saturating_neg()))
        }
    }
}

fn chain() -> Vec<u8> {
    let hook = [attribute(1, &PREROUTING.to_be_bytes()), attribute(2, &RAW.to_be_bytes())];
    let names = [attribute(1, TABLE), attribute(3, CHAIN)];
    let rest = [attribute(4, &hook.concat()), attribute(7, b"filter\0")];
    message(NEW_CHAIN, ADD, IPV4, &[names, rest].concat())
}

/// `ip saddr SENDER drop`
fn rule(sender: Ipv4Addr) -> Vec<u8> {
    let number = |kind: u16, number: u32| attribute(kind, &number.to_be_bytes());
    let load = [number(1, REGISTER), number(2, 1), number(3, SOURCE), number(4, 4)];
    let value = attribute(3, &attribute(1, &sender.octets()));
    let compare = [number(1, REGISTER), number(2, 0), value];
    // The verdict `NF_DROP`, in the register of verdicts.
    let verdict = [number(1, 0), attribute(2, &attribute(2, &number(1, 0)))];
    let all = [
        expression(b"payload\0", &load.concat()),
        expression(b"cmp\0", &compare.concat()),
        expression(b"immediate\0", &verdict.concat()),
    ];
    let names = [attribute(1, TABLE), attribute(2, CHAIN)];
    message(NEW_RULE, ADD, IPV4, &[&names[..], &[attribute(4, &all.concat())]].concat())
}

fn expression(name: &[u8], data: &[u8]) -> Vec<u8> {
    attribute(1, &[attribute(1, name), attribute(2, data)].concat())
}

fn message(kind: u16, flags: u16, head: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
    framed(kind, flags, 0, &[&head[..], &attributes.concat()].concat())
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
            assert_eq!(gone.raw_os_error(), Some(crate::sys::errno::ENOENT));
            Some(())
        };
        std::thread::spawn(work).join().unwrap();
    }
}
