//! From a refused step, the kernel's reason and the facts to a diagnosis. Pure.
//!
//! The order of checks matters: a sysctl of the host is visible in a container, too, where the
//! container's own filter is the cause. A cause is named only with evidence.

pub(crate) mod creation;
pub(crate) mod dispatch;
pub(crate) mod evidence;
pub(crate) mod fixes;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod processes;
pub(crate) mod rights;
pub(crate) mod security_modules;
pub(crate) mod step;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use crate::diagnose::causes::creation::killed_by_filter;
pub(crate) use crate::diagnose::causes::dispatch::diagnose;
pub(crate) use crate::diagnose::causes::memory::lacks_own_memory;
pub(crate) use crate::diagnose::causes::processes::is_unseen;
pub(crate) use crate::diagnose::causes::step::Step;
