//! The rank of a lab's routes in the caller's own network: before those of the machine to the same
//! destination. The machine's routes stay, so that they are there even if the lab's process is
//! killed.

use crate::addr::cidr::Subnet;
use crate::netlink::kept::Kept;
use crate::netlink::route::{MAIN, Rank, Route};

/// Metric of an IPv6 route that is added without one (`IP6_RT_PRIO_USER` of `linux/ipv6_route.h`).
const USUAL: u32 = 1024;

/// Returns the rank of a new route to `destination` among the routes `there`, some of which are the
/// lab's own. The error is the reason why no route can come before the machine's.
pub(crate) fn rank(
    there: &[Kept],
    destination: Subnet,
    is_own: impl Fn(&Kept) -> bool,
) -> Result<Rank, String> {
    let to_it = there.iter().filter_map(|kept| {
        let route = kept.as_route()?;
        let is_to_it = route.table == MAIN && route.destination == destination;
        is_to_it.then(|| (is_own(kept), route, kept))
    });
    let all: Vec<(bool, Route, &Kept)> = to_it.collect();
    if destination.is_ipv4() {
        let is_in_the_place = |one: &&(bool, Route, &Kept)| one.1.metric == 0 && !one.2.has_tos();
        return Ok(match all.iter().find(is_in_the_place) {
            Some((false, ..)) => Rank::Before { metric: None },
            _ => Rank::Instead,
        });
    }
    let of_machine = all.iter().filter(|(is_own, ..)| !is_own).min_by_key(|one| one.1.metric);
    match of_machine {
        None => Ok(Rank::Instead),
        Some((_, Route { metric: 0 | 1, .. }, kept)) => Err(format!(
            "EEXIST: no route comes before the machine's {kept}; give that a metric above 1"
        )),
        Some((_, route, _)) => Ok(Rank::Before { metric: Some((route.metric - 1).min(USUAL)) }),
    }
}
