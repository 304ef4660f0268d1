//! The packets that a link has recorded: files with them.

pub(crate) mod pcap;
