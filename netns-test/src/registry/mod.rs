//! The tests of a binary: the case of each, and the options of its module.

pub(crate) mod case;
pub(crate) mod options;
