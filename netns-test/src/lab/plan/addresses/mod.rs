//! Subnets of all segments and addresses of all interfaces. Pure.
//!
//! Static ones are checked; all others come from the pools.

pub(crate) mod external;
pub(crate) mod order;
pub(crate) mod overlaps;
pub(crate) mod pool;
pub(crate) mod reserved;

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::lab::plan::addresses::pool::Pool;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::interfaces::Draft;
use crate::lab::plan::nat::declared::Declared;
use crate::lab::plan::nat::realms::Realms;
use crate::lab::plan::{InterfaceKind, InterfaceRef, SegmentKind, SegmentPlan};
use crate::lab::topology::Topology;

/// Indexes of IPv4 and IPv6 in pairs.
const FAMILIES: [usize; 2] = [0, 1];

/// Sets the subnets of the segments and the addresses of the interfaces.
pub(crate) fn assign(
    topology: &Topology,
    (drafts, nats): (&mut [Vec<Draft<'_>>], &[Declared<'_>]),
    (segments, of_links): (&mut [SegmentPlan], &[Option<usize>]),
    errors: &mut Vec<TopologyError>,
) {
    let realms = FAMILIES.map(|_| Realms::one(segments.len()));
    let mut work = Work { topology, drafts, nats, segments, realms, errors };
    let requirements = work.requirements(of_links);
    if !nats.is_empty() {
        work.realms = FAMILIES.map(|of| work.realms(of, &requirements));
    }
    work.read_static();
    for (at, required) in requirements.iter().enumerate() {
        for family in FAMILIES {
            work.set_static_subnets(at, family, required);
        }
    }
    work.check_overlaps();
    work.take_from_pools(&requirements);
    work.add_external(&requirements);
    work.check_duplicates();
}

/// Declared subnets and families of a segment.
#[derive(Clone, Debug, Default)]
struct Required {
    subnets: [Option<Subnet>; 2],
    only: [bool; 2],
}

impl Required {
    fn has(&self, family: usize) -> bool {
        !self.only[1 - family]
    }
}

struct Work<'a, 'b, 'c> {
    topology: &'a Topology,
    drafts: &'b mut [Vec<Draft<'c>>],
    nats: &'b [Declared<'b>],
    segments: &'b mut [SegmentPlan],
    /// Realms of IPv4 and IPv6.
    realms: [Realms; 2],
    errors: &'b mut Vec<TopologyError>,
}

impl Work<'_, '_, '_> {
    /// Collects and checks the declared subnets and families of each segment from its links.
    fn requirements(&mut self, of_links: &[Option<usize>]) -> Vec<Required> {
        let mut all = vec![Required::default(); self.segments.len()];
        for (index, link) in self.topology.links.iter().enumerate() {
            let label = || self.topology.link_label(index);
            let at = of_links[index];
            for given in &link.subnets {
                let subnet = match &given.0 {
                    Ok(subnet) => *subnet,
                    Err(error) => {
                        let (place, why) = (format!("subnet of {}", label()), error.to_string());
                        self.errors.push(TopologyError::Unreadable { place, why });
                        continue;
                    }
                };
                let Some(at) = at else { continue };
                let other = all[at].subnets[family(subnet.network())].get_or_insert(subnet);
                if *other != subnet {
                    let (segment, subnets) = (label(), [*other, subnet]);
                    self.errors.push(TopologyError::TwoSubnets { segment, subnets });
                }
            }
            if let Some(at) = at {
                let only = &mut all[at].only;
                *only = [only[0] || link.only[0], only[1] || link.only[1]];
            }
        }
        for (required, segment) in all.iter_mut().zip(self.segments.iter()) {
            let name = || SegmentPlan::label(segment.kind, self.topology);
            if required.only == [true; 2] {
                self.errors.push(TopologyError::NoFamily { segment: name() });
                required.only = [false; 2];
            }
            for subnet in required.subnets.into_iter().flatten() {
                let (first, _) = pool::usable(subnet);
                let (place, address) = (name(), subnet.at(first));
                if let Some(why) = reserved::address(address) {
                    self.errors.push(TopologyError::ReservedAddress { address, place, why });
                } else if let Some((range, why)) = reserved::within(subnet) {
                    self.errors.push(TopologyError::ReservedSubnet { subnet, range, place, why });
                }
                if !required.has(family(subnet.network())) {
                    let (place, given) = (name(), subnet.to_string());
                    self.errors.push(TopologyError::FamilyOff { place, given });
                }
            }
        }
        all
    }

    /// Checks the static addresses, and adds them to the interfaces.
    fn read_static(&mut self) {
        for node in 0..self.drafts.len() {
            for interface in 0..self.drafts[node].len() {
                let declared = std::mem::take(&mut self.drafts[node][interface].addresses);
                for address in declared {
                    let place = || self.name(InterfaceRef { node, interface });
                    match &address.0 {
                        Err(error) => {
                            let (place, why) = (place(), error.to_string());
                            self.errors.push(TopologyError::Unreadable { place, why });
                        }
                        Ok(address) => match reserved::address(*address) {
                            Some(why) => {
                                let (address, place) = (*address, place());
                                self.errors.push(TopologyError::ReservedAddress {
                                    address,
                                    place,
                                    why,
                                });
                            }
                            None => self.drafts[node][interface].plan.addresses.push(*address),
                        },
                    }
                }
            }
        }
    }

    /// Sets the subnets of a segment that its declared subnet and static addresses imply. The
    /// first subnet is the declared one, or that of the first primary address.
    fn set_static_subnets(&mut self, at: usize, of: usize, required: &Required) {
        let mut subnets: Vec<Subnet> = required.subnets[of].into_iter().collect();
        let addresses = self.static_addresses(at, of);
        let is_stub = matches!(self.segments[at].kind, SegmentKind::Stub { .. });
        let base = addresses
            .iter()
            .find(|(_, address, is_first)| *is_first && (is_stub || !address.is_whole()));
        if let (true, Some((_, address, _))) = (subnets.is_empty(), base) {
            subnets.push(address.subnet());
        }
        for (place, address, is_first) in addresses {
            let (first, name) = (subnets.first().copied(), || self.name(place));
            let within = subnets.iter().find(|subnet| subnet.contains(address.address()));
            let error = if !required.has(of) {
                let given = address.to_string();
                Some(TopologyError::FamilyOff { place: name(), given })
            } else if let Some(&subnet) = within {
                let differs = address.prefix() != subnet.prefix() && !address.is_whole();
                differs.then(|| TopologyError::PrefixDiffers { address, place: name(), subnet })
            } else if let (Some(subnet), true, false) =
                (first, is_first, is_stub || address.is_whole())
            {
                Some(TopologyError::OutsideSubnet { address, place: name(), subnet })
            } else {
                subnets.push(address.subnet());
                None
            };
            self.errors.extend(error);
        }
        self.segments[at].subnets.extend(subnets);
    }

    /// Returns the static addresses of a family on a segment, and whether each is its interface's
    /// primary one.
    fn static_addresses(&self, at: usize, of: usize) -> Vec<(InterfaceRef, Cidr, bool)> {
        let mut found = Vec::new();
        for &place in &self.segments[at].members {
            let addresses = &self.drafts[place.node][place.interface].plan.addresses;
            let wanted = addresses.iter().filter(|address| family(address.address()) == of);
            found.extend(wanted.enumerate().map(|(order, &address)| (place, address, order == 0)));
        }
        found
    }

    /// Adds an address of each family to every interface that has none.
    fn take_from_pools(&mut self, requirements: &[Required]) {
        let occupied: Vec<Subnet> =
            self.segments.iter().flat_map(|segment| segment.subnets.iter().copied()).collect();
        let is_counted: Vec<bool> =
            (0..self.segments.len()).map(|at| self.is_counted(at)).collect();
        let count = is_counted.iter().filter(|&&is_counted| is_counted).count();
        for of in FAMILIES {
            let whole = match &self.topology.pools[of].0 {
                Ok(whole) if family(whole.network()) == of => *whole,
                Ok(whole) => {
                    let why = format!("{whole} is of the other family; give IPv4 first, then IPv6");
                    self.errors.push(TopologyError::Unreadable { place: "pools".to_owned(), why });
                    continue;
                }
                Err(error) => {
                    let (place, why) = ("pools".to_owned(), error.to_string());
                    self.errors.push(TopologyError::Unreadable { place, why });
                    continue;
                }
            };
            if let Some((range, why)) = reserved::within(whole) {
                let (subnet, place) = (whole, "pools".to_owned());
                self.errors.push(TopologyError::ReservedSubnet { subnet, range, place, why });
                continue;
            }
            let mut pool = Pool::new(whole, occupied.clone(), count);
            let counted = (0..self.segments.len()).filter(|&at| is_counted[at]);
            for (order, at) in counted.enumerate() {
                if requirements[at].has(of) {
                    self.fill(at, of, order, &mut pool);
                    if requirements[at].subnets[of].is_none() {
                        self.check_assigned(at, of);
                    }
                }
            }
        }
        for draft in self.drafts.iter_mut().flatten() {
            draft.plan.addresses.sort_by_key(|address| !address.address().is_ipv4());
        }
    }

    /// Returns whether a segment has a position in the pools. A single interface with static
    /// addresses has none.
    fn is_counted(&self, at: usize) -> bool {
        match self.segments[at].kind {
            SegmentKind::Stub { place } => {
                let plan = &self.drafts[place.node][place.interface].plan;
                plan.addresses.is_empty() && plan.kind == InterfaceKind::Dummy
            }
            _ => true,
        }
    }

    /// Adds addresses of a family to the interfaces of a segment that have none.
    fn fill(&mut self, at: usize, of: usize, order: usize, pool: &mut Pool) {
        let members = self.segments[at].members.clone();
        let plan = |place: &InterfaceRef| &self.drafts[place.node][place.interface].plan;
        let first = |place: &InterfaceRef| {
            let mut addresses = plan(place).addresses.iter().map(|address| address.address());
            addresses.find(|&address| family(address) == of)
        };
        let known: Vec<Option<IpAddr>> = members.iter().map(first).collect();
        if known.iter().all(Option::is_some) {
            return;
        }
        let segment = || SegmentPlan::label(self.segments[at].kind, self.topology);
        let static_subnet =
            self.segments[at].subnets.iter().find(|subnet| family(subnet.network()) == of).copied();
        let Some(subnet) = static_subnet.or_else(|| pool.take(order, members.len())) else {
            let (pool, segment) = (pool.whole(), segment());
            self.errors.push(TopologyError::PoolExhausted { pool, segment });
            return;
        };
        let mut others: Vec<IpAddr> = match static_subnet {
            Some(_) => members
                .iter()
                .flat_map(|at| plan(at).addresses.iter().map(|one| one.address()))
                .collect(),
            None => Vec::new(),
        };
        let nats = self.nats.iter().filter(|nat| members.contains(&nat.outside));
        others.extend(nats.flat_map(Declared::external).map(Cidr::address));
        let Some(found) = pool::addresses(subnet, &known, &others) else {
            let (segment, members) = (segment(), members.len());
            self.errors.push(TopologyError::SubnetFull { subnet, segment, members });
            return;
        };
        for (place, address) in members.iter().zip(found) {
            self.drafts[place.node][place.interface].plan.addresses.extend(address);
        }
        if static_subnet.is_none() {
            let subnets = &mut self.segments[at].subnets;
            // IPv4 comes first; within a family, the subnet that members have addresses in.
            let before = subnets.iter().filter(|other| family(other.network()) < of).count();
            subnets.insert(before, subnet);
        }
    }

    /// Reports reserved addresses among those assigned from the subnet of a static address.
    fn check_assigned(&mut self, at: usize, of: usize) {
        for place in self.segments[at].members.clone() {
            let addresses = &self.drafts[place.node][place.interface].plan.addresses;
            let own = addresses.iter().filter(|one| family(one.address()) == of);
            let refused = own.filter_map(|&one| Some((one, reserved::address(one)?)));
            for (address, why) in refused.collect::<Vec<_>>() {
                let place = self.name(place);
                self.errors.push(TopologyError::ReservedAddress { address, place, why });
            }
        }
    }

    /// Returns the name of an interface in messages.
    fn name(&self, place: InterfaceRef) -> String {
        let (node, draft) =
            (&self.topology.nodes[place.node].name, &self.drafts[place.node][place.interface]);
        match draft.plan.kind {
            InterfaceKind::Veth { link, .. } => {
                format!("`{}` of `{node}` ({})", draft.plan.name, self.topology.link_label(link))
            }
            _ => format!("`{}` of `{node}`", draft.plan.name),
        }
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(!address.is_ipv4())
}
