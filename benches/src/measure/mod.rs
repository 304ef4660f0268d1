//! The means to measure: figures in rounds, their table, the test binary, and worker processes.

pub(crate) mod binary;
pub(crate) mod figure;
pub(crate) mod leaks;
pub(crate) mod table;
pub(crate) mod worker;
