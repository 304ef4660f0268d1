//! Hubs of labs that are never dropped: what has gone wrong in them fails the process at its end.

use std::sync::{Arc, Mutex, Once, Weak};

use crate::sys::lock::lock;
use crate::sys::process;

/// The hubs, with the process that has made each.
static HUBS: Mutex<Vec<(process::Pid, Weak<dyn Faulty>)>> = Mutex::new(Vec::new());

/// Something that may have faults, which fail the process if it is there at its end.
pub(super) trait Faulty: Send + Sync {
    /// Returns a sentence for each fault so far.
    fn faults(&self) -> Vec<String>;
}

/// Checks the hub when the process ends.
pub(super) fn watch<T: Faulty + 'static>(hub: &Arc<T>) {
    static CHECK: Once = Once::new();
    CHECK.call_once(|| process::at_exit(check));
    let mut hubs = lock(&HUBS);
    hubs.retain(|(_, hub)| hub.strong_count() > 0);
    let hub: Weak<T> = Arc::downgrade(hub);
    hubs.push((process::id(), hub));
}

extern "C" fn check() {
    // In a forked child, or if a thread of the test is here, too, there is nothing to wait for.
    let Ok(hubs) = HUBS.try_lock() else { return };
    let own = hubs.iter().filter(|(maker, _)| *maker == process::id());
    let faults: Vec<String> =
        own.filter_map(|(_, hub)| hub.upgrade()).flat_map(|hub| hub.faults()).collect();
    if faults.is_empty() {
        return;
    }
    for fault in faults {
        eprintln!("netns-test: a lab was not dropped: {fault}");
    }
    process::exit_now(101);
}
