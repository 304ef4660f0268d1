//! The packets that a link has recorded: files with them, claims about them, and a stable text.

pub(crate) mod claim;
pub(crate) mod pcap;
pub(crate) mod summary;
pub(crate) mod trace;
