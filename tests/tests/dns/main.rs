//! Name servers: what clients of the system get from them, their faults, and what becomes of them.

mod client;
mod delegation;
mod faults;
mod life;
mod lookups;
mod messages;
mod mistakes;
