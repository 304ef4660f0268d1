//! Measures how long an unused UDP mapping lasts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::error::{Kind, Result};
use crate::lab::observe::probe::ends::{End, Pair, Probe};
use crate::lab::observe::wait::limit::Wait;
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::run::node::Node;

/// Number of sockets of a measurement. Each is examined once, at an age of its own.
const SOCKETS: usize = 64;

/// Number of the ages that are [`STEP`] apart; each later one is 1/8 more than the one before.
const EVEN: usize = 32;

const STEP: Duration = Duration::from_millis(250);

/// Longest sleep between two looks at the deadline.
const PAUSE: Duration = Duration::from_millis(50);

/// Measured time-out of unused UDP mappings ([`Wait::udp_mapping_lifetime`]).
///
/// The bounds hold also on a loaded machine, where they are further apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingLifetime {
    /// Age at which a mapping still passed a packet.
    pub at_least: Duration,
    /// Age at which a mapping no longer did.
    pub at_most: Duration,
}

impl MappingLifetime {
    /// Returns whether a time-out is between the bounds.
    #[must_use]
    pub fn contains(&self, timeout: Duration) -> bool {
        (self.at_least..=self.at_most).contains(&timeout)
    }
}

/// Writes `1.75s to 2.01s`.
impl fmt::Display for MappingLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {:?}", self.at_least, self.at_most)
    }
}

impl<'lab, M: WaitMode> Wait<'lab, Node, M> {
    /// Measures how long the NAT between this node and a server keeps an unused UDP mapping (RFC
    /// 4787, section 4.3). It opens 64 mappings at once and sends to each from the server once,
    /// at ages 250 ms apart, later further. So it takes as long as the time-out.
    ///
    /// A filter or firewall that forgets an answered flow counts as the end of a mapping.
    ///
    /// # Errors
    ///
    /// At the limit, while mappings last. As [`Lab::nat_kind`](crate::Lab::nat_kind) otherwise.
    #[must_use]
    #[track_caller]
    pub fn udp_mapping_lifetime(&self, server: &Node) -> M::Output<'lab, MappingLifetime> {
        let server = server.share();
        self.on_node(Location::caller(), move |client, deadline| {
            measure(&Probe::new(&[client, &server], deadline)?)
        })
    }
}

fn measure(probe: &Probe<'_>) -> Result<MappingLifetime> {
    let [server, ..]: [End; 1] = probe.open(1, probe.server_address(1, true)?)?;
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let [marker]: [End; 1] = probe.open(0, any)?;
    let marker = Pair { inside: &marker, outside: &server };
    let ends: [End; SOCKETS] = probe.open(0, any)?;
    let mut opened = Vec::new();
    for inside in &ends {
        let before = Instant::now();
        let seen = probe.there_and_back(Pair { inside, outside: &server })?;
        opened.push((inside, seen, before, Instant::now()));
    }
    let mut at_least = Duration::ZERO;
    for ((inside, seen, before, after), age) in opened.into_iter().zip(ages()) {
        let why = || format!("unused mappings last longer than {at_least:?}: none has ended");
        wait_until(probe, after + age, why)?;
        let sent = Instant::now();
        let heard = probe.marked(inside, marker, |probe| {
            probe.send(&server, seen);
            Ok(())
        })?;
        if heard.is_none() {
            return Ok(MappingLifetime { at_least, at_most: before.elapsed() });
        }
        at_least = at_least.max(sent - after);
    }
    let reason = format!("unused mappings last longer than {at_least:?}");
    Err(probe.failure(reason).of(Kind::Timeout).into())
}

fn wait_until(probe: &Probe<'_>, time: Instant, why: impl Fn() -> String) -> Result<()> {
    loop {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(PAUSE));
        probe.go_on(&why)?;
    }
}

/// Returns the ages at which mappings are examined.
fn ages() -> impl Iterator<Item = Duration> {
    let even = (1..=EVEN as u32).map(|at| STEP * at);
    let last = STEP * EVEN as u32;
    even.chain(std::iter::successors(Some(last * 9 / 8), |age| Some(*age * 9 / 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_reach_the_time_out_that_rfc_4787_asks_for() {
        let ages: Vec<Duration> = ages().take(SOCKETS).collect();
        assert_eq!(ages[..2], [STEP, 2 * STEP]);
        assert!(ages.is_sorted_by(|one, next| one < next));
        assert!(ages[SOCKETS - 1] > Duration::from_secs(300), "{ages:?}");
    }

    #[test]
    fn bounds_contain_what_is_between_them() {
        let [at_least, at_most] = [1750, 2010].map(Duration::from_millis);
        let lifetime = MappingLifetime { at_least, at_most };
        assert!(lifetime.contains(Duration::from_secs(2)));
        assert!(!lifetime.contains(Duration::from_secs(3)));
        assert_eq!(lifetime.to_string(), "1.75s to 2.01s");
    }
}
