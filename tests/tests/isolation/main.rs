//! Where a body runs: the network, mounts and identity that it finds, and that nothing it
//! does is seen outside.

mod groups;
mod identity;
mod lan;
mod mounts;
mod network;
mod process;
mod run_dir;
mod runner;
