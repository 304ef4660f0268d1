//! Properties of a whole link.

mod conservation;
mod determinism;
mod frames;
mod rules;
mod stages;
mod transfer;

use crate::lab::impair::emulated::tests::frames::Wire;
use crate::lab::impair::emulated::{EmulatedLink, Sent};
use crate::lab::impair::hash::Seed;
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::topology::quantity::Probability;

/// Returns the link of the golden vectors, which impairs what goes forth.
fn link(plan: ImpairmentPlan) -> EmulatedLink {
    links([plan, ImpairmentPlan::default()])
}

fn links(plans: [ImpairmentPlan; 2]) -> EmulatedLink {
    EmulatedLink::new(Seed::of_test("tests::lossy_download"), "client–server", plans, 1500)
}

/// Returns n thousandths.
fn thousandths(n: u64) -> Probability {
    Probability::from_bits(((u128::from(n) << 64) / 1000).try_into().unwrap_or(u64::MAX))
}

/// Passes a frame forth, and counts its departures as sent in time.
fn pass<'a>(link: &mut EmulatedLink, wire: &'a Wire, at: Nanos) -> Vec<Departure<'a>> {
    let mut out = Vec::new();
    link.pass(Direction::Forth, wire.at(at), &mut out);
    out.iter().for_each(|departure| link.sent(departure, departure.due, Sent::Ok));
    out
}
