//! Namespaces by hand: handles and names, each against what the kernel, `ip` and `lsns` say.
//! The tests run as root on the host does, in bodies that may make namespaces of their own.

#[path = "netns/containers.rs"]
mod containers;
#[path = "netns/handles.rs"]
mod handles;
#[path = "netns/host.rs"]
mod host;
#[path = "netns/names.rs"]
mod names;
#[path = "netns/parity.rs"]
mod parity;
#[path = "netns/wrong.rs"]
mod wrong;
