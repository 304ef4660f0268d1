//! Files with the packets of a link, for Wireshark and tcpdump.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::capture::pcapng::{Capture, CapturedPacket, Interface};
use crate::capture::recorder::{Record, WayOfFrame};
use crate::error::{Failure, Result, located};
use crate::lab::fabric::hub::Hub;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::recorded::{self, WirePacket};
use crate::lab::plan::Plan;
use crate::lab::run::link::Link;
use crate::lab::topology::NodeId;
use crate::sys::errno;
use crate::sys::timer;

impl Link {
    /// Writes the packets that the link has recorded so far to a file of the format pcapng. An
    /// existing file is replaced.
    ///
    /// The file has an interface for each end, such as `client:eth0`. Each packet is in it once, at
    /// the end of its sender and at the time at which the link has received it, also if the link
    /// has lost it: then its comment is the reason. A packet that the link has made itself is at
    /// the end of the receiver. Segmentation offloads are divided into packets as on the wire, with
    /// their checksums. Addresses have the names of nodes (in Wireshark: View, Name Resolution).
    ///
    /// # Errors
    ///
    /// A link that is not [captured](crate::lab::LinkSpec::capture); a path that cannot be
    /// written, or that is of a directory, a pipe or a device.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> netns_test::Result<()> {
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// let wan = net.link(client, server).capture().id();
    /// let lab = net.build()?;
    /// // ...
    /// lab[wan].save_pcap("/tmp/wan.pcapng")?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn save_pcap(&self, path: impl AsRef<Path>) -> Result<()> {
        located(self.save(path.as_ref(), None))
    }

    /// Writes the packets at one end of the link, as the interface of `node` has sent and received
    /// them. Otherwise as [`save_pcap`](Self::save_pcap).
    ///
    /// # Errors
    ///
    /// As [`save_pcap`](Self::save_pcap); a node that is at neither end of the link.
    #[track_caller]
    pub fn save_pcap_at(&self, node: NodeId, path: impl AsRef<Path>) -> Result<()> {
        let end = self.end_at("save the packets of", node);
        located(end.and_then(|end| self.save(path.as_ref(), Some(end))))
    }

    fn save(&self, path: &Path, only: Option<usize>) -> Result<()> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let why = "it exists, and is not a regular file";
            let failure = Failure::new("write", path.display().to_string(), why);
            return Err(failure.advise("choose the path of a file").into());
        }
        let records = self.records("save the packets of")?;
        let bytes = self.capture(&records, only).to_bytes();
        let failed = |error| errno::failure("write", path.display().to_string(), &error);
        Ok(fs::write(path, bytes).map_err(failed)?)
    }

    /// Returns what was recorded at both ends, with all frames that were sent before the call.
    pub(crate) fn records(&self, step: &'static str) -> Result<[Record; 2]> {
        self.hub_of_records(step)?.wait_for_sent()?;
        self.records_so_far(step)
    }

    /// Returns what was recorded at both ends. Frames that were sent a moment ago may be missing.
    pub(crate) fn records_so_far(&self, step: &'static str) -> Result<[Record; 2]> {
        let hub = self.hub_of_records(step)?;
        let read = |model: &mut EmulatedLink| model.records();
        let records =
            hub.with(self.position(), (step, &self.label()), |model, _, _| read(model))?;
        Ok(records.ok_or_else(|| self.is_not_captured(step))?)
    }

    fn hub_of_records(&self, step: &'static str) -> Result<&Hub> {
        let is_captured = self.fabric().plan.links()[self.position()].is_captured;
        let hub = self.fabric().hub.as_deref().filter(|_| is_captured);
        Ok(hub.ok_or_else(|| self.is_not_captured(step))?)
    }

    fn is_not_captured(&self, step: &'static str) -> Failure {
        let why = "it was built without a record of its packets";
        let advice = "declare it `.capture()`: net.link(a, b).capture()";
        Failure::new(step, self.label(), why).advise(advice)
    }

    /// Returns the reason for which frames may be missing in a record that has discarded so many.
    pub(crate) fn missing(&self, discarded: u64) -> Option<String> {
        let trouble = self.fabric().hub.as_ref().and_then(|hub| hub.trouble());
        let gone = || {
            format!(
                "{discarded} older frames are no longer in the record, which keeps the first 256 \
                 and the last 512 KiB of each direction"
            )
        };
        trouble.or_else(|| (discarded > 0).then(gone))
    }

    fn capture(&self, records: &[Record; 2], only: Option<usize>) -> Capture {
        let plan = &*self.fabric().now();
        let ends = self.fabric().links.ends(self.position());
        let label = self.label();
        let interface = |end: usize| {
            let place = &ends[end];
            let node = &plan.nodes()[place.node];
            let planned = node.interfaces.iter().find(|one| one.name == place.name);
            Interface {
                name: format!("{}:{}", node.name, place.name),
                description: format!("{} end of {label}", node.name),
                addresses: planned.map(|one| one.addresses.clone()).unwrap_or_default(),
                mac: planned.and_then(|one| one.mac),
                received: records[end].recorded(),
                lost: records[end].discarded().iter().sum(),
            }
        };
        let packets = match only {
            Some(end) => recorded::packets(end, &records[end]),
            None => recorded::of_link(records).into_iter().filter(WirePacket::is_new).collect(),
        };
        let mut packets = packets;
        packets.sort_by_key(|one| one.at);
        let since = timer::realtime().saturating_sub(timer::monotonic());
        let packet = |one: WirePacket| CapturedPacket {
            interface: if only.is_some() { 0 } else { one.end as u32 },
            at: since.saturating_add(one.at),
            is_outbound: one.is_out(),
            comments: comments(&one),
            bytes: one.bytes,
        };
        Capture {
            application: format!("netns-test {}", env!("CARGO_PKG_VERSION")),
            comment: label.clone(),
            interfaces: only
                .map_or(vec![0, 1], |end| vec![end])
                .into_iter()
                .map(interface)
                .collect(),
            names: names(plan),
            packets: packets.into_iter().map(packet).collect(),
        }
    }
}

fn comments(packet: &WirePacket) -> Vec<String> {
    let made = (packet.way == WayOfFrame::In(None)).then(|| "made by the link".to_owned());
    packet.dropped.iter().chain(&packet.notes).cloned().chain(made).collect()
}

/// Returns the names of all addresses of a plan: that of the node for the first one of a family,
/// with that of the interface for the others.
pub(crate) fn names(plan: &Plan) -> Vec<(IpAddr, String)> {
    let mut names: Vec<(IpAddr, String)> = Vec::new();
    for node in plan.nodes() {
        for interface in &node.interfaces {
            for address in interface.addresses.iter().map(|one| one.address()) {
                let is_loopback = address.is_loopback();
                if is_loopback || names.iter().any(|(known, _)| *known == address) {
                    continue;
                }
                let is_same = |one: &IpAddr| one.is_ipv4() == address.is_ipv4();
                let is_first = node.addresses.iter().find(|one| is_same(one)) == Some(&address);
                let name = if is_first {
                    node.name.clone()
                } else {
                    format!("{}.{}", node.name, interface.name)
                };
                names.push((address, name));
            }
        }
    }
    names
}
