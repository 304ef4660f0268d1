//! A socket as the kernel describes it, and its states. Pure.

use std::net::SocketAddr;

/// Transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[cfg_attr(not(feature = "lab"), expect(unreachable_pub, reason = "the lab shows it"))]
pub enum Protocol {
    /// TCP: streams.
    Tcp,
    /// UDP: datagrams.
    Udp,
}

/// State of a connection, by the number of the kernel's `include/net/tcp_states.h`.
#[cfg(feature = "lab")]
pub(crate) const ESTABLISHED: u8 = 1;
/// State of a UDP socket that is not connected.
#[cfg(feature = "lab")]
pub(crate) const CLOSED: u8 = 7;
pub(crate) const LISTENING: u8 = 10;

/// All states that `/proc` shows, too, a bit each: 1 (established) to 12 (`TCP_NEW_SYN_RECV`).
pub(crate) const ALL_STATES: u32 = 0x1ffe;

/// A TCP or UDP socket. What only `sock_diag(7)` knows is none in a reading of `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) protocol: Protocol,
    /// The local address. One of IPv4 that an IPv6 socket uses (mapped) is shown as IPv4.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The kernel's number of the state.
    pub(crate) state: u8,
    /// The inode number of the descriptor; 0 once the socket is closed.
    pub(crate) inode: u32,
    /// The user id of the owner; 0 once a TCP socket is closed.
    pub(crate) uid: u32,
    /// Bytes that the program has not read; connections that it has not accepted, of a listener.
    pub(crate) unread: u32,
    /// Bytes that the peer has not acknowledged, of TCP; that are not sent, of UDP.
    pub(crate) unsent: u32,
    /// The most connections that may wait to be accepted, of a listener.
    pub(crate) backlog: Option<u32>,
    /// The index of the interface that the socket is bound to (`SO_BINDTODEVICE`); 0 for none.
    pub(crate) interface: Option<u32>,
    /// Whether an IPv6 socket without a connection refuses IPv4.
    pub(crate) is_ipv6_only: Option<bool>,
    /// Datagrams that were dropped as the receive buffer was full; requests for a connection, of a
    /// listener. `/proc` has those of UDP only.
    pub(crate) drops: Option<u64>,
    /// Retransmissions of the oldest segment that is not acknowledged.
    pub(crate) retransmits: u32,
    /// Bytes that a TCP socket has received in all.
    pub(crate) came: Option<u64>,
}
