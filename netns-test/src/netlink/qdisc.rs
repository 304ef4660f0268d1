//! Queueing disciplines: what a link does with the packets that wait to be sent.
//!
//! `rtnetlink` has types for few of them, so their options are laid out here as
//! `linux/pkt_sched.h` has them.

use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::link::Link;
use crate::netlink::message::attribute;

/// A queueing discipline for the root of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Qdisc {
    /// Emulates a line, here a perfect one that holds `limit` packets.
    Netem { limit: u32 },
    /// Sends `rate` bytes a second, after `burst` bytes at once; holds `limit` bytes.
    Tbf { rate: u32, burst: u32, limit: u32 },
    /// Shares a rate among classes, of which it has none yet.
    Htb,
    /// Shares the link fairly, and keeps the queue short.
    FqCodel,
}

impl Qdisc {
    /// Returns the kernel's name for it.
    fn name(self) -> &'static str {
        match self {
            Qdisc::Netem { .. } => "netem",
            Qdisc::Tbf { .. } => "tbf",
            Qdisc::Htb => "htb",
            Qdisc::FqCodel => "fq_codel",
        }
    }

    /// Returns the value of `TCA_OPTIONS`, if it needs options.
    fn options(self) -> Option<Vec<u8>> {
        match self {
            Qdisc::Netem { limit } => Some(netem(limit)),
            Qdisc::Tbf { rate, burst, limit } => Some(tbf(rate, burst, limit)),
            Qdisc::Htb => Some(htb()),
            Qdisc::FqCodel => None,
        }
    }

    /// Adds it at the root of `link`, which must not have one.
    pub(crate) fn add(self, netlink: &Netlink, link: &Link) -> Result<(), Failure> {
        /// `TCA_OPTIONS`
        const OPTIONS: u16 = 2;
        let mut message = root(link)?;
        message.attributes.push(TcAttribute::Kind(self.name().to_owned()));
        if let Some(options) = self.options() {
            message.attributes.push(TcAttribute::Other(DefaultNla::new(OPTIONS, options)));
        }
        let object = format!("qdisc {} on {}", self.name(), link.name());
        let request = RouteNetlinkMessage::NewQueueDiscipline(message);
        netlink.ask("add", &object, request, NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(())
    }
}

/// Removes the qdisc that was put at the root of `link`; the kernel's default takes its place.
pub(crate) fn delete(netlink: &Netlink, link: &Link) -> Result<(), Failure> {
    let object = format!("qdisc on {}", link.name());
    let request = RouteNetlinkMessage::DelQueueDiscipline(root(link)?);
    netlink.ask("delete", &object, request, 0)?;
    Ok(())
}

fn root(link: &Link) -> Result<TcMessage, Failure> {
    let index = i32::try_from(link.index()).map_err(|error| {
        Failure::new("find", format!("link {}", link.name()), error.to_string())
    })?;
    let mut message = TcMessage::with_index(index);
    message.header.parent = TcHandle::ROOT;
    Ok(message)
}

/// `tc_netem_qopt`: latency, limit, loss, gap, duplicate, jitter.
fn netem(limit: u32) -> Vec<u8> {
    [0, limit, 0, 0, 0, 0].map(u32::to_ne_bytes).concat()
}

/// `TCA_TBF_PARMS` with a `tc_tbf_qopt` (rate, peak rate, limit, buffer, MTU), and the burst.
fn tbf(rate: u32, burst: u32, limit: u32) -> Vec<u8> {
    /// `TCA_TBF_PARMS`
    const PARAMETERS: u16 = 1;
    /// `TCA_TBF_BURST`, which takes the place of the buffer: bytes instead of time.
    const BURST: u16 = 6;
    let no_peak_rate = [0; RATE_LENGTH];
    let numbers = [limit, 0, 0].map(u32::to_ne_bytes).concat();
    let parameters = [&rate_spec(rate)[..], &no_peak_rate, &numbers].concat();
    [attribute(PARAMETERS, &parameters), attribute(BURST, &burst.to_ne_bytes())].concat()
}

const RATE_LENGTH: usize = 12;

/// `tc_ratespec`: cell size and link layer (bytes), overhead, cell alignment and minimal packet
/// size (two bytes each), rate.
fn rate_spec(rate: u32) -> [u8; RATE_LENGTH] {
    /// `TC_LINKLAYER_ETHERNET`: the kernel works with the rate, not with a table of times.
    const ETHERNET: u8 = 1;
    let mut bytes = [0; RATE_LENGTH];
    bytes[1] = ETHERNET;
    bytes[8..].copy_from_slice(&rate.to_ne_bytes());
    bytes
}

/// `TCA_HTB_INIT` with a `tc_htb_glob`: version, rate to quantum, default class, debug, count.
fn htb() -> Vec<u8> {
    /// `TCA_HTB_INIT`
    const INIT: u16 = 2;
    attribute(INIT, &[3_u32, 10, 0, 0, 0].map(u32::to_ne_bytes).concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_as_long_as_the_kernels_structures() {
        assert_eq!(netem(1000).len(), 24);
        assert_eq!(netem(1000)[4..8], 1000_u32.to_ne_bytes());
        let options = tbf(125_000, 1600, 3000);
        assert_eq!(options.len(), 4 + 36 + 4 + 4);
        assert_eq!(options[4 + 8..4 + 12], 125_000_u32.to_ne_bytes());
        assert_eq!(options[4 + 24..4 + 28], 3000_u32.to_ne_bytes());
        assert_eq!(options[4 + 36 + 4..], 1600_u32.to_ne_bytes());
        assert_eq!(htb().len(), 4 + 20);
    }
}
