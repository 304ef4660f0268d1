//! The report of a test that has failed: its text, and the files of its bundle.

pub(crate) mod bundle;
pub(crate) mod escape;
pub(crate) mod make;
pub(crate) mod rerun;
pub(crate) mod source;
mod stacks;
pub(crate) mod text;
