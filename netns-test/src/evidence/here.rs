//! The node of the calling thread, for what it notes.

use std::cell::RefCell;

thread_local! {
    static NODE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes that the calling thread is on the node of this name; on none if it is empty. Returns the
/// name before.
#[cfg(feature = "lab")]
pub(crate) fn set(node: &str) -> String {
    // A thread that ends has no name any more.
    let set = NODE.try_with(|here| here.replace(node.to_owned()));
    set.unwrap_or_default()
}

/// Returns the name of the calling thread's node; empty for none.
pub(crate) fn node() -> String {
    NODE.try_with(|here| here.borrow().clone()).unwrap_or_default()
}
