//! Where a body runs: the network, mounts and identity that it finds, and that nothing it
//! does is seen outside.

#[path = "isolation/groups.rs"]
mod groups;
#[path = "isolation/identity.rs"]
mod identity;
#[path = "isolation/lan.rs"]
mod lan;
#[path = "isolation/mounts.rs"]
mod mounts;
#[path = "isolation/network.rs"]
mod network;
#[path = "isolation/process.rs"]
mod process;
#[path = "isolation/run_dir.rs"]
mod run_dir;
#[path = "isolation/runner.rs"]
mod runner;
