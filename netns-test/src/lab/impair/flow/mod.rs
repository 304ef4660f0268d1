//! Flows: to which one a packet belongs, and which position it has there. Pure.
//!
//! Draws are keyed on the two ([`hash`](crate::lab::impair::hash)). So both are chosen such that
//! they are the same in each run, and their definition is part of the promise there.
//!
//! # Flows
//!
//! A flow is one direction of a connection, or of what is most like one:
//!
//! | packet | ends | protocol | service |
//! | --- | --- | --- | --- |
//! | TCP, UDP | addresses of the packet | 6, 17 | port of the end that did not open the flow |
//! | ICMP, ICMPv6 | addresses | 1, 58 | type × 256 + code; no identifier of an echo |
//! | fragment of an IP packet | addresses | protocol | 65,536; only the first has ports |
//! | other IP packet | addresses | protocol | 0 |
//! | ARP | `::`, target | 0x0806 | operation × 256 |
//! | neighbour discovery | `::`, target | 58 | type × 256 |
//! | other frame | `::`, `::` | EtherType | 0 |
//!
//! - The addresses keep flows of several nodes apart that begin at once, so that they need not race
//!   for an ordinal. Those of a lab are planned, and the same in each run.
//! - The end that sends the first SYN opens a TCP flow; if only a SYN-ACK is seen, its receiver.
//!   Otherwise, and for UDP, it is the end with the higher port, but the first sender if the kernel
//!   may have chosen both ports.
//! - The kernel chooses ports from 32,768 on, at random. Such a port counts as 0.
//! - The role is 1 for packets of the end that did not open the flow, and 0 for all others. It is
//!   always 0 if both ports are equal, or if there are no ports.
//! - The ordinal is the number of earlier flows with the same opener, other end, protocol and
//!   service. A SYN with another initial sequence number begins a new flow.
//!
//! # Positions
//!
//! | packet | class | number | attempt | chain: lane, step |
//! | --- | --- | --- | --- | --- |
//! | TCP data by slots | 0 | slot | earlier verdicts on the slot | attempt, number |
//! | TCP data by segments | 1 | first byte | earlier verdicts on it | attempt, new segments before |
//! | TCP with SYN, FIN or RST | 2 | flags | earlier verdicts on such | flags, attempt |
//! | TCP without data | 3 | acknowledged bytes | earlier ones with that number | 0, earlier ones |
//! | any other | 4 | earlier packets of the flow | 0 | 0, number |
//! | any, if all flows share a chain | 5 | earlier packets of the direction | 0 | 0, number |
//!
//! - Bytes of a stream count from the one after the SYN, without an end at 2³². Without a SYN they
//!   count from the first byte that was seen.
//! - A slot has as many bytes as a full segment on the link: MTU − 52 for IPv4, MTU − 72 for IPv6.
//!   A segment has the positions of all slots that begin in it: none, one or several.
//! - The flags are those of SYN, FIN, RST, and that of ACK beside SYN (RFC 9293).
//! - A segment with such flags and data has positions of both.
//! - A segment that is lost by one of its positions takes no verdict on its other ones: these have
//!   the same attempt when they are sent again. So the verdicts do not depend on the boundaries of
//!   segments.

pub(crate) mod name;
pub(crate) mod position;
mod sequence;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod verdicts;
