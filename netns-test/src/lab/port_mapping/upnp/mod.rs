//! UPnP Internet Gateway Device 1: discovery by SSDP, descriptions, and control by SOAP over HTTP.

pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod description;
pub(crate) mod http;
pub(crate) mod soap;
pub(crate) mod ssdp;
pub(crate) mod xml;

/// Value of the header SERVER.
const SERVER: &str = "Linux/1.0 UPnP/1.0 netns-test/1.0";
