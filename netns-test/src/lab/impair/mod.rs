pub mod checksum; pub mod delay; pub mod emulated; pub mod flow; pub mod frame; pub mod gso; pub mod hash; pub mod loss; pub mod offload; pub mod passage; pub mod queue; pub mod rule; pub mod stats;
