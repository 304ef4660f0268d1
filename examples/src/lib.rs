//! Isolated tests at work on real programs, and programs that use namespaces themselves; the
//! files in `tests/` and `examples/` are made to be copied.
//!
//! | file | shows |
//! |---|---|
//! | `same_port.rs` | two tests that hold the same port at the same time |
//! | `veth.rs` | `ip` builds a second host and a cable to it |
//! | `http.rs` | an HTTP server on port 80 and its client |
//! | `async_body.rs` | `async fn` tests, on tokio |
//! | `dual_stack.rs` | a server on IPv4 and IPv6, and clients that have one or both |
//! | `two_hosts.rs` | an HTTP server and its client, each on a host of a network |
//! | `pulled_cable.rs` | a client that connects again when the cable was pulled |
//! | `real_daemon.rs` | `dnsmasq` on a host and `dig` on another |
//! | `cluster.rs` | five nodes that gossip elect a leader, and another one when the network is split |
//! | `port_mapping.rs` | a client leases a port of its router by NAT-PMP |
//! | `two_homes.rs` | two laptops behind home routers meet by UDP hole punching |
//! | `carrier_grade.rs` | two homes behind the NAT of their carrier |
//! | `captive_hotel.rs` | a client that logs in at a portal before its packets get out |
//! | `programs.rs` | the programs below, run beside `ip` |
//!
//! | program | shows |
//! |---|---|
//! | `netns_from_scratch` | a namespace made, pinned, entered, joined by a second process |
//! | `setns NAME COMMAND...` | a command in a namespace that `ip netns` knows |
//! | `interfaces` | where a thread is, a new namespace, and back |
//! | `container ROOTFS COMMAND...` | a program with a root, a hostname and processes of its own |
//!
//! `ci/example` runs all tests; docs/NETNS.md says how to run a program.
