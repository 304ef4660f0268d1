//! Changes of the impairments of a link that is in use.

use crate::error::{Failure, Result, located};
use crate::lab::fabric::described;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::{Departure, Direction, Nanos};
use crate::lab::plan::diff;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::plan::impairment::check::planned;
use crate::lab::run::link::Link;
use crate::lab::topology::impairment::model::OneWay;
use crate::lab::topology::{Impairment, NodeId};

/// Impairments of a link that declares some, or that the topology declares
/// [`impairable`](crate::lab::LinkSpec::impairable).
impl Link {
    /// Sets the impairments of both directions. When this returns, they hold for each packet that
    /// the link receives; packets that it has delayed or queued before are sent as they were to be.
    ///
    /// Of an [`Impairment`] whose directions differ the first one is that from the link's first
    /// node to its second. The value replaces the earlier one: a stage that it does not set ends,
    /// and `Impairment::new()` ends all impairments. Moves of the link and power cycles of its
    /// nodes do not change them.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair; impairments that the plan would refuse, with all
    /// mistakes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    /// use netns_test::lab::Impairment;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// let wan = net.link(client, server).impairable().id();
    /// let lab = net.build()?;
    /// lab[wan].set_impairment(Impairment::new().loss("30%"))?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_impairment(&self, impairment: Impairment) -> Result<()> {
        located(self.set_ways(impairment.both(0).map(Some), &impairment))
    }

    /// Sets the impairments of the direction from `node`, which the link ends at. The other
    /// direction stays as it is, unless [`Impairment::back`] has set it apart.
    ///
    /// # Errors
    ///
    /// As [`set_impairment`](Self::set_impairment); a node that is at neither end.
    #[expect(clippy::needless_pass_by_value, reason = "it is built for the call")]
    #[track_caller]
    pub fn set_impairment_from(&self, node: NodeId, impairment: Impairment) -> Result<()> {
        let end = self.end_at("impair", node);
        located(end.and_then(|end| self.set_ways(impairment.one(end), &impairment)))
    }

    /// Holds all packets of both directions, in their order, until [`release`](Self::release). The
    /// ends keep their carrier. At most 64 MiB of a direction are held; more are dropped, and
    /// counted as dropped by the queue.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, wan: netns_test::LinkId) -> netns_test::Result<()> {
    /// lab[wan].hold()?;
    /// // Nothing arrives.
    /// lab[wan].release()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn hold(&self) -> Result<()> {
        located(self.hold_ways(&Direction::BOTH))
    }

    /// Holds all packets from `node`, which the link ends at, until [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold); a node that is at neither end.
    #[track_caller]
    pub fn hold_from(&self, node: NodeId) -> Result<()> {
        let end = self.end_at("hold", node);
        located(end.and_then(|end| self.hold_ways(&[Direction::BOTH[end]])))
    }

    /// Lets all packets that are held go on, in their order, as if they were received now. Without
    /// a [`hold`](Self::hold) this does nothing.
    ///
    /// # Errors
    ///
    /// A link that is a direct veth pair.
    #[track_caller]
    pub fn release(&self) -> Result<()> {
        located(self.release_ways(&Direction::BOTH))
    }

    /// Lets the packets from `node`, which the link ends at, go on, as [`release`](Self::release)
    /// does. Those of the other direction are held further.
    ///
    /// # Errors
    ///
    /// As [`release`](Self::release); a node that is at neither end.
    #[track_caller]
    pub fn release_from(&self, node: NodeId) -> Result<()> {
        let end = self.end_at("release", node);
        located(end.and_then(|end| self.release_ways(&[Direction::BOTH[end]])))
    }

    fn release_ways(&self, ways: &[Direction]) -> Result<()> {
        let done = self.model("release", |model, now, out| {
            ways.iter().for_each(|direction| model.release(*direction, now, out));
        });
        self.note("released");
        done
    }

    fn hold_ways(&self, ways: &[Direction]) -> Result<()> {
        let done = self.model("hold", |model, _, _| {
            ways.iter().for_each(|direction| model.hold(*direction));
        });
        self.note("held");
        done
    }

    fn set_ways(&self, ways: [Option<&OneWay>; 2], given: &Impairment) -> Result<()> {
        let plans = self.planned(ways)?;
        let now = self.model("impair", |model, now, _| {
            for (direction, plan) in Direction::BOTH.into_iter().zip(plans) {
                if let Some(plan) = plan {
                    model.set(direction, plan, now);
                }
            }
            Direction::BOTH.map(|direction| model.plan(direction).clone())
        })?;
        described::describe_impairments(self.fabric(), self.position(), &now);
        self.note(&format!("impaired: {given}"));
        Ok(())
    }

    /// Returns an error if the link is a direct veth pair.
    pub(crate) fn check_impairable(&self) -> Result<()> {
        let link = &self.fabric().plan.links()[self.position()];
        let direct = || diff::not_impairable("impair", &self.label());
        link.impairments.as_ref().map(drop).ok_or_else(|| direct().into())
    }

    /// Returns the error that [`set_impairment`](Self::set_impairment) would return for a mistake.
    pub(crate) fn check_impairment(&self, impairment: &Impairment) -> Result<()> {
        self.check_impairable()?;
        self.planned(impairment.both(0).map(Some)).map(drop)
    }

    /// Returns the numbers of both directions, or all mistakes.
    fn planned(&self, ways: [Option<&OneWay>; 2]) -> Result<[Option<ImpairmentPlan>; 2]> {
        let (plan, label) = (&self.fabric().plan, self.label());
        let mtu = plan.segments()[plan.links()[self.position()].segment].mtu;
        let planned = ways.map(|way| way.map(|way| planned(way, mtu)).transpose());
        match planned {
            [Ok(forth), Ok(back)] => Ok([forth, back]),
            mistakes => {
                let all = mistakes.into_iter().filter_map(Result::err).flatten();
                let mut all: Vec<String> = all.collect();
                all.dedup();
                let half = all.len() / 2;
                // Both directions have the same mistakes.
                if all.len() % 2 == 0 && all[..half] == all[half..] {
                    all.truncate(half);
                }
                Err(Failure::new("impair", label, all.join("; ")).into())
            }
        }
    }

    /// Returns the end of the link, 0 or 1, that is at a node now.
    pub(crate) fn end_at(&self, step: &'static str, node: NodeId) -> Result<usize> {
        let fabric = self.fabric();
        let at = fabric.plan.position(node);
        let ends = fabric.links.ends(self.position());
        let found = ends.iter().position(|end| Some(end.node) == at);
        let found = found.ok_or_else(|| {
            let name = at.map(|at| fabric.nodes[at].name());
            let name =
                name.map_or("a node of another topology".to_owned(), |name| format!("`{name}`"));
            let names = ends.each_ref().map(|end| fabric.nodes[end.node].name());
            let why =
                format!("{name} is at neither end; its ends are at {} and {}", names[0], names[1]);
            Failure::new(step, self.label(), why)
        });
        Ok(found?)
    }

    pub(crate) fn label(&self) -> String {
        self.fabric().plan.link_label(self.position())
    }

    fn model<T>(
        &self,
        step: &'static str,
        change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        let label = self.label();
        match &self.fabric().hub {
            Some(hub) => hub.with(self.position(), (step, &label), change),
            None => Err(diff::not_impairable(step, &label).into()),
        }
    }
}
