//! Tables of sockets that are read from files, not by netlink: `/proc/net/{unix,netlink,packet}`.
//! Pure.

use crate::evidence::facts::network::{Protocol, Socket, SocketState};

/// Parses `/proc/net/unix`.
pub(super) fn unix(text: &str) -> Vec<Socket> {
    let socket = |line: &str| {
        let mut rest = line;
        let mut next = || {
            let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after.trim_start();
            field
        };
        let [_, _, _, flags, _, state, inode] = [(); 7].map(|()| next());
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // A path may contain blanks.
        let path = rest;
        Some(Socket {
            protocol: Protocol::Unix,
            state: match state {
                // `__SO_ACCEPTCON`
                _ if flags & 1 << 16 != 0 => SocketState::Listen,
                "02" => SocketState::SynSent,
                "03" => SocketState::Established,
                _ => SocketState::Close,
            },
            inode: inode.parse().ok()?,
            path: path.to_owned(),
            ..Socket::default()
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Parses `/proc/net/netlink`. The kernel's own sockets are left out.
pub(super) fn netlink(text: &str) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode: u64 = fields.get(9)?.parse().ok()?;
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        (inode != 0).then(|| Socket {
            protocol: Protocol::Netlink,
            inode,
            received: number(4).and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
            drops: number(8),
            ..Socket::default()
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Parses `/proc/net/packet`.
pub(super) fn packet(text: &str) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some(Socket {
            protocol: Protocol::Packet,
            device: fields.get(4)?.parse().ok()?,
            received: fields.get(6)?.parse().ok()?,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(8)?.parse().ok()?,
            ..Socket::default()
        })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Returns whether asking for the rules of nftables loads no module: the kernel's table of netlink
/// sockets shows the subsystem that they belong to. As a module, it may be there without them.
pub(super) fn has_nf_tables(netlink: &str, modules: &str) -> bool {
    /// `NETLINK_NETFILTER`
    const NETFILTER: &str = "12";
    let is_loaded = |name: &str| modules.lines().any(|line| line.split(' ').next() == Some(name));
    let mut protocols = netlink.lines().filter_map(|line| line.split_whitespace().nth(1));
    protocols.any(|protocol| protocol == NETFILTER)
        && (is_loaded("nf_tables") || !is_loaded("nfnetlink"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_sockets_have_paths() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 25901 /run/a b.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03   901\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 25903 @abstract\n\
            broken line\n";
        let found: Vec<_> =
            unix(text).into_iter().map(|one| (one.inode, one.state, one.path)).collect();
        let expected = [
            (25901, SocketState::Listen, "/run/a b.sock".to_owned()),
            (901, SocketState::Established, String::new()),
            (25903, SocketState::Close, "@abstract".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn other_sockets_have_inodes() {
        let text = "sk               Eth Pid        Groups   Rmem Wmem Dump Locks Drops Inode\n\
            0000000000000000 0   0          00000000 0    0    0    2     0     0\n\
            0000000000000000 16  4711       00000000 384  0    0    2     3     812\n";
        let found = netlink(text);
        assert_eq!((found.len(), found[0].inode, found[0].received), (1, 812, 384));
        assert_eq!(found[0].drops, Some(3));
        let text = "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n\
            0000000000000000 3      3    0003   2     1 0      1000   913\n";
        let found = packet(text);
        assert_eq!((found[0].device, found[0].uid, found[0].inode), (2, 1000, 913));
    }

    #[test]
    fn no_module_is_loaded_to_list_its_rules() {
        let with = "sk Eth Pid\n0000000000000000 12  0 00000000\n";
        let without = "sk Eth Pid\n0000000000000000 16  0 00000000\n";
        let (both, one) = ("nf_tables 1 0\nnfnetlink 1 1\n", "nfnetlink 1 1\n");
        let cases = [(with, both), (with, ""), (with, one), (without, both), (without, "")];
        let found = cases.map(|(netlink, modules)| has_nf_tables(netlink, modules));
        assert_eq!(found, [true, true, false, false, false]);
    }
}
