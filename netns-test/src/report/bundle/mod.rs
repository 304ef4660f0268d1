//! The bundle: a directory with the evidence of one attempt of a test.

pub(crate) mod contents;
pub(crate) mod names;
pub(crate) mod place;
pub(crate) mod result;
pub(crate) mod write;
