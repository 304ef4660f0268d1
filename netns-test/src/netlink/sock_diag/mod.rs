//! TCP and UDP sockets of a network: by `sock_diag(7)`, and by `/proc` (proc(5)) where the kernel
//! refuses that.
//!
//! A dump costs what a walk through the kernel's hash table costs, which is one for the whole
//! machine. To print the table, as `/proc/net/tcp` does, costs 27 times as much for each family.
//!
//! Needs neither a lab nor `rtnetlink`.

pub(crate) mod answer;
pub(crate) mod dump;
pub(crate) mod proc_files;
#[cfg(feature = "lab")]
pub(crate) mod reader;
pub(crate) mod request;
pub(crate) mod socket;
#[cfg(feature = "lab")]
pub(crate) mod wanted;

#[cfg(feature = "lab")]
pub(crate) use crate::netlink::sock_diag::reader::Reader;
#[cfg(feature = "lab")]
pub use crate::netlink::sock_diag::socket::Protocol;
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::sock_diag::socket::{CLOSED, ESTABLISHED, LISTENING, Socket};
#[cfg(feature = "lab")]
pub(crate) use crate::netlink::sock_diag::wanted::Wanted;
