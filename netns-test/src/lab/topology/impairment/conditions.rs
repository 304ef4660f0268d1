//! Named conditions of networks. docs/BAD-NETWORKS.md has the source of each number. Pure.

use std::time::Duration;

use crate::lab::topology::impairment::Impairment;

/// # Named conditions
///
/// The first direction, from the first node of the link, is that from the subscriber to the
/// network: `net.link(phone, provider).impair(Impairment::lte())`. The source of each number is in
/// docs/BAD-NETWORKS.md. A further call replaces a number: `Impairment::lte().loss("1%")`.
impl Impairment {
    /// Returns the condition of a local network: 1 Gbit/s, a round-trip time of 0.2 ms.
    #[must_use]
    pub fn lan() -> Self {
        access(micros(200), "1gbit", "1gbit")
    }

    /// Returns the condition of a good Wi-Fi network: 40 Mbit/s from it and 33 Mbit/s to it, a
    /// delay of 1 ms ± 1 ms.
    #[must_use]
    pub fn wifi() -> Self {
        access(millis(2), "33mbit", "40mbit").jitter(millis(1))
    }

    /// Returns the condition of a Wi-Fi network at the edge of its range: 5 Mbit/s from it and
    /// 2 Mbit/s to it, a delay of 20 ms ± 15 ms, a loss of 3% in bursts of 4 packets on average.
    #[must_use]
    pub fn wifi_bad() -> Self {
        access(millis(40), "2mbit", "5mbit").jitter(millis(15)).loss_in_bursts("3%", 4.0)
    }

    /// Returns the condition of EDGE (2G): 240 kbit/s from the network and 200 kbit/s to it, a
    /// round-trip time of 840 ms.
    #[must_use]
    pub fn edge() -> Self {
        access(millis(840), "200kbit", "240kbit")
    }

    /// Returns the condition of UMTS (3G): 1.6 Mbit/s from the network and 768 kbit/s to it, a
    /// round-trip time of 300 ms.
    #[must_use]
    pub fn mobile_3g() -> Self {
        access(millis(300), "768kbit", "1.6mbit")
    }

    /// Returns the condition of LTE (4G): 12 Mbit/s in both directions, a round-trip time of 70 ms.
    #[must_use]
    pub fn lte() -> Self {
        access(millis(70), "12mbit", "12mbit")
    }

    /// Returns the condition of 5G: 168 Mbit/s from the network and 18.7 Mbit/s to it, a round-trip
    /// time of 50 ms.
    #[must_use]
    pub fn mobile_5g() -> Self {
        access(millis(50), "18.7mbit", "168mbit")
    }

    /// Returns the condition of a modem on a telephone line: 49 kbit/s from the network and
    /// 30 kbit/s to it, a round-trip time of 120 ms.
    #[must_use]
    pub fn dial_up() -> Self {
        access(millis(120), "30kbit", "49kbit")
    }

    /// Returns the condition of a digital subscriber line: 1.5 Mbit/s from the network and
    /// 384 kbit/s to it, a round-trip time of 50 ms.
    #[must_use]
    pub fn dsl() -> Self {
        access(millis(50), "384kbit", "1.5mbit")
    }

    /// Returns the condition of a cable modem: 5 Mbit/s from the network and 1 Mbit/s to it, a
    /// round-trip time of 28 ms.
    #[must_use]
    pub fn cable() -> Self {
        access(millis(28), "1mbit", "5mbit")
    }

    /// Returns the condition of a fibre to the home: 20 Mbit/s from the network and 5 Mbit/s to it,
    /// a round-trip time of 4 ms.
    #[must_use]
    pub fn fibre() -> Self {
        access(millis(4), "5mbit", "20mbit")
    }

    /// Returns the condition of satellites in a low orbit: 87 Mbit/s from the network and
    /// 13.5 Mbit/s to it, a round-trip time of 44 ms, a jitter of 5 ms, a loss of 0.5% in bursts of
    /// 5 packets on average.
    #[must_use]
    pub fn leo_satellite() -> Self {
        access(millis(44), "13.5mbit", "87mbit").jitter(millis(5)).loss_in_bursts("0.5%", 5.0)
    }

    /// Returns the condition of a geostationary satellite: 19.3 Mbit/s from the network and
    /// 2.5 Mbit/s to it, a round-trip time of 744 ms.
    #[must_use]
    pub fn geo_satellite() -> Self {
        access(millis(744), "2.5mbit", "19.3mbit")
    }

    /// Returns the condition of a datacentre with a faulty switch: a round-trip time of 0.27 ms, a
    /// loss of 0.2%.
    #[must_use]
    pub fn lossy_datacentre() -> Self {
        Self::new().rtt(micros(270)).loss("0.2%")
    }
}

/// Returns the condition of an access network, with the rates to it and from it.
fn access(round_trip: Duration, to: &str, from: &str) -> Impairment {
    let both = Impairment::new().rtt(round_trip);
    both.clone().rate(to).back(both.rate(from))
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
