//! The choice of sockets to read: no input or output.

use crate::netlink::sock_diag::socket::{ALL_STATES, LISTENING, Protocol};

/// The sockets to read. Fewer are cheaper: listeners have a table of their own, which is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// Listeners of TCP, and all of UDP.
    Services,
    /// All of TCP but listeners.
    Connections,
}

impl Wanted {
    /// Returns the wanted states of a protocol, a bit each.
    pub(crate) fn states(self, protocol: Protocol) -> u32 {
        const LISTENERS: u32 = 1 << LISTENING;
        match (self, protocol) {
            (Self::All, _) | (Self::Services, Protocol::Udp) => ALL_STATES,
            (Self::Services, Protocol::Tcp) => LISTENERS,
            (Self::Connections, Protocol::Tcp) => ALL_STATES & !LISTENERS,
            (Self::Connections, Protocol::Udp) => 0,
        }
    }
}

#[test]
fn only_wanted_states_are_asked_for() {
    let states = |wanted: Wanted| [Protocol::Tcp, Protocol::Udp].map(|one| wanted.states(one));
    assert_eq!(states(Wanted::Services), [0x400, 0x1ffe]);
    assert_eq!(states(Wanted::Connections), [0x1bfe, 0]);
}
