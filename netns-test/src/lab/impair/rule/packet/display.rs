//! The text of a matcher, for the report of a failed test. Pure.

use std::fmt;
use std::net::IpAddr;

use crate::lab::impair::rule::packet::{Packet, Selected};

/// Writes the conditions, as in `TCP, SYN|ACK set, source port 80`.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocol {
            Selected::Any => "any packet",
            Selected::Tcp => "TCP",
            Selected::Udp => "UDP",
            Selected::Icmp => "ICMP",
            Selected::Arp => "ARP",
            Selected::Neighbour => "ARP or neighbour discovery",
        })?;
        if let Some(is_v4) = self.is_v4 {
            f.write_str(if is_v4 { ", IPv4" } else { ", IPv6" })?;
        }
        if self.is_fragment {
            f.write_str(", fragments")?;
        }
        addresses(f, "from", self.sources.as_deref())?;
        addresses(f, "to", self.destinations.as_deref())?;
        if !self.flags.is_empty() {
            write!(f, ", {} set", self.flags)?;
        }
        if !self.clear_flags.is_empty() {
            write!(f, ", {} not set", self.clear_flags)?;
        }
        number(f, "port", self.port)?;
        number(f, "source port", self.source_port)?;
        number(f, "destination port", self.destination_port)?;
        number(f, "type", self.icmp_type)?;
        if let Some(bytes) = self.longer_than {
            write!(f, ", longer than {bytes} bytes")?;
        }
        if let Some(has_payload) = self.has_payload {
            f.write_str(if has_payload { ", with data" } else { ", without data" })?;
        }
        for bytes in &self.contained {
            write!(f, ", payload contains \"{}\"", bytes.escape_ascii())?;
        }
        f.write_str(if self.conditions.is_empty() { "" } else { ", by a condition" })
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({self})")
    }
}

fn addresses(f: &mut fmt::Formatter<'_>, way: &str, all: Option<&[IpAddr]>) -> fmt::Result {
    let Some(all) = all else { return Ok(()) };
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    write!(f, ", {way} {}", all.join(" or "))
}

fn number(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, ", {name} {value}"))
}
