//! The addresses, neighbours and routes of a namespace, to be compared before and after a change.

use std::collections::{HashMap, HashSet};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{ADDRESS, IPV4, IPV6, NEIGHBOUR, ROUTE};
use crate::netlink::kept::{ADDRESSES, Class, Kept, NEIGHBOURS, PROXY, ROUTES};

/// The objects of a namespace that a change by a lab can remove.
#[derive(Clone, Debug, Default)]
pub(crate) struct Belongings(pub(crate) Vec<Kept>);

impl Netlink {
    /// Lists them, without the routes that the kernel adds for addresses.
    pub(crate) fn belongings(&self) -> Result<Belongings, Failure> {
        let mut found = Vec::new();
        let addresses = self.dump_both(ADDRESSES + 2, ADDRESS, "addresses")?;
        found.extend(addresses.iter().filter_map(|body| Kept::address(body)));
        for flags in [0, PROXY] {
            for family in [IPV4, IPV6] {
                let mut head = [0; NEIGHBOUR];
                (head[0], head[10]) = (family, flags);
                let all = self.dump(NEIGHBOURS + 2, &head, "neighbours")?;
                found.extend(all.iter().filter_map(|body| Kept::neighbour(body)));
            }
        }
        found.extend(self.kept_routes()?);
        Ok(Belongings(found))
    }

    /// Lists the routes only.
    pub(crate) fn kept_routes(&self) -> Result<Vec<Kept>, Failure> {
        let all = self.dump_both(ROUTES + 2, ROUTE, "routes")?;
        Ok(all.iter().filter_map(|body| Kept::route(body)).collect())
    }
}

impl Belongings {
    pub(crate) fn of(&self, class: Class) -> impl Iterator<Item = &Kept> {
        self.0.iter().filter(move |kept| kept.class() == class)
    }

    /// Returns the objects that `other` lacks.
    pub(crate) fn without(&self, other: &Self) -> Vec<Kept> {
        let known: HashSet<_> = other.0.iter().map(Kept::identity).collect();
        self.0.iter().filter(|kept| !known.contains(&kept.identity())).cloned().collect()
    }

    /// Returns the objects that `other` has in another order, of the lists in which the order
    /// matters.
    pub(crate) fn in_another_order(&self, other: &Self) -> Vec<Kept> {
        let [own, others] = [self, other].map(|all| {
            let mut lists: HashMap<_, Vec<&Kept>> = HashMap::new();
            all.0.iter().for_each(|kept| lists.entry(kept.list()).or_default().push(kept));
            lists
        });
        let mut found = Vec::new();
        for (key, list) in own.iter().filter(|(_, list)| list.len() > 1) {
            let there = others.get(key).map_or(&[][..], Vec::as_slice);
            let common = list.iter().filter(|kept| there.contains(kept));
            if !common.eq(there.iter().filter(|kept| list.contains(kept))) {
                found.extend(list.iter().copied().cloned());
            }
        }
        found
    }
}
