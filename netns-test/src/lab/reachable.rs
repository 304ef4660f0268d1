//! The wait until another node answers.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::cidr::family;
use super::host::Host;
use super::programs::Common;
use super::within::{Deadline, There, Within};
use crate::error::{Failure, Result};
use crate::sys::echo::{Echo, Heard};
use crate::sys::errno;

/// How long an answer is waited for before the next request: at first, and later. The first answer
/// takes much less than that; a network that is not there yet is not to be flooded.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// How long an answer is waited for from each node on the way, when all is over: the kernel sends an
/// ICMP error to the same node once a second, after the first six (`icmp_ratelimit` of icmp(7)).
const LAST: Duration = Duration::from_millis(1200);

/// No plan has a way that is longer.
const MOST_HOPS: u8 = 64;

/// Whom to wait for: a [`Host`] of the lab, its name, or one address.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a>(Who<'a>);

#[derive(Clone, Copy, Debug)]
enum Who<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> From<&'a Host> for Peer<'a> {
    fn from(host: &'a Host) -> Self {
        Self(Who::Name(host.name()))
    }
}

impl<'a> From<&'a str> for Peer<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.parse().map_or(Who::Name(text), Who::Address))
    }
}

impl<'a> From<&'a String> for Peer<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl From<IpAddr> for Peer<'_> {
    fn from(address: IpAddr) -> Self {
        Self(Who::Address(address))
    }
}

impl From<std::net::Ipv4Addr> for Peer<'_> {
    fn from(address: std::net::Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<std::net::Ipv6Addr> for Peer<'_> {
    fn from(address: std::net::Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl Within<'_, Host> {
    /// See [`Host::wait_reachable`].
    ///
    /// # Errors
    ///
    /// As there.
    #[expect(single_use_lifetimes, reason = "one without a name is unstable there")]
    pub fn wait_reachable<'a>(&self, other: impl Into<Peer<'a>>) -> Result<()> {
        let (host, deadline) = (self.of, Deadline::new(self.limit));
        let addresses = addresses(host, other.into().0)?;
        There::on(host).run(|| addresses.iter().try_for_each(|to| reach(host, *to, deadline)))
    }
}

/// Its first address of each family.
fn addresses(host: &Host, who: Who<'_>) -> Result<Vec<IpAddr>> {
    let name = match who {
        Who::Address(address) => return Ok(vec![address]),
        Who::Name(name) => name,
    };
    let own = |is_v4: bool| {
        let mut all = host.common.entries().filter(move |(address, _)| address.is_ipv4() == is_v4);
        all.find(|(_, known)| *known == name).map(|(address, _)| address)
    };
    let found: Vec<_> = [own(true), own(false)].into_iter().flatten().collect();
    if found.is_empty() {
        let mut known: Vec<_> = host.common.entries().map(|(_, name)| name).collect();
        known.retain(|name| !name.starts_with("localhost"));
        known.dedup();
        let failure = Failure::new(
            "wait for",
            format!("{name} to answer {}", host.name()),
            "the lab has no node of this name that has an address",
        );
        return Err(failure.advise(format!("nodes with addresses: {}", known.join(", "))).into());
    }
    Ok(found)
}

/// On a thread of the host.
fn reach(host: &Host, to: IpAddr, deadline: Deadline) -> Result<()> {
    let common = &host.common;
    let subject = format!("{} to answer {} over {}", named(common, to), host.name(), family(to));
    let failed = |error: io::Error| errno::failure("wait for", &subject, &error);
    let echo = Echo::open(to).map_err(failed)?;
    let [mut interval, longest] = INTERVALS;
    let mut refusal = None;
    loop {
        let is_last = deadline.is_over();
        let most = interval.min(deadline.left()).max(Duration::from_millis(1));
        interval = longest.min(interval * 2);
        match ask(&echo, None, most, |heard| matches!(heard, Heard::Answer)).map_err(failed)? {
            Ok(_) => return Ok(()),
            Err(told) => refusal = told.or(refusal),
        }
        if is_last {
            break;
        }
    }
    let Some((way, told)) = trace(host, &echo).map_err(failed)? else { return Ok(()) };
    let failure = Failure::new("wait for", &subject, format!("no answer {deadline}"));
    let failure = failure.advise(match way.last() {
        Some(last) => format!("last node that answers: {last}"),
        None => "no node on the way answers".to_owned(),
    });
    let failure = match told.or(refusal) {
        Some(refusal) => failure.advise(format!("last refusal: {}", refusal.told(common))),
        None => failure,
    };
    Err(failure.into())
}

/// What a node, or this one's kernel, has said.
struct Refusal {
    by: Option<IpAddr>,
    error: io::Error,
}

impl Refusal {
    /// `home (10.0.0.1): EHOSTUNREACH (No route to host)`
    fn told(&self, common: &Common) -> String {
        let error = errno::describe(&self.error);
        self.by.map_or(error.clone(), |by| format!("{}: {error}", named(common, by)))
    }
}

/// Sends a request and listens until the time is over, or what is heard is wanted; or else the last
/// refusal.
fn ask(
    echo: &Echo,
    hops: Option<u8>,
    most: Duration,
    is_wanted: impl Fn(&Heard) -> bool,
) -> io::Result<Result<Heard, Option<Refusal>>> {
    let end = Deadline::new(most);
    let refused = |error| Refusal { by: None, error };
    let mut refusal = echo.send(hops)?.map(refused);
    while !end.is_over() {
        match echo.hear(end.left())? {
            Some(heard) if is_wanted(&heard) => return Ok(Ok(heard)),
            Some(Heard::Refusal { by, error }) => refusal = Some(Refusal { by, error }),
            Some(Heard::Answer | Heard::Hop(_)) | None => {}
        }
    }
    Ok(Err(refusal))
}

/// The nodes on the way that answer, and the refusal that ends it; none if all of it answers.
fn trace(host: &Host, echo: &Echo) -> io::Result<Option<(Vec<String>, Option<Refusal>)>> {
    let common = &host.common;
    let is_other = |by: &IpAddr| common.name_of(*by) != Some(host.name());
    let mut way = Vec::new();
    for hops in 1..=MOST_HOPS {
        let (end, mut refusal) = (Deadline::new(LAST), None);
        let heard = loop {
            let [_, interval] = INTERVALS;
            match ask(echo, Some(hops), interval, |_| true)? {
                Ok(heard) => break Some(heard),
                Err(told) => refusal = told,
            }
            if refusal.is_some() || end.is_over() {
                break None;
            }
        };
        match heard {
            Some(Heard::Answer) => return Ok(None),
            Some(Heard::Hop(by)) => way.push(named(common, by)),
            Some(Heard::Refusal { by, error }) => {
                way.extend(by.filter(is_other).map(|by| named(common, by)));
                return Ok(Some((way, Some(Refusal { by, error }))));
            }
            None => return Ok(Some((way, refusal))),
        }
    }
    Ok(Some((way, None)))
}

/// `home (10.0.0.1)`
fn named(common: &Common, address: IpAddr) -> String {
    match common.name_of(address) {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    }
}
