//! The place of a lab's routes in the caller's own network: before those of the machine to the same
//! destination. These stay, so that the machine has them whatever becomes of the lab's process.

use crate::addr::cidr::Subnet;
use crate::netlink::kept::Kept;
use crate::netlink::route::{MAIN, Rank, Route};

/// The metric of an IPv6 route that is added without one.
const USUAL: u32 = 1024;

/// The rank of a new route to `destination` among those that are `there`, some of which may be the
/// lab's own; or the reason for which none comes before the machine's.
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
