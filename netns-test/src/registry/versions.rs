//! Several versions of this crate in one test binary.
//!
//! Each version has a constructor and a server of its own, and none may fork its server in a body
//! of another version. So each version has a mark in one section, which all versions can read.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::registry::sections::{self, MARK};

/// Flag of a mark: the constructor of the version has run.
const HAS_RUN: u32 = 1;

/// Flag of a mark: this process is the version's server, or was forked from it.
const SERVES: u32 = 2;

/// Number of versions whose constructors had run before this version's.
static EARLIER: OnceLock<usize> = OnceLock::new();

/// Notes that the constructor of this version runs.
pub(crate) fn note_constructor() {
    let marks = sections::marks().iter();
    let earlier = marks.filter(|mark| mark.load(Ordering::Relaxed) != 0).count();
    let _first = EARLIER.set(earlier);
    MARK.store(HAS_RUN, Ordering::Relaxed);
}

/// Returns the position of this version among all versions, in the order of their constructors.
pub(crate) fn position() -> usize {
    EARLIER.get().copied().unwrap_or(0)
}

/// Notes that this process is the server of this version.
pub(crate) fn note_server() {
    MARK.fetch_or(SERVES, Ordering::Relaxed);
}

/// Returns whether this process is the server of another version, or was forked from one.
pub(crate) fn serves_another() -> bool {
    let mut others = sections::marks().iter().filter(|&mark| !std::ptr::eq(mark, &raw const MARK));
    others.any(|mark| mark.load(Ordering::Relaxed) & SERVES != 0)
}
