//! What packets show of each kind of NAT.

mod icmp;
mod kinds;
mod pools;
mod refresh;
mod tcp;
