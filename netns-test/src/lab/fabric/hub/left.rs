//! Hubs of labs that are never dropped: what has gone wrong in them fails the process at its end.

use std::sync::{Arc, Mutex, Once, Weak};

use crate::lab::fabric::hub::Hub;
use crate::sys::lock::lock;
use crate::sys::process;

/// The hubs, with the process that has made each.
static HUBS: Mutex<Vec<(process::Pid, Weak<Hub>)>> = Mutex::new(Vec::new());

/// Has the hub looked at when the process ends.
pub(super) fn watch(hub: &Arc<Hub>) {
    static CHECK: Once = Once::new();
    CHECK.call_once(|| process::at_exit(check));
    let mut hubs = lock(&HUBS);
    hubs.retain(|(_, hub)| hub.strong_count() > 0);
    hubs.push((process::id(), Arc::downgrade(hub)));
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
