//! The same sockets as the files in `/proc/<pid>/net` show them (proc(5)): no kernel lacks these
//! files, and none prints them fast. No input or output.

use std::net::{IpAddr, SocketAddr};

use crate::netlink::sock_diag::socket::{Protocol, Socket};

/// Parses a line as `  0: 0100007F:0050 00000000:0000 0A ...`. Returns none for the heading.
pub(crate) fn parse(protocol: Protocol, line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (unsent, unread) = fields.next()?.split_once(':')?;
    let length = |text: &str| u32::from_str_radix(text, 16).ok();
    // After the timer; the timeout is before the inode.
    let retransmits = length(fields.nth(1)?)?;
    let uid = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let drops = fields.nth(2).filter(|_| protocol == Protocol::Udp);
    Some(Socket {
        protocol,
        local,
        remote,
        state,
        inode,
        uid,
        unread: length(unread)?,
        unsent: length(unsent)?,
        backlog: None,
        interface: None,
        is_ipv6_only: None,
        drops: drops.and_then(|field| field.parse().ok()),
        retransmits,
        came: None,
    })
}

/// Parses an address, of which the kernel prints each 32-bit word in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = words.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match words.len() {
        8 => IpAddr::from(word(0)?),
        _ => {
            let all = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let bytes: [u8; 16] = all.try_into().ok()?;
            // An IPv6 socket with an IPv4 connection has a mapped address.
            IpAddr::from(bytes).to_canonical()
        }
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints an address as the kernel does.
    fn printed(address: SocketAddr) -> String {
        let octets = match address.ip() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let words = octets.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let words: String = words.map(|word| format!("{word:08X}")).collect();
        format!("{words}:{:04X}", address.port())
    }

    #[test]
    fn lines_are_parsed() {
        for (given, seen) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[fd00::1]:65535", "[fd00::1]:65535"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[::]:0", "[::]:0"),
        ] {
            let (given, seen): (SocketAddr, _) = (given.parse().unwrap(), seen.parse().unwrap());
            let ends = format!("{} {}", printed(given), printed(given));
            let line = format!(
                "   7: {ends} 01 0000000A:00000010 01:00000000 00000002  1000 0 4711 2 0000 9"
            );
            let mut expected = Socket {
                protocol: Protocol::Tcp,
                local: seen,
                remote: seen,
                state: 1,
                inode: 4711,
                uid: 1000,
                unread: 16,
                unsent: 10,
                backlog: None,
                interface: None,
                is_ipv6_only: None,
                drops: None,
                retransmits: 2,
                came: None,
            };
            assert_eq!(parse(Protocol::Tcp, &line), Some(expected.clone()));
            (expected.protocol, expected.drops) = (Protocol::Udp, Some(9));
            assert_eq!(parse(Protocol::Udp, &line), Some(expected));
        }
        assert_eq!(parse(Protocol::Tcp, "  sl  local_address rem_address   st"), None);
        assert_eq!(parse(Protocol::Tcp, ""), None);
    }
}
