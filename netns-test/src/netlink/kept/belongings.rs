//! All that a change of addresses, routes or sysctls can take from a namespace, to be compared before and
//! after.

use std::collections::{HashMap, HashSet};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::attr::{ADDRESS, IPV4, IPV6, NEIGHBOUR, ROUTE};
use crate::netlink::kept::{ADDRESSES, Class, Kept, NEIGHBOURS, PROXY, ROUTES};

/// What a namespace has that a change of a lab's can take with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Belongings(pub(crate) Vec<Kept>);

impl Netlink {
    /// All that the namespace has of these: routes but for those that the kernel makes for addresses.
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

    /// The routes alone.
    pub(crate) fn kept_routes(&self) -> Result<Vec<Kept>, Failure> {
        let all = self.dump_both(ROUTES + 2, ROUTE, "routes")?;
        Ok(all.iter().filter_map(|body| Kept::route(body)).collect())
    }
}

impl Belongings {
    pub(crate) fn of(&self, class: Class) -> impl Iterator<Item = &Kept> {
        self.0.iter().filter(move |kept| kept.class() == class)
    }

    /// Those of it that another one lacks.
    pub(crate) fn without(&self, other: &Self) -> Vec<Kept> {
        let known: HashSet<_> = other.0.iter().map(Kept::identity).collect();
        self.0.iter().filter(|kept| !known.contains(&kept.identity())).cloned().collect()
    }

    /// Those that another one has in another order, in the lists where that counts.
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
