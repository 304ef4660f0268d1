//! Packets between two groups of nodes that wait, as methods of the lab.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Failure, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::change::partition::{Sides, Ways};
use crate::lab::fabric::ends::End;
use crate::lab::fabric::partitions::own_addresses;
use crate::lab::fabric::state::Fabric;
use crate::lab::impair::emulated::held;
use crate::lab::run::lab::Lab;
use crate::lab::topology::{NodeId, NodeKind};

/// Hold of the packets between two groups of nodes ([`Lab::hold`]). It stays when this is dropped.
#[derive(Debug)]
pub struct Hold<'a> {
    lab: &'a Lab,
    number: u64,
    sides: Sides,
}

impl Hold<'_> {
    /// Ends this hold: its packets go on in their order, as if they were sent now, unless another
    /// hold has them. After [`Lab::release`] it does nothing.
    ///
    /// # Errors
    ///
    /// As [`Link::release`](crate::lab::Link::release).
    #[track_caller]
    pub fn release(self) -> Result<()> {
        note(&format!("{} released", self.sides.text()));
        located(self.lab.fabric().lift(Some(self.number)))
    }
}

impl Lab {
    /// Holds all IP packets between two groups of nodes, in both directions, in their order, until
    /// [`Hold::release`] or [`release`](Self::release). None is lost: they wait on the links
    /// between the groups that are impaired, or declared
    /// [`impairable`](crate::lab::LinkSpec::impairable).
    ///
    /// The packets are those from an address that a node of one group has now to one of the other
    /// group. They wait on the links that end at the other group, together with those to multicast
    /// groups and broadcast addresses; or on an earlier link, if a node of the other group has a
    /// link that cannot hold packets. ARP and neighbour discovery pass, so that connections fail
    /// later than without. Packets that are on a direct veth pair at the moment of the call arrive.
    /// A link holds at most 64 MiB in each direction. Holds add up. Links and addresses that the
    /// lab gets later hold nothing, as an addition may open a way over which no link can hold
    /// packets. Hold again after [`extend`](Self::extend).
    ///
    /// # Errors
    ///
    /// A way between the groups that has no link which can hold packets: the error names its links.
    /// A node that is in both groups, is a switch, or is of another topology.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let switch = net.switch("switch");
    /// let [a, b, c] = ["a", "b", "c"].map(|name| {
    ///     let host = net.host(name);
    ///     net.link(host, switch).impairable();
    ///     host
    /// });
    /// let lab = net.build()?;
    /// let hold = lab.hold(&[a], &[b, c])?;
    /// // What `a` sends to `b` and `c` waits.
    /// hold.release()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn hold(&self, one: &[NodeId], other: &[NodeId]) -> Result<Hold<'_>> {
        located(self.start_hold([one, other], Ways::Both))
    }

    /// Holds all IP packets from the nodes of one group to those of another one. Packets in the
    /// other direction pass. Otherwise as [`hold`](Self::hold).
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold).
    #[track_caller]
    pub fn hold_one_way(&self, from: &[NodeId], to: &[NodeId]) -> Result<Hold<'_>> {
        located(self.start_hold([from, to], Ways::One))
    }

    /// Ends all [holds](Self::hold) between groups of nodes. Those of links
    /// ([`Link::hold`](crate::lab::Link::hold)) stay.
    ///
    /// # Errors
    ///
    /// As [`Link::release`](crate::lab::Link::release).
    #[track_caller]
    pub fn release(&self) -> Result<()> {
        note("all holds between nodes released");
        located(self.fabric().lift(None))
    }

    fn start_hold(&self, sides: [&[NodeId]; 2], ways: Ways) -> Result<Hold<'_>> {
        let sides = Sides::new("hold", self.plan(), sides, ways)?;
        let number = self.fabric().hold(&sides)?;
        note(&format!("{} held", sides.text()));
        Ok(Hold { lab: self, number, sides })
    }
}

impl Fabric {
    /// Holds the packets between two sides. Returns the number of the hold.
    fn hold(&self, sides: &Sides) -> Result<u64> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let links = self.links.lock();
        let [one, other] = sides.nodes();
        let mut directed = vec![[one, other]];
        directed.extend((sides.ways() == Ways::Both).then_some([other, one]));
        for [from, to] in &directed {
            self.check_way(&links, from, to)?;
        }
        let Some(hub) = &self.hub else { return Ok(number) };
        let addresses = |nodes: &BTreeSet<usize>| {
            let all = nodes.iter().map(|node| self.addresses(*node));
            all.collect::<Result<Vec<_>>>().map(|all| all.concat())
        };
        for [from, to] in directed {
            let [sources, targets] = [addresses(from)?, addresses(to)?];
            // Not in two places: one packet would overtake another.
            let is_open = |node: &usize| {
                let own = |ends: &[End; 2]| ends.iter().any(|end| end.node == *node);
                let mut all = links.iter().zip(self.plan.links());
                all.any(|(ends, link)| own(ends) && link.impairments.is_none())
            };
            let earlier = addresses(&to.iter().copied().filter(is_open).collect())?;
            hub.hold(|link, direction| {
                let is_last = to.contains(&links[link][direction.reversed().index()].node);
                let to = if is_last { &targets } else { &earlier };
                held::Hold { number, from: sources.clone(), to: to.clone(), is_last }
            })?;
        }
        Ok(number)
    }

    /// Ends one hold between nodes, or all.
    fn lift(&self, number: Option<u64>) -> Result<()> {
        self.hub.as_ref().map_or(Ok(()), |hub| hub.lift(number))
    }

    /// Returns the addresses that a node has, or will have when it is powered on.
    fn addresses(&self, node: usize) -> Result<Vec<IpAddr>> {
        if let Ok(here) = self.nodes[node].here() {
            let own = own_addresses(&here)?.into_iter();
            return Ok(own.filter(|own| !own.is_loopback()).collect());
        }
        let planned = self.plan.nodes()[node].interfaces.iter().flat_map(|one| &one.addresses);
        Ok(planned.map(|one| one.address()).collect())
    }

    /// Returns an error if packets pass from one group to the other without a link that can hold
    /// them.
    fn check_way(
        &self,
        links: &[[End; 2]],
        from: &BTreeSet<usize>,
        to: &BTreeSet<usize>,
    ) -> Result<()> {
        let Some(way) = self.direct_way(links, from, to) else { return Ok(()) };
        let names = way.iter().map(|link| self.plan.link_label(*link)).collect::<Vec<_>>();
        let ends = [way.first(), way.last()].map(|link| link.map(|link| &links[*link]));
        let name = |group: &BTreeSet<usize>, ends: Option<&[End; 2]>| {
            let found = ends.and_then(|ends| ends.iter().find(|end| group.contains(&end.node)));
            found.map_or("?", |end| self.nodes[end.node].name()).to_owned()
        };
        let (first, last) = (name(from, ends[0]), name(to, ends[1]));
        let why = format!(
            "packets pass over {}, and no link there can hold packets: each is a direct veth pair",
            names.join(", then ")
        );
        let advice = "declare one of these links `impairable()`, or call `impairable_links()` \
                      before `build()`";
        let failure = Failure::new("hold the packets of", format!("{first} to {last}"), why);
        Err(failure.advise(advice).into())
    }

    /// Returns the links of the shortest way between two groups over direct veth pairs alone.
    fn direct_way(
        &self,
        links: &[[End; 2]],
        from: &BTreeSet<usize>,
        to: &BTreeSet<usize>,
    ) -> Option<Vec<usize>> {
        let is_direct = |link: usize| self.plan.links()[link].impairments.is_none();
        let passes_on = |node: usize| {
            from.contains(&node)
                || matches!(self.nodes[node].kind(), NodeKind::Switch | NodeKind::Router)
        };
        // The link over which each node is reached.
        let mut reached: BTreeMap<usize, Option<usize>> =
            from.iter().map(|at| (*at, None)).collect();
        let mut next: VecDeque<usize> = from.iter().copied().collect();
        while let Some(node) = next.pop_front() {
            if to.contains(&node) {
                return Some(back(links, &reached, node));
            }
            if !passes_on(node) {
                continue;
            }
            for (link, ends) in links.iter().enumerate().filter(|(link, _)| is_direct(*link)) {
                for side in 0..2 {
                    let far = ends[1 - side].node;
                    if ends[side].node == node && !reached.contains_key(&far) {
                        reached.insert(far, Some(link));
                        next.push_back(far);
                    }
                }
            }
        }
        None
    }
}

/// Returns the links from the start to `node`.
fn back(
    links: &[[End; 2]],
    reached: &BTreeMap<usize, Option<usize>>,
    mut node: usize,
) -> Vec<usize> {
    let mut way = Vec::new();
    while let Some(Some(link)) = reached.get(&node) {
        way.push(*link);
        let ends = &links[*link];
        node = if ends[0].node == node { ends[1].node } else { ends[0].node };
    }
    way.reverse();
    way
}

/// Notes a hold in the log of the test.
fn note(text: &str) {
    log::note(|| Event::of(EventKind::Link, "", text));
}
