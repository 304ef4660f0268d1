//! Explains why a test has failed: from facts to causes, each with its proof and what to try. Pure.
//!
//! A cause is certain only if the facts leave no other reading: the operation that failed is known,
//! and so is the state that made it fail. All else is likely.

pub(crate) mod cause;
pub(crate) mod causes;
pub(crate) mod code;
pub(crate) mod listener;
pub(crate) mod path;
pub(crate) mod realms;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod scene;
pub(crate) mod sockets;
pub(crate) mod target;
pub(crate) mod trouble;
pub(crate) mod wait;

pub(crate) use crate::explain::cause::Cause;
pub(crate) use crate::explain::causes::causes;
