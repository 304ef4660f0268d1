//! Frames of links as they were recorded, and files with them (pcapng). Pure.

pub(crate) mod pcapng;
pub(crate) mod recorder;
