//! Packets in a few words. Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::{Frame, Transport};
use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::impair::rule::packet::view::PacketView;

/// Returns a packet as in `client:40000 -> server:80  TCP SYN`. Addresses are named by `names`.
pub(crate) fn summary(bytes: &[u8], names: &[(IpAddr, String)]) -> String {
    let frame = Frame::parse(bytes);
    let packet = PacketView::new(&frame);
    let Some((source, destination)) = packet.source().zip(packet.destination()) else {
        return format!("a frame of EtherType {:#06x}, {} bytes", frame.ethertype, bytes.len());
    };
    let ports = packet.ports().map(|ports| ports.map(|port| port.to_string()));
    let [from, to] = ports.map_or([None, None], |ports| ports.map(Some));
    let (from, to) = (endpoint(source, from, names), endpoint(destination, to, names));
    format!("{from} -> {to}  {}", content(&packet))
}

/// Returns the name of an address, with a port.
pub(crate) fn endpoint(
    address: IpAddr,
    port: Option<String>,
    names: &[(IpAddr, String)],
) -> String {
    let known = names.iter().find(|(known, _)| *known == address).map(|(_, name)| name.clone());
    match (known, port) {
        (Some(name), Some(port)) => format!("{name}:{port}"),
        (Some(name), None) => name,
        (None, Some(port)) if address.is_ipv6() => format!("[{address}]:{port}"),
        (None, Some(port)) => format!("{address}:{port}"),
        (None, None) => address.to_string(),
    }
}

/// Returns the protocol of a packet with its flags, its type or its length.
fn content(packet: &PacketView<'_>) -> String {
    let frame = packet.frame();
    let length = packet.payload().len();
    match frame.transport {
        _ if frame.ip.is_none() => "ARP".to_owned(),
        Transport::Tcp(tcp) => {
            let flags = flags(tcp.flags);
            if length == 0 {
                format!("TCP {flags}")
            } else {
                format!("TCP {flags}, {length} bytes")
            }
        }
        Transport::Udp { .. } => format!("UDP {length} bytes"),
        Transport::Icmp { kind, code, .. } => {
            let version = if packet.source().is_some_and(|one| one.is_ipv6()) { "v6" } else { "" };
            format!("ICMP{version} type {kind} code {code}")
        }
        Transport::Other => {
            format!("protocol {}, {length} bytes", packet.protocol().unwrap_or_default())
        }
    }
}

/// Returns the names of TCP flags, without PSH, which depends on the writes of the sender.
pub(crate) fn flags(bits: u8) -> String {
    TcpFlags::from_bits(bits & !TcpFlags::PSH.bits()).to_string().replace('|', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::impair::frame::samples::Sample;

    #[test]
    fn random_bytes_have_a_summary() {
        let mut state = 11_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        for round in 0..50_000 {
            let mut bytes: Vec<u8> = (0..usize::from(next())).map(|_| next()).collect();
            if let Some(start) = bytes.get_mut(12..15) {
                let kinds = [[8, 0, 0x45], [0x86, 0xdd, 0x60], [0x81, 0, 8], [8, 6, 0]];
                start.copy_from_slice(&kinds[round % 4]);
            }
            assert!(!summary(&bytes, &[]).is_empty());
        }
        let whole = Sample::udp(b"payload").build();
        for end in 0..whole.len() {
            assert!(!summary(&whole[..end], &[]).is_empty());
        }
        assert!(summary(&whole, &[]).ends_with("UDP 7 bytes"), "{}", summary(&whole, &[]));
    }
}
