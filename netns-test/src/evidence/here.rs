//! The node of the calling thread, for what it notes; and the last visit of each node, after which
//! its sockets cannot have changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::sys::lock::lock;
use crate::sys::process::progress;

/// Most nodes whose visits are listed.
const MOST: usize = 16;

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here(String::new())) };
}

/// The last visits of nodes by threads of this process.
static VISITS: Mutex<BTreeMap<String, Visit>> = Mutex::new(BTreeMap::new());

/// Node of a thread; empty for none. A thread leaves it when it ends.
struct Here(String);

/// Threads on a node, and the time at which the last one came or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) threads: u32,
    pub(crate) last: Duration,
}

impl Here {
    fn go(&mut self, node: String) -> String {
        let before = std::mem::replace(&mut self.0, node);
        let mut visits = lock(&VISITS);
        let last = progress::now();
        for (node, change) in [(&before, -1), (&self.0, 1)] {
            if !node.is_empty() {
                let known = visits.get(node).copied().unwrap_or_default();
                let threads = known.threads.saturating_add_signed(change);
                visits.insert(node.clone(), Visit { threads, last });
            }
        }
        before
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.go(String::new());
        }
    }
}

/// Notes that the calling thread is on the node of this name; on none if it is empty. Returns the
/// name before.
#[cfg(feature = "lab")]
pub(crate) fn set(node: &str) -> String {
    // A thread that ends has no name any more.
    let set = HERE.try_with(|here| here.borrow_mut().go(node.to_owned()));
    set.unwrap_or_default()
}

/// Returns the name of the calling thread's node; empty for none.
pub(crate) fn node() -> String {
    HERE.try_with(|here| here.borrow().0.clone()).unwrap_or_default()
}

/// Returns the last visits as text, the latest first, for [`parse`].
pub(crate) fn visits() -> String {
    let visits = lock(&VISITS);
    let mut all: Vec<(&String, &Visit)> = visits.iter().collect();
    all.sort_by_key(|(_, visit)| (visit.threads == 0, std::cmp::Reverse(visit.last)));
    let rows = all
        .iter()
        .take(MOST)
        .map(|(node, visit)| format!("{} {} {node}", visit.threads, visit.last.as_nanos()));
    rows.collect::<Vec<_>>().join("\n")
}

/// Returns the last visit of a node from the text of [`visits`]; none if it is unknown.
pub(crate) fn parse(text: &str, node: &str) -> Option<Visit> {
    let rows = text.lines().map_while(|row| {
        let mut parts = row.splitn(3, ' ');
        let (threads, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?, Visit { threads, last: Duration::from_nanos(last) }))
    });
    let rows: Vec<(&str, Visit)> = rows.collect();
    let found = rows.iter().find(|(name, _)| *name == node).map(|(_, visit)| *visit);
    // One that is not listed was visited before all others, if there was no room for it.
    let before = || match rows.get(MOST - 1) {
        Some((_, last)) => (last.threads == 0).then_some(*last),
        None => (!rows.is_empty()).then(Visit::default),
    };
    found.or_else(before)
}

#[cfg(all(test, feature = "lab"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_visits_a_node_until_it_ends() {
        let node = "a node of this test";
        let now = move || parse(&visits(), node).expect("the visits are listed");
        let visit = move || {
            set(node);
            assert_eq!(super::node(), node);
            now()
        };
        let during = std::thread::spawn(visit).join().unwrap();
        assert_eq!(during.threads, 1);
        let after = now();
        assert_eq!(after.threads, 0);
        assert!(after.last >= during.last);
    }

    #[test]
    fn a_node_that_is_not_listed_was_visited_before() {
        let text = "1 30 a\n0 20 b c";
        let visit = |threads, last| Some(Visit { threads, last: Duration::from_nanos(last) });
        assert_eq!(parse(text, "a"), visit(1, 30));
        assert_eq!(parse(text, "b c"), visit(0, 20));
        assert_eq!(parse(text, "d"), visit(0, 0));
        let row = |at: usize| format!("0 {} n{at}", 100 - at);
        let full: Vec<String> = (0..MOST).map(row).collect();
        assert_eq!(parse(&full.join("\n"), "d"), visit(0, 100 - MOST as u64 + 1));
        for unknown in ["", "x", "1 2"] {
            assert_eq!(parse(unknown, "a"), None, "{unknown}");
        }
    }
}
