//! A condition that is the user's own code. Pure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::error::panic_text;
use crate::lab::impair::rule::packet::view::PacketView;
use crate::sys::lock::lock;

/// Code of the user that chooses packets. Clones share its state.
#[derive(Clone)]
pub(crate) struct Condition(Arc<Mutex<Code>>);

type Code = dyn FnMut(&PacketView<'_>) -> bool + Send;

impl Condition {
    pub(crate) fn new(code: impl FnMut(&PacketView<'_>) -> bool + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(code)))
    }

    /// Runs the code. Returns the message of a panic as an error.
    pub(crate) fn check(&self, packet: &PacketView<'_>) -> Result<bool, String> {
        let mut code = lock(&self.0);
        catch_unwind(AssertUnwindSafe(|| code(packet)))
            .map_err(|panic| panic_text(&*panic).unwrap_or("a panic without a text").to_owned())
    }
}
