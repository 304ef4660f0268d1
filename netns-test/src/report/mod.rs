//! The report of a test that has failed: its text, and the files of its bundle.

pub(crate) mod text;
