//! Restores what a lab has removed from the caller's own network: addresses, then neighbours and
//! routes, in their old order. The result is compared with the old state.

use std::thread;
use std::time::{Duration, Instant};

use crate::netlink::Netlink;
use crate::netlink::kept::belongings::Belongings;
use crate::netlink::kept::{Class, Kept};

/// Time limit for duplicate address detection, which takes two seconds at most by default.
const LIMIT: Duration = Duration::from_secs(10);

/// Restores what was `taken`, as far as its interfaces still exist, in the order of `before`.
/// Returns a sentence for each entry that differs afterwards.
pub(crate) fn give_back(netlink: &Netlink, before: &Belongings, taken: Vec<Kept>) -> Vec<String> {
    let indexes = match netlink.interfaces() {
        Ok(all) => all.into_iter().map(|one| one.index).collect::<Vec<_>>(),
        Err(failure) => return vec![format!("give back: {failure}")],
    };
    let is_lasting =
        |kept: &Kept| !kept.is_over() && kept.indexes().iter().all(|index| indexes.contains(index));
    let mut giving = Giving { netlink, before, wanted: taken, failed: Vec::new() };
    giving.wanted.retain(is_lasting);
    giving.lists(Class::Address);
    giving.wait();
    giving.without_new_routes();
    giving.lists(Class::Neighbour);
    giving.lists(Class::Route);
    giving.compare();
    giving.failed
}

struct Giving<'a> {
    netlink: &'a Netlink,
    before: &'a Belongings,
    /// Entries that must exist in the end.
    wanted: Vec<Kept>,
    failed: Vec<String>,
}

impl Giving<'_> {
    fn there(&self) -> Belongings {
        self.netlink.belongings().unwrap_or_default()
    }

    /// Restores each list of a class that lacks an entry. A list may depend on another one: a
    /// gateway is on a subnet that needs a route.
    fn lists(&mut self, class: Class) {
        let there = self.there();
        let disordered = self.before.in_another_order(&there);
        let is_wrong = |one: &&Kept| !there.0.contains(one) || disordered.contains(one);
        let wanted = self.wanted.iter().filter(|one| one.class() == class);
        let mut lists: Vec<Kept> = Vec::new();
        for one in wanted.filter(is_wrong) {
            if !lists.iter().any(|known| known.shares_list_with(one)) {
                lists.push(one.clone());
            }
        }
        lists.sort_by_key(Kept::has_gateway);
        while !lists.is_empty() {
            let (count, mut refusals) = (lists.len(), Vec::new());
            lists.retain(|list| match self.list(list) {
                Ok(()) => false,
                Err(refusal) => {
                    refusals.push(refusal);
                    true
                }
            });
            if lists.len() == count {
                self.failed.append(&mut refusals);
                break;
            }
        }
    }

    /// Restores the list that `sample` is in. Entries in their old position stay, and all after
    /// them are created again.
    fn list(&mut self, sample: &Kept) -> Result<(), String> {
        let there = self.there();
        let here: Vec<Kept> =
            there.0.iter().filter(|one| one.shares_list_with(sample)).cloned().collect();
        let is_meant = |one: &&Kept| {
            one.shares_list_with(sample)
                && (self.wanted.contains(one) || here.iter().any(|other| other.is_like(one)))
        };
        let mut list: Vec<Kept> = self.before.0.iter().filter(is_meant).cloned().collect();
        // Entries that are newer than the first change, and that another change has removed.
        let later = self.wanted.iter().filter(is_meant).filter(|one| !list.contains(one));
        let later: Vec<Kept> = later.cloned().collect();
        list.extend(later);
        // A removed entry has the lifetime that was left when it was removed.
        for one in &mut list {
            let taken = self.wanted.iter().find(|taken| *taken == one);
            taken.into_iter().for_each(|taken| *one = taken.clone());
        }
        let mut old: Vec<Kept> =
            here.into_iter().filter(|one| list.iter().any(|new| new.is_like(one))).collect();
        // A new IPv6 address is the first of its interface.
        if sample.class() == Class::Address && !sample.is_ipv4() {
            old.reverse();
            list.reverse();
        }
        let same = old.iter().zip(&list).take_while(|(old, new)| old == new).count();
        // Entries that the kernel removes with these are wanted again.
        let in_the_way = &old[same..];
        // An entry that only the kernel can create stays, whatever the order.
        if in_the_way.iter().all(|one| one.is_of_kernel_alone().is_none()) {
            for one in in_the_way.iter().rev() {
                self.netlink.ask_all(&[one.remove()]).ok();
            }
        }
        let after = self.there();
        let mut lost = there.without(&after);
        lost.retain(|one| !list.iter().chain(&self.wanted).any(|known| known.is_like(one)));
        self.wanted.extend(lost);
        let missing = list.iter().filter(|one| !after.0.contains(one));
        missing.into_iter().try_for_each(|one| self.make(one))
    }

    fn make(&self, one: &Kept) -> Result<(), String> {
        let made = self.netlink.ask_all(&one.again());
        made.map_err(|failure| format!("give back: {failure}"))
    }

    /// Waits until IPv6 addresses on interfaces with carrier are usable: the kernel activates them
    /// a moment after they are added.
    fn wait(&mut self) {
        let of_ipv6 = self.addresses().filter(|one| !one.is_ipv4());
        let indexes: Vec<u32> = of_ipv6.flat_map(Kept::indexes).collect();
        let deadline = Instant::now() + LIMIT;
        let is_late = || {
            let carries = |index: &u32| {
                let all = self.netlink.interfaces().unwrap_or_default();
                all.iter().any(|one| one.index == *index && one.is_up && one.is_running)
            };
            let late = self.netlink.settled().map(|found| found.late).unwrap_or_default();
            indexes.iter().any(|index| late.contains(index) && carries(index))
        };
        while !indexes.is_empty() && is_late() {
            if Instant::now() > deadline {
                self.failed.push(format!("wait for IPv6 addresses: not usable after {LIMIT:?}"));
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Removes routes that the kernel has created for restored addresses, and that did not exist
    /// before.
    fn without_new_routes(&mut self) {
        let indexes: Vec<u32> = self.addresses().flat_map(Kept::indexes).collect();
        let is_new = |one: &&Kept| {
            one.is_route_of_kernel() && one.indexes().iter().any(|index| indexes.contains(index))
        };
        let there = self.there();
        let routes = there.of(Class::Route).filter(is_new);
        let known = |one: &&Kept| self.before.0.contains(one) || self.wanted.contains(one);
        let new: Vec<_> = routes.filter(|one| !known(one)).map(Kept::remove).collect();
        for request in new {
            self.netlink.ask_all(&[request]).ok();
        }
    }

    fn addresses(&self) -> impl Iterator<Item = &Kept> {
        self.wanted.iter().filter(|one| one.class() == Class::Address)
    }

    /// Records each wanted entry that is missing.
    fn compare(&mut self) {
        let there = self.there();
        let lacking = self.wanted.iter().filter(|one| !one.is_over() && !there.0.contains(one));
        let lacking: Vec<String> =
            lacking.map(|one| format!("give back {one}: it is not as it was")).collect();
        self.failed.extend(lacking);
    }
}
