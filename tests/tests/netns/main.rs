//! Namespaces without the attribute: handles and names, each against what the kernel, `ip` and `lsns` say.
//! The tests run as root on the host does, in bodies that may make namespaces of their own.

mod containers;
mod handles;
mod host;
mod invalid_input;
mod names;
mod parity;
