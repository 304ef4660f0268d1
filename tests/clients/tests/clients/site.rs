//! A client and a server with one impaired link, and what they send each other.

use std::net::IpAddr;

use netns_test::lab::Impairment;
use netns_test::{Lab, LinkId, NodeId, Topology};

/// Bytes that a client sends.
pub(crate) const REQUEST: usize = 4_000;

/// Bytes that the server answers.
pub(crate) const ANSWER: usize = 16_000;

pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) client: NodeId,
    pub(crate) server: NodeId,
    wan: LinkId,
}

/// Makes an exchange with a server over each family, both at once.
pub(crate) async fn over_both(impairment: Impairment, exchange: impl AsyncFn(&Site, IpAddr)) {
    let site = Site::new(impairment);
    let [ipv4, ipv6] = site.addresses();
    tokio::join!(exchange(&site, ipv4), exchange(&site, ipv6));
    site.check();
}

impl Site {
    fn new(impairment: Impairment) -> Self {
        let mut net = Topology::new();
        let (client, server) = (net.host("client"), net.host("server"));
        let wan = net.link(client, server).name("wan").impair(impairment).id();
        let lab = net.build().unwrap();
        Self { lab, client, server, wan }
    }

    /// Returns the server's addresses, of both families.
    fn addresses(&self) -> [IpAddr; 2] {
        let addresses = self.lab.plan().addresses_of(self.server);
        let of = |is_ipv4| *addresses.iter().find(|one| one.is_ipv4() == is_ipv4).unwrap();
        [of(true), of(false)]
    }

    /// Checks that the link has carried an exchange over each family.
    fn check(&self) {
        let stats = self.lab[self.wan].stats().unwrap();
        for (from, bytes) in stats.from.iter().zip([REQUEST, ANSWER]) {
            assert!(from.sent_bytes > 2 * bytes as u64, "{stats}");
        }
    }
}

/// Returns bytes that repeat only after a long time.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
